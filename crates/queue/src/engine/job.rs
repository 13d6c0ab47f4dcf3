//! A job as the engine speaks of it: everything but its body.

use stdx::clock::Mono;
use stdx::trace::TraceContext;
use wal::{Lsn, Position};

use super::client::ClientId;
use super::more::More;
use super::row::WHEN_MAX;
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

/// Who holds a job, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) by: ClientId,
    pub(crate) deadline: Mono,
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

    /// The lease, if somebody holds the job.
    pub(super) fn lease(self) -> Option<Lease> {
        match self {
            JobState::Reserved { by, deadline } => Some(Lease { by, deadline }),
            _ => None,
        }
    }

    /// The state with times and turns as the job table can hold them.
    pub(super) fn cut(self) -> JobState {
        match self {
            JobState::Delayed { until_ms } => JobState::Delayed { until_ms: until_ms.min(WHEN_MAX) },
            JobState::Buried { turn } => JobState::Buried { turn: turn.min(WHEN_MAX) },
            other => other,
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

/// What most jobs that nobody has reserved yet do not have. It stands beside the job's row ([`super::table`]) and costs a
/// job without it nothing; whatever only some jobs have belongs here.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Facts {
    pub(crate) counts: Counts,
    /// The trace in which the job was put.
    pub(crate) trace: Option<TraceContext>,
    /// The record of the last reservation: it must be on disk before the next delivery, and nothing else waits for it.
    pub(crate) reserved_lsn: Lsn,
    /// Its body could not be read and was given up.
    pub(crate) is_damaged: bool,
    /// What only few jobs have.
    pub(crate) more: Option<Box<More>>,
    /// Of a reserved job; of any other it means nothing.
    pub(crate) lease: Option<Lease>,
}

/// One job, as its row says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
}

impl Job {
    /// Whether the job is in memory only: no log has a segment 0.
    pub(crate) fn is_volatile(&self) -> bool {
        self.at.segment == 0
    }

    pub(crate) fn is_urgent(&self) -> bool {
        self.pri < URGENT_BELOW
    }
}
