//! Dead jobs: those that had all the attempts that their tube allows.

use serde::{Deserialize, Serialize};

use crate::engine::{Attempt, AttemptEnd};

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadJob {
    /// The job.
    pub id: u64,
    /// Where it lies now: its dead-letter tube, or where it died.
    pub tube: String,
    /// Where it died.
    pub from: String,
    /// Its state there: the word of `stats-job`.
    pub state: String,
    /// When it died, in wall-clock milliseconds.
    pub died_ms: u64,
    /// How its last attempt ended.
    pub end: AttemptEnd,
    /// What the last worker said.
    pub reason: String,
    /// Who had it last.
    pub worker: String,
    /// How often it was reserved.
    pub reserves: u32,
    /// How often its time to run was over.
    pub timeouts: u32,
    /// How often it was given back.
    pub releases: u32,
    /// How often a worker said that it failed.
    pub failures: u32,
    /// When it was put, in wall-clock milliseconds.
    pub created_ms: u64,
    /// Bytes of its body.
    pub bytes: u32,
    /// The newest attempts, oldest first.
    pub attempts: Vec<Attempt>,
}

/// Which dead jobs are meant. What is absent finds all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadFilter {
    /// Only this one.
    pub id: Option<u64>,
    /// Only those that lie in this tube.
    pub tube: Option<String>,
    /// Only those that died in this tube.
    pub from: Option<String>,
    /// Only those whose last attempt ended so.
    pub end: Option<AttemptEnd>,
    /// Only those in whose last reason this stands.
    pub reason: Option<String>,
    /// Only those that died then or later, in wall-clock milliseconds.
    pub since_ms: Option<u64>,
    /// Only those that died before.
    pub before_ms: Option<u64>,
    /// Replayed into this tube instead of that in which they died.
    pub into: Option<String>,
}

impl DeadFilter {
    /// Whether the job is meant.
    pub(crate) fn finds(&self, job: &DeadJob) -> bool {
        self.id.is_none_or(|id| job.id == id)
            && self.tube.as_ref().is_none_or(|tube| job.tube == *tube)
            && self.from.as_ref().is_none_or(|from| job.from == *from)
            && self.end.is_none_or(|end| job.end == end)
            && self.reason.as_ref().is_none_or(|reason| job.reason.contains(&**reason))
            && self.since_ms.is_none_or(|since| job.died_ms >= since)
            && self.before_ms.is_none_or(|before| job.died_ms < before)
    }
}

/// What a replay did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replayed {
    /// The jobs, as they were when they were dead.
    pub jobs: Vec<DeadJob>,
    /// A limit of the target tube, or the log, stood in the way of the next one.
    pub stopped_by_limit: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_finds_what_meets_all_of_it() {
        let job = DeadJob {
            id: 7,
            tube: "dead".into(),
            from: "orders".into(),
            state: "ready".into(),
            died_ms: 100,
            end: AttemptEnd::Failed,
            reason: "no route to host".into(),
            worker: String::new(),
            reserves: 3,
            timeouts: 0,
            releases: 0,
            failures: 3,
            created_ms: 1,
            bytes: 5,
            attempts: Vec::new(),
        };
        let all = DeadFilter::default();
        assert!(all.finds(&job));
        let this = DeadFilter {
            id: Some(7),
            tube: Some("dead".into()),
            from: Some("orders".into()),
            end: Some(AttemptEnd::Failed),
            reason: Some("route".into()),
            since_ms: Some(100),
            before_ms: Some(101),
            into: Some("elsewhere".into()),
        };
        assert!(this.finds(&job));
        for other in [
            DeadFilter { id: Some(8), ..this.clone() },
            DeadFilter { from: Some("dead".into()), ..this.clone() },
            DeadFilter { reason: Some("timeout".into()), ..this.clone() },
            DeadFilter { before_ms: Some(100), ..this.clone() },
            DeadFilter { end: Some(AttemptEnd::TimedOut), ..this.clone() },
        ] {
            assert!(!other.finds(&job), "{other:?}");
        }
    }
}
