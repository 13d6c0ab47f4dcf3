//! A job as it is kept in memory: everything but its body.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use slab::Slab;
use stdx::clock::Mono;
use stdx::trace::TraceContext;
use wal::{Lsn, Position};

use super::client::ClientId;
use super::tube::TubeIx;
use crate::names::JobId;

/// In which of its four states a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobState {
    /// Waiting for somebody to reserve it.
    Ready,
    /// Waiting for its time, in wall-clock milliseconds.
    Delayed { until_ms: u64 },
    /// Held by a client until its lease runs out.
    Reserved { by: ClientId, deadline: Mono },
    /// Put aside; `turn` keeps the order in which that happened.
    Buried { turn: u64 },
}

impl JobState {
    /// The word of `stats-job`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            JobState::Ready => "ready",
            JobState::Delayed { .. } => "delayed",
            JobState::Reserved { .. } => "reserved",
            JobState::Buried { .. } => "buried",
        }
    }
}

/// Jobs below this priority count as urgent.
pub(crate) const URGENT_BELOW: u32 = 1024;

/// What `stats-job` counts of one job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) reserves: u32,
    pub(crate) timeouts: u32,
    pub(crate) releases: u32,
    pub(crate) buries: u32,
    pub(crate) kicks: u32,
}

/// What most jobs that nobody has reserved yet do not have.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Extra {
    pub(crate) counts: Counts,
    /// The trace in which the job was put.
    pub(crate) trace: Option<TraceContext>,
    /// The record of the last reservation: it must be on disk before the next delivery, and nothing else waits for it.
    pub(crate) reserved_lsn: Lsn,
}

/// One job.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) id: JobId,
    pub(crate) created_ms: u64,
    /// The newest record about the job that an answer may depend on.
    pub(crate) lsn: Lsn,
    /// The record that holds the body.
    pub(crate) at: Position,
    pub(crate) body_len: u32,
    pub(crate) pri: u32,
    pub(crate) ttr_s: u32,
    pub(crate) delay_s: u32,
    pub(crate) tube: TubeIx,
    pub(crate) state: JobState,
    pub(crate) extra: Option<Box<Extra>>,
}

impl Job {
    /// The job's counters.
    pub(crate) fn counts(&self) -> Counts {
        self.extra.as_ref().map_or_else(Counts::default, |extra| extra.counts)
    }

    /// The trace in which the job was put.
    pub(crate) fn trace(&self) -> Option<TraceContext> {
        self.extra.as_ref().and_then(|extra| extra.trace)
    }

    /// What must be on disk before the job may be handed out.
    pub(crate) fn delivery_lsn(&self) -> Lsn {
        self.extra.as_ref().map_or(self.lsn, |extra| self.lsn.max(extra.reserved_lsn))
    }

    pub(crate) fn extra_mut(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    pub(crate) fn is_urgent(&self) -> bool {
        self.pri < URGENT_BELOW
    }
}

/// All jobs, by id.
#[derive(Default)]
pub(crate) struct Jobs {
    slots: Slab<Job>,
    index: HashMap<JobId, u32, BuildHasherDefault<IdHasher>>,
}

impl Jobs {
    pub(crate) fn get(&self, id: JobId) -> Option<&Job> {
        self.index.get(&id).map(|&slot| &self.slots[slot as usize])
    }

    pub(crate) fn get_mut(&mut self, id: JobId) -> Option<&mut Job> {
        self.index.get(&id).map(|&slot| &mut self.slots[slot as usize])
    }

    pub(crate) fn insert(&mut self, job: Job) {
        let id = job.id;
        let slot = u32::try_from(self.slots.insert(job)).expect("memory ends before 2^32 jobs");
        assert!(self.index.insert(id, slot).is_none(), "job {id} exists already");
    }

    pub(crate) fn remove(&mut self, id: JobId) -> Option<Job> {
        self.index.remove(&id).map(|slot| self.slots.remove(slot as usize))
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }
}

/// Ids count up, so one multiplication spreads them well enough; nobody can choose them.
#[derive(Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = (self.0 ^ id).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(26);
    }
}
