//! Keeps the log from growing: old segments are emptied by copying what still lives in them forward, then removed.
//!
//! Only the oldest segments can go, because a job's later records must not be read without the job. The order is that of
//! design/queue.md, 4.4 rule 5: the copies are appended, the removal rides on the batch after them, and the files go when
//! that batch is on disk.

use bytes::Bytes;
use stdx::io::Io;
use wal::{AppendError, ReadError};

use super::Broker;
use crate::engine::JobState;
use crate::log::record::{Attrs, JobRecord, Record, TubeRef, unknown_attrs};
use crate::names::JobId;

/// Bytes copied per commit, so that acknowledgements go on while segments are emptied.
const STEP_BYTES_MAX: u64 = 512 << 10;

/// How far the emptying of the oldest segment has come.
#[derive(Default)]
pub(super) struct Compaction {
    /// The segment being emptied and its jobs that were not looked at yet.
    moving: Option<(u64, Vec<JobId>)>,
    /// A body could not be read: the segments stay as they are until somebody has looked.
    stopped: bool,
}

/// Why a step ended early.
enum Stop {
    /// Try again after the next commit.
    Later,
    /// A damaged or unreadable record.
    Unreadable(ReadError),
}

impl From<AppendError> for Stop {
    fn from(_: AppendError) -> Stop {
        Stop::Later
    }
}

impl<D: Io> Broker<D> {
    /// One step: empties some of the oldest segment if the log is too long for what lives in it, and removes segments
    /// that are empty.
    pub(super) fn compact(&mut self) {
        if self.compaction.stopped {
            return;
        }
        if self.compaction.moving.is_none() && self.is_too_long() {
            let oldest = self.journal.oldest_segment();
            self.compaction.moving = Some((oldest, self.journal.take_jobs(oldest)));
        }
        if let Some((segment, jobs)) = self.compaction.moving.take() {
            match self.move_some(segment, jobs) {
                Ok(left) => self.compaction.moving = left.map(|jobs| (segment, jobs)),
                Err(cause) => {
                    tracing::error!(segment, %cause, "compaction of the queue's log is stopped");
                    self.compaction.stopped = true;
                }
            }
        }
        self.remove_empty_segments();
    }

    /// More than twice what lives, and one segment beyond.
    fn is_too_long(&self) -> bool {
        let (mut bytes, mut live) = (0, 0);
        for used in self.journal.segments().values() {
            bytes += used.bytes;
            live += used.live_bytes;
        }
        let slack = self.config.segment_bytes_max;
        bytes > 2 * live + slack && self.journal.oldest_segment() < self.journal.current_segment()
    }

    /// Copies jobs of `segment` forward; returns those that are left for the next step.
    fn move_some(&mut self, segment: u64, mut jobs: Vec<JobId>) -> Result<Option<Vec<JobId>>, ReadError> {
        let mut copied = 0;
        while let Some(id) = jobs.pop() {
            match self.move_one(segment, id) {
                Ok(bytes) => copied += bytes,
                Err(Stop::Later) => {
                    jobs.push(id);
                    return Ok(Some(jobs));
                }
                Err(Stop::Unreadable(cause)) => return Err(cause),
            }
            if copied >= STEP_BYTES_MAX {
                return Ok(Some(jobs));
            }
        }
        Ok(None)
    }

    /// Copies one job forward if it still lives in `segment`; returns the bytes copied.
    fn move_one(&mut self, segment: u64, id: JobId) -> Result<u64, Stop> {
        let Some(job) = self.engine.job(id).filter(|job| job.at.segment == segment) else { return Ok(0) };
        let (at, body_len) = (job.at, job.body_len as usize);
        let mut payload = std::mem::take(&mut self.body_scratch);
        let read = self.reader.read(at, &mut payload);
        let moved = match read {
            Ok(_) => self.append_moved(id, &payload, body_len),
            Err(ReadError::NotCommitted { .. }) => Err(Stop::Later),
            Err(cause) => Err(Stop::Unreadable(cause)),
        };
        self.body_scratch = payload;
        moved
    }

    fn append_moved(&mut self, id: JobId, payload: &[u8], body_len: usize) -> Result<u64, Stop> {
        let Some(job) = self.engine.job(id) else { return Ok(0) };
        let old = job.at;
        let damaged = || Stop::Unreadable(ReadError::Damaged { at: old });
        let others = unknown_attrs(payload).map_err(|_| damaged())?;
        let body = payload.len().checked_sub(body_len).map(|start| &payload[start..]).ok_or_else(damaged)?;
        let tube = self.engine.tube(job.tube);
        let space = &self.engine.space(tube.space).text;
        let (due_ms, buried_turn) = match job.state {
            JobState::Ready | JobState::Reserved { .. } => (0, None),
            JobState::Delayed { until_ms } => (until_ms, None),
            JobState::Buried { turn } => (0, Some(turn)),
        };
        let record = Record::Moved(JobRecord {
            id,
            created_ms: job.created_ms,
            due_ms,
            pri: job.pri,
            ttr_s: job.ttr_s,
            delay_s: job.delay_s,
            body_len: job.body_len,
            at: TubeRef { space, tube: tube.name.as_str() },
            attrs: Attrs { trace: job.trace(), counts: job.counts(), buried_turn, others: &others },
        });
        let (lsn, at) = self.journal.append_job(id, &record, body)?;
        self.bodies.keep(id, Bytes::copy_from_slice(body), lsn, self.journal.durable());
        self.journal.let_go(old);
        self.journal.records_moved += 1;
        if let Some(job) = self.engine.job_mut(id) {
            job.at = at;
        }
        Ok(u64::from(at.len))
    }

    /// Removes the oldest segments that hold no body. What else stood in them is written again first: totals, pauses, the
    /// mark of ids; so it is done only when it frees clearly more than it writes.
    fn remove_empty_segments(&mut self) {
        let current = self.journal.current_segment();
        let empty =
            self.journal.segments().iter().take_while(|(number, used)| **number < current && used.live_jobs == 0);
        let (mut segments, mut bytes) = (0, 0);
        for (_, used) in empty {
            segments += 1;
            bytes += used.bytes;
        }
        let rewrite = 256 * (self.engine.tubes_len() + self.engine.spaces().len() + 1) as u64;
        if segments == 0 || bytes < 2 * rewrite || self.write_totals().is_err() {
            return;
        }
        for _ in 0..segments {
            self.journal.drop_oldest();
        }
    }

    fn write_totals(&mut self) -> Result<(), AppendError> {
        self.journal.append_lazily(&Record::NextId { id: self.engine.next_id() })?;
        for space in self.engine.spaces() {
            self.journal.append_lazily(&Record::SpaceTotals { space: &space.text, totals: space.totals })?;
        }
        for tube in self.engine.tubes() {
            let space = &self.engine.space(tube.space).text;
            let at = || TubeRef { space, tube: tube.name.as_str() };
            if let Some(pause) = tube.pause {
                let (asked_ms, until_ms) = (pause.asked_ms, pause.until_ms);
                self.journal.append_lazily(&Record::Paused { at: at(), asked_ms, until_ms })?;
            }
            // After the pause, which counts one.
            self.journal.append_lazily(&Record::TubeTotals { at: at(), totals: tube.totals })?;
        }
        Ok(())
    }
}
