//! For whom a job is held, where that is not the client of its connection: callers of the HTTP API and pushed processes.

use std::collections::HashMap;

use crate::names::JobId;

/// Names that may be kept before those are looked for that have no reservation any more.
const PRUNE_AT_MIN: usize = 64;

/// Who works on which job.
#[derive(Debug, Default)]
pub(super) struct Holders {
    names: HashMap<JobId, Box<str>>,
    prune_at: usize,
}

impl Holders {
    /// This worker has the job now. Names of jobs that nobody holds are forgotten before they are more than half of all.
    pub(super) fn name(&mut self, id: JobId, worker: &str, is_held: impl Fn(JobId) -> bool) {
        self.names.insert(id, worker.into());
        if self.names.len() > self.prune_at.max(PRUNE_AT_MIN) {
            self.names.retain(|id, _| is_held(*id));
            self.prune_at = 2 * self.names.len();
        }
    }

    /// The job's reservation is over, or another begins: who had it.
    pub(super) fn take(&mut self, id: JobId) -> Option<Box<str>> {
        if self.names.is_empty() { None } else { self.names.remove(&id) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_jobs_that_nobody_holds_do_not_pile_up() {
        let mut holders = Holders::default();
        for id in 0..10_000 {
            holders.name(JobId(id), "worker", |other| other.0 + 10 > id);
        }
        assert!(holders.names.len() <= PRUNE_AT_MIN + 1, "{}", holders.names.len());
        assert_eq!(holders.take(JobId(9_999)).as_deref(), Some("worker"));
        assert_eq!(holders.take(JobId(9_999)), None, "one reservation, one name");
    }
}
