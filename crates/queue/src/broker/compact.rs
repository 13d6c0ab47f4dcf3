//! Keeps the log from growing: old segments are emptied by copying what still lives in them forward, then removed.
//!
//! Only the oldest segments can go, because a job's later records must not be read without the job. The order is that of
//! design/queue.md, 4.4 rule 5: the copies are appended, the removal rides on the batch after them, and the files go when
//! that batch is on disk.

use std::time::Duration;

use bytes::Bytes;
use stdx::clock::Mono;
use stdx::io::Io;
use wal::{AppendError, ReadError, Scanned};

use super::Broker;
use super::damage::Trouble;
use crate::engine::{JobState, Pause, Window};
use crate::log::record::{self, Attrs, Fate, JobRecord, Record, TubeRef, unknown_attrs};
use crate::names::JobId;

/// Bytes read, and at most copied, per commit, so that acknowledgements go on while segments are emptied: a sync of so much
/// costs what one of a few bytes does (design/queue.md, 4.3).
const STEP_BYTES: u32 = 256 << 10;

/// How far the emptying of the oldest segment has come.
#[derive(Default)]
pub(super) struct Compaction {
    /// The segment being emptied, and where in it the next batch starts.
    moving: Option<(u64, Option<u32>)>,
    /// The disk did not give what it holds: nothing is tried again before this, and the plane's status says why.
    stopped: Option<(Mono, String)>,
    /// A repair empties the segments up to this one, whatever they hold: what cannot be read is lost.
    pub(super) through: Option<u64>,
}

/// How long compaction rests after the disk did not read.
const REST: Duration = Duration::from_secs(60);

impl<D: Io> Broker<D> {
    /// One step: empties some of the oldest segment if the log is too long for what lives in it, and removes segments
    /// that are empty. Says whether something was read and nothing written, so that no commit brings the next step.
    pub(crate) fn compact(&mut self) -> bool {
        let now = self.engine.now.mono;
        if self.failed.is_some()
            || self.copies > 0
            || self.compaction.stopped.as_ref().is_some_and(|(until, _)| *until > now)
        {
            return false;
        }
        // What was left of a segment may end by itself before all of it is read; then the segment is gone.
        let oldest = self.journal.oldest_segment();
        self.compaction.moving.take_if(|(segment, _)| *segment < oldest);
        if self.compaction.moving.is_none() && self.is_too_long() && self.may_begin() {
            self.compaction.moving = Some((oldest, None));
        }
        let (moved, mut goes_on) = (self.journal.records_moved, false);
        if let Some((segment, from)) = self.compaction.moving.take() {
            match self.move_some(segment, from) {
                Ok(Some(next)) => {
                    self.compaction.moving = Some((segment, Some(next)));
                    goes_on = self.journal.records_moved == moved;
                }
                Ok(None) => self.compaction.stopped = None,
                Err(Stop::Later) => self.compaction.moving = Some((segment, from)),
                Err(Stop::Unreadable(cause)) => {
                    tracing::error!(segment, %cause, "compaction of the queue's log rests");
                    let reason = format!("its log cannot be compacted, segment {segment}: {cause}");
                    self.compaction.stopped = Some((now + REST, reason));
                }
            }
        }
        self.remove_empty_segments();
        if self.is_tight() && self.journal.records_moved > moved {
            // Somebody waits for the space.
            self.journal.want(self.journal.last());
        }
        goes_on
    }

    /// As [`Broker::compact`], when puts are refused for want of space or soon will be: then nobody's commit may come.
    pub(crate) fn compact_if_tight(&mut self) -> bool {
        self.is_tight() && !self.is_behind() && self.compact()
    }

    /// More than twice what lives, and one segment beyond. Where space is short, whatever is worth the copying.
    fn is_too_long(&self) -> bool {
        if self.must_go() {
            return true;
        }
        let (mut bytes, mut live) = (0, 0);
        for used in self.journal.segments().values() {
            bytes += used.bytes;
            live += used.live_bytes;
        }
        let slack = self.segment_bytes_max;
        let bound = if self.is_tight() { live + live / 8 + slack } else { 2 * live + slack };
        bytes > bound && self.reader.is_closed(self.journal.oldest_segment())
    }

    /// Whether the oldest segment is to go whatever it holds.
    fn must_go(&self) -> bool {
        self.compaction.through.is_some_and(|last| self.journal.oldest_segment() <= last)
    }

    /// One step towards a log without the segments up to `last`; says whether there is more to do. What it appends is
    /// committed before the next step.
    ///
    /// # Errors
    /// Why it goes no further, in words.
    pub(crate) fn empty_through(&mut self, last: u64) -> Result<bool, String> {
        self.compaction.through = Some(last);
        if self.journal.current_segment() <= last {
            return Err(format!("segment {last} is still being written"));
        }
        if !self.must_go() {
            self.compaction.through = None;
            // Those that are missing leave with them.
            self.journal.remove_below(last + 1);
            return Ok(false);
        }
        let (moved, oldest) = (self.journal.records_moved, self.journal.oldest_segment());
        let place = self.compaction.moving;
        self.compact();
        if let Some(reason) = self.why_not_compacted() {
            return Err(reason.to_owned());
        }
        let went_on = self.journal.records_moved > moved
            || self.journal.oldest_segment() > oldest
            || self.compaction.moving != place;
        if went_on { Ok(true) } else { Err(format!("there is no space to write again what lives in segment {oldest}")) }
    }

    /// Whether there is space for what has to be copied before the segment goes: what cannot be finished would only take the
    /// space that is left. The copies share a segment with what comes meanwhile.
    fn may_begin(&mut self) -> bool {
        let live = self.journal.segments().first_key_value().map_or(0, |(_, used)| used.live_bytes);
        live == 0 || self.has_space_for(live + live / 8 + u64::from(STEP_BYTES))
    }

    /// Copies jobs of `segment` forward; returns where the next step starts, `None` when there is nothing left.
    fn move_some(&mut self, segment: u64, from: Option<u32>) -> Result<Option<u32>, Stop> {
        let mut residents = Vec::new();
        let (engine, far) = (&mut self.engine, &mut self.far);
        let mut lost = None;
        let scanned = self.reader.scan_some(segment, from, STEP_BYTES, &mut |found: wal::Found<'_>| {
            let Some(id) = record::job_id(found.kind, found.payload) else { return };
            let at = match engine.job(id) {
                Some(job) => Some(job.at),
                None => match far.look(engine, id) {
                    Ok(far) => far.map(|(job, _)| job.at),
                    Err(cause) => {
                        lost.get_or_insert(cause);
                        None
                    }
                },
            };
            if at == Some(found.position) {
                residents.push((id, found.payload.to_vec()));
            }
        });
        self.must_have(lost.map_or(Ok(()), Err));
        if self.failed.is_some() {
            return Err(Stop::Later);
        }
        let scanned = match scanned {
            // A file that is missing: what lived in it is lost.
            Err(ReadError::NoSegment { .. }) if self.compaction.through.is_some() => {
                Scanned { next: None, damage: Vec::new() }
            }
            other => other?,
        };
        for (id, payload) in residents {
            self.append_moved(id, &payload)?;
        }
        if scanned.next.is_none() && self.journal.lives_in(segment) {
            let singly = self.sort_out(segment)?;
            for (id, payload) in singly {
                self.append_moved(id, &payload)?;
            }
        }
        Ok(scanned.next)
    }

    /// Why old segments stay although they should go.
    pub(crate) fn why_not_compacted(&self) -> Option<&str> {
        self.compaction.stopped.as_ref().map(|(_, reason)| reason.as_str())
    }

    fn append_moved(&mut self, id: JobId, payload: &[u8]) -> Result<(), Stop> {
        self.bring(id);
        let Some(job) = self.engine.job(id) else { return Ok(()) };
        let (old, body_len) = (job.at, job.body_len as usize);
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
        let attrs = self.engine.facts(id).map_or_else(Attrs::default, Attrs::of);
        let record = Record::Moved(JobRecord {
            id,
            created_ms: job.created_ms,
            due_ms,
            pri: job.pri,
            ttr_s: job.ttr_s,
            delay_s: job.delay_s,
            body_len: job.body_len,
            at: TubeRef { space, tube: tube.name.as_str() },
            attrs: Attrs { buried_turn, others: &others, ..attrs },
        });
        let (lsn, at) = self.journal.append_job(&record, body)?;
        self.bodies.pass(id, Bytes::copy_from_slice(body), lsn, self.journal.durable());
        self.journal.let_go(old);
        self.journal.records_moved += 1;
        self.engine.update(id, |job| job.at = at);
        Ok(())
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
        let totals = self.engine.tubes_len() + self.engine.spaces().len() + self.engine.keys().len() + 1;
        let rewrite = 256 * totals as u64;
        let is_worth_it = bytes >= 2 * rewrite || self.must_go();
        if segments == 0 || !is_worth_it || self.write_totals().is_err() {
            return;
        }
        for _ in 0..segments {
            self.journal.drop_oldest();
        }
    }

    fn write_totals(&mut self) -> Result<(), AppendError> {
        self.journal.append_lazily(&Record::NextId { id: self.ids_below() })?;
        if self.engine.clock_ahead_ms != 0 {
            self.journal.append_lazily(&Record::ClockSet { ahead_ms: self.engine.clock_ahead_ms })?;
        }
        for space in self.engine.spaces() {
            self.journal.append_lazily(&Record::SpaceTotals { space: &space.text, totals: space.totals })?;
        }
        for (space, key, Window { id, until_ms, .. }) in self.engine.keys().windows() {
            let space = &self.engine.space(space).text;
            self.journal.append_lazily(&Record::Fate(Fate::Key { id, until_ms, space, key }))?;
        }
        for tube in self.engine.tubes() {
            let space = &self.engine.space(tube.space).text;
            let at = || TubeRef { space, tube: tube.name.as_str() };
            if let Some(pause) = &tube.pause {
                let Pause { asked_ms, until_ms, ref note } = *pause;
                self.journal.append_lazily(&Record::Paused {
                    at: at(),
                    asked_ms,
                    until_ms,
                    by: &note.by,
                    why: &note.why,
                })?;
            }
            // After the pause, which counts one.
            self.journal.append_lazily(&Record::TubeTotals { at: at(), totals: tube.totals })?;
        }
        self.write_ticks()
    }
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

impl From<Trouble> for Stop {
    fn from(trouble: Trouble) -> Stop {
        match trouble {
            Trouble::Disk(cause) => Stop::Unreadable(cause),
            Trouble::Log => Stop::Later,
        }
    }
}

impl From<ReadError> for Stop {
    fn from(cause: ReadError) -> Stop {
        Stop::Unreadable(cause)
    }
}
