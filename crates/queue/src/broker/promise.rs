//! What an answer promises: whether a change goes into the log, and what its answer waits for.
//!
//! All classes share one log and one order of commits. A job of a `memory` tube has no record and so no place in the log:
//! its segment is 0, which no log has. A job keeps to that when its tube gets another class.

use std::time::Duration;

use stdx::io::Io;
use wal::{AppendError, Lsn};

use super::Broker;
use crate::durability::Durability;
use crate::engine::{Job, TubeIx};
use crate::log::record::Record;
use crate::names::JobId;

/// Ids that one record keeps from being given out again.
const IDS_AHEAD: u64 = 1 << 16;

/// A change that was noted as its tube's class has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Noted {
    /// What an answer that tells of it waits for.
    pub(super) lsn: Lsn,
    /// Greater than that of any change before.
    pub(super) turn: u64,
}

/// Ids that no start will give out again although no job's record says so.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct IdsAhead {
    /// Ids below are safe once `lsn` is on disk.
    below: u64,
    lsn: Lsn,
    /// Ids below were safe before that.
    before: u64,
}

impl<D: Io> Broker<D> {
    pub(super) fn durability(&self, tube: TubeIx) -> Durability {
        self.engine.tube(tube).config.durability
    }

    /// Notes a change to a job.
    pub(super) fn note(&mut self, job: &Job, record: &Record<'_>) -> Result<Noted, AppendError> {
        if job.is_volatile() {
            self.volatile_turn += 1;
            return Ok(Noted { lsn: Lsn(0), turn: self.volatile_turn });
        }
        match self.durability(job.tube) {
            Durability::Disk => {
                let lsn = self.journal.append(record)?;
                Ok(Noted { lsn, turn: lsn.0 })
            }
            other => {
                let lsn = self.journal.append_lazily(record)?;
                self.commit_within(other);
                Ok(Noted { lsn: Lsn(0), turn: lsn.0 })
            }
        }
    }

    /// Notes what may be lost without breaking a promise.
    pub(super) fn note_lazily(&mut self, job: &Job, record: &Record<'_>) -> Result<Noted, AppendError> {
        if job.is_volatile() {
            return self.note(job, record);
        }
        let lsn = self.journal.append_lazily(record)?;
        let waits = self.durability(job.tube) == Durability::Disk;
        Ok(Noted { lsn: if waits { lsn } else { Lsn(0) }, turn: lsn.0 })
    }

    /// What was just appended has to be on disk when the interval is over.
    pub(super) fn commit_within(&mut self, durability: Durability) {
        if let Durability::Interval { ms } = durability {
            let by = self.engine.now.mono + Duration::from_millis(u64::from(ms));
            self.journal.commit_by(by);
        }
    }

    /// Ids below this one must not be given out after a start.
    pub(super) fn ids_below(&self) -> JobId {
        JobId(self.engine.next_id().0.max(self.ids_ahead.below))
    }

    /// The next id for a job that a crash may forget: its client may still know it then, so that it must not be given to
    /// another job. Returns the id and what must be on disk before somebody is told of it.
    pub(super) fn forgettable_id(&mut self) -> Result<(JobId, Lsn), AppendError> {
        let id = self.engine.next_id();
        let ids = self.ids_ahead;
        if id.0 + IDS_AHEAD / 2 >= ids.below {
            let below = id.0 + IDS_AHEAD;
            let lsn = self.journal.append_lazily(&Record::NextId { id: JobId(below) })?;
            self.journal.want(lsn);
            let before = if ids.lsn <= self.journal.durable() { ids.below } else { ids.before };
            self.ids_ahead = IdsAhead { below, lsn, before };
        }
        let waits_for = if id.0 < self.ids_ahead.before { Lsn(0) } else { self.ids_ahead.lsn };
        Ok((id, waits_for))
    }
}
