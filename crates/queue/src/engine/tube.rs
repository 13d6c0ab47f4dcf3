//! A tube: its orders of jobs, who waits for them, and its figures.

use std::collections::BTreeMap;

use super::client::ClientId;
use super::flow::Flow;
use super::more::cut_reason;
use super::rate::Rate;
use super::runs::Runs;
use super::space::SpaceIx;
use crate::config::TubeConfig;
use crate::names::{JobId, TubeName};

/// A tube's place in the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TubeIx(pub(crate) u32);

/// A ready job's place: lowest priority first, then lowest id. In words of 32 bits, so that it has no gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ReadyKey {
    pri: u32,
    id_high: u32,
    id_low: u32,
}

impl ReadyKey {
    pub(crate) fn new(pri: u32, id: JobId) -> ReadyKey {
        ReadyKey { pri, id_high: (id.0 >> 32) as u32, id_low: id.0 as u32 }
    }

    pub(crate) fn pri(self) -> u32 {
        self.pri
    }

    pub(crate) fn id(self) -> JobId {
        JobId(u64::from(self.id_high) << 32 | u64::from(self.id_low))
    }
}

/// What `stats` and `stats-tube` count of jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) urgent: u64,
    pub(crate) ready: u64,
    pub(crate) reserved: u64,
    pub(crate) delayed: u64,
    pub(crate) buried: u64,
    pub(crate) bytes: u64,
}

impl Figures {
    /// Jobs in whatever state.
    pub(crate) fn jobs(&self) -> u64 {
        self.ready + self.reserved + self.delayed + self.buried
    }
}

/// What only ever counts up, kept across restarts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) jobs: u64,
    pub(crate) deletes: u64,
    pub(crate) pauses: u64,
    pub(crate) timeouts: u64,
    /// Attempts that their holders gave back.
    pub(crate) releases: u64,
    /// Attempts that failed, as their holders said.
    pub(crate) failures: u64,
}

/// A pause: how long it was asked for, and when it ends in wall-clock milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pause {
    pub(crate) asked_ms: u64,
    pub(crate) until_ms: u64,
    pub(crate) note: PauseNote,
}

impl Pause {
    /// One of which nobody says anything.
    #[cfg(test)]
    pub(crate) fn new(asked_ms: u64, until_ms: u64) -> Pause {
        Pause { asked_ms, until_ms, note: PauseNote::default() }
    }
}

/// Who paused a tube, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PauseNote {
    /// Who: a name, or an address.
    pub by: Box<str>,
    /// Why.
    pub why: Box<str>,
}

impl PauseNote {
    /// A note with as much of both texts as is kept: 200 bytes each.
    pub fn new(by: &str, why: &str) -> PauseNote {
        PauseNote { by: cut_reason(by).into(), why: cut_reason(why).into() }
    }
}

/// One tube.
pub(crate) struct Tube {
    pub(crate) space: SpaceIx,
    pub(crate) name: TubeName,
    /// Its place in the order of `list-tubes`.
    pub(crate) place: u32,
    pub(crate) config: TubeConfig,
    /// Ready jobs.
    pub(crate) ready: Runs<ReadyKey>,
    /// Delayed jobs by due time.
    pub(crate) delayed: Runs<(u64, JobId)>,
    /// Buried jobs in the order they were buried.
    pub(crate) buried: Runs<(u64, JobId)>,
    /// Clients waiting for a job of this tube (among others), the longest waiting first.
    pub(crate) waiting: BTreeMap<u64, ClientId>,
    pub(crate) figures: Figures,
    pub(crate) totals: Totals,
    /// Jobs put, and jobs deleted.
    pub(crate) arrivals: Rate,
    pub(crate) services: Rate,
    pub(crate) pause: Option<Pause>,
    pub(crate) flow: Flow,
    pub(crate) using: u32,
    pub(crate) watching: u32,
    /// When its next far jobs are wanted.
    pub(crate) far_alarm_ms: Option<u64>,
    /// The entry of this tube in the engine's alarms.
    pub(crate) alarm_ms: Option<u64>,
}

impl Tube {
    pub(crate) fn new(space: SpaceIx, name: TubeName, place: u32, config: TubeConfig) -> Tube {
        Tube {
            space,
            name,
            place,
            config,
            ready: Runs::default(),
            delayed: Runs::default(),
            buried: Runs::default(),
            waiting: BTreeMap::new(),
            figures: Figures::default(),
            totals: Totals::default(),
            arrivals: Rate::default(),
            services: Rate::default(),
            pause: None,
            flow: Flow::default(),
            using: 0,
            watching: 0,
            far_alarm_ms: None,
            alarm_ms: None,
        }
    }

    /// A tube exists while it is used, watched, paused or holds a job; `default` always.
    pub(crate) fn is_forgotten(&self) -> bool {
        self.name.as_str() != TubeName::DEFAULT
            && self.using == 0
            && self.watching == 0
            && self.figures.jobs() == 0
            && self.pause.is_none()
    }

    /// When the tube must be looked at next.
    pub(crate) fn next_alarm_ms(&self) -> Option<u64> {
        let due = self.delayed.first().map(|&(due, _)| due);
        let unpause = self.pause.as_ref().map(|pause| pause.until_ms);
        due.into_iter().chain(unpause).chain(self.far_alarm_ms).min()
    }

    /// The ready job with the lowest id. Ids are in order within one priority, so one look per priority finds it.
    pub(crate) fn oldest_ready(&self) -> Option<JobId> {
        /// Beyond so many different priorities the answer is the best of these.
        const LOOKS_MAX: usize = 1024;
        let mut oldest: Option<JobId> = None;
        let mut from = ReadyKey::new(0, JobId(0));
        for _ in 0..LOOKS_MAX {
            let Some(found) = self.ready.first_from(&from) else { break };
            oldest = Some(oldest.map_or(found.id(), |other| other.min(found.id())));
            let Some(next) = found.pri().checked_add(1) else { break };
            from = ReadyKey::new(next, JobId(0));
        }
        oldest
    }
}
