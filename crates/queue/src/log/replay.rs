//! From the log's records to the state they describe.

use std::collections::BTreeMap;

use stdx::io::Io;
use wal::{Found, Lsn, Position};

use super::checkpoint::{Far, Unusable};
use super::journal::SegmentUse;
use super::record::{Fate, JobRecord, Malformed, Record, TickRecord, TubeRef, space_from_text};
use crate::engine::{After, Counts, Engine, Job, JobState, Pause, PauseNote, SpaceIx, TubeIx};
use crate::names::JobId;

/// Reads a log into an engine, record by record in LSN order.
pub(crate) struct Replay<D: Io> {
    pub(crate) engine: Engine,
    /// The jobs that the engine knows of and does not have.
    pub(crate) far: Far<D>,
    /// Why one of them could not be had.
    pub(crate) lost: Option<Unusable>,
    pub(crate) segments: BTreeMap<u64, SegmentUse>,
    /// Bytes of the records that were read.
    pub(crate) bytes: u64,
    /// The first record that made no sense, and what it was.
    pub(crate) failed: Option<(Lsn, u8)>,
}

impl<D: Io> Replay<D> {
    pub(crate) fn new(engine: Engine) -> Replay<D> {
        Replay { engine, far: Far::new(None), lost: None, segments: BTreeMap::new(), bytes: 0, failed: None }
    }

    /// Takes the next record.
    pub(crate) fn visit(&mut self, found: Found<'_>) {
        self.bytes += u64::from(found.position.len);
        self.segments.entry(found.position.segment).or_default().bytes += u64::from(found.position.len);
        let applied = Record::decode(found.kind, found.payload).and_then(|record| self.apply(&found, record));
        if applied.is_err() && self.failed.is_none() {
            self.failed = Some((found.lsn, found.kind));
        }
    }

    /// Has the jobs that a record tells of in memory.
    fn bring_jobs_of(&mut self, record: &Record<'_>) {
        let id = match record {
            Record::Moved(job) => job.id,
            Record::Deleted { id }
            | Record::Released { id, .. }
            | Record::Buried { id, .. }
            | Record::Reserved { id, .. }
            | Record::LeaseOver { id, .. }
            | Record::Fate(Fate::Attempt { id, .. } | Fate::Died { id, .. } | Fate::Replayed { id, .. }) => *id,
            Record::Kicked { ids } => return ids.to_vec().into_iter().for_each(|id| self.bring(id)),
            // Of a new job, or of none.
            _ => return,
        };
        self.bring(id);
    }

    fn bring(&mut self, id: JobId) {
        if let Err(cause) = self.far.bring(&mut self.engine, id) {
            self.lost.get_or_insert(cause);
        }
    }

    fn apply(&mut self, found: &Found<'_>, record: Record<'_>) -> Result<(), Malformed> {
        if self.engine.far_len() > 0 {
            self.bring_jobs_of(&record);
        }
        match record {
            Record::Put(job) => {
                let tube = self.insert(found, &job)?;
                self.engine.count_put(tube);
                if let Some((name, tick_ms)) = job.attrs.tick {
                    self.tick(&TickRecord { space: job.at.space, name, tick_ms })?;
                }
            }
            Record::Moved(job) => {
                self.insert(found, &job)?;
            }
            Record::Deleted { id } => {
                if let Some(tube) = self.remove(id) {
                    self.engine.count_delete(tube);
                }
            }
            // A job may be unknown: its own record may have been in a damaged stretch of the log.
            Record::Released { id, .. }
            | Record::Buried { id, .. }
            | Record::Reserved { id, .. }
            | Record::LeaseOver { id, .. }
                if self.engine.job(id).is_none() => {}
            Record::Released { id, pri, delay_s, due_ms } => self.release(id, pri, delay_s, due_ms),
            Record::Buried { id, pri } => {
                // Out of the order of priorities before the priority changes.
                self.engine.bury(id, found.lsn.0);
                self.engine.set_pri(id, pri);
                self.count(id, |counts| counts.buries += 1);
            }
            Record::Kicked { ids } => {
                for id in ids.to_vec() {
                    self.count(id, |counts| counts.kicks += 1);
                    self.make_ready(id);
                }
            }
            Record::Reserved { id, times } => {
                self.count(id, |counts| counts.reserves = times);
                self.make_ready(id);
            }
            Record::LeaseOver { id, times, after } => self.lease_over(found.lsn, id, times, after),
            Record::Paused { at, asked_ms, until_ms, by, why } => {
                let tube = self.tube(&at)?;
                self.engine.pause(tube, Pause { asked_ms, until_ms, note: PauseNote::new(by, why) });
                self.engine.tube_mut(tube).totals.pauses += 1;
            }
            Record::TubeTotals { at, totals } => {
                let tube = self.tube(&at)?;
                self.engine.tube_mut(tube).totals = totals;
            }
            Record::SpaceTotals { space, totals } => {
                self.space(space).map(|space| self.engine.space_mut(space).totals = totals)?;
            }
            Record::Ticked(tick) => self.tick(&tick)?,
            Record::NextId { id } => self.ids_below(id),
            Record::ClockSet { ahead_ms } => self.engine.clock_ahead_ms = ahead_ms,
            Record::Fate(fate) => self.fate(found.lsn, fate)?,
        }
        Ok(())
    }

    fn tick(&mut self, tick: &TickRecord<'_>) -> Result<(), Malformed> {
        let space = self.space(tick.space)?;
        self.engine.set_tick(space, tick.name, tick.tick_ms);
        Ok(())
    }

    fn insert(&mut self, found: &Found<'_>, record: &JobRecord<'_>) -> Result<TubeIx, Malformed> {
        if !fits_a_row(found.position, record.body_len) {
            return Err(Malformed);
        }
        let tube = self.tube(&record.at)?;
        self.remove(record.id);
        let state = match (record.attrs.buried_turn, record.due_ms) {
            (Some(turn), _) => JobState::Buried { turn },
            (None, 0) => JobState::Ready,
            (None, until_ms) => JobState::Delayed { until_ms },
        };
        self.lives(found.position);
        let job = Job {
            id: record.id,
            created_ms: record.created_ms,
            lsn: found.lsn,
            at: found.position,
            body_len: record.body_len,
            pri: record.pri,
            ttr_s: record.ttr_s,
            delay_s: record.delay_s,
            tube,
            state,
        };
        self.engine.insert(job, record.attrs.facts());
        Ok(tube)
    }

    /// A job has its body there.
    pub(crate) fn lives(&mut self, at: Position) {
        let used = self.segments.entry(at.segment).or_default();
        used.live_jobs += 1;
        used.live_bytes += u64::from(at.len);
    }

    /// Segments below this one are gone; says whether no job has its body there.
    pub(crate) fn forget_below(&mut self, oldest: u64) -> bool {
        let kept = self.segments.split_off(&oldest);
        let gone = std::mem::replace(&mut self.segments, kept);
        gone.values().all(|used| used.live_jobs == 0)
    }

    /// Ids below this one have been given out.
    pub(crate) fn ids_below(&mut self, id: JobId) {
        self.engine.never_again(JobId(id.0.saturating_sub(1)));
    }

    fn remove(&mut self, id: JobId) -> Option<TubeIx> {
        let (job, _) = self.engine.remove(id)?;
        if let Some(used) = self.segments.get_mut(&job.at.segment) {
            used.live_jobs -= 1;
            used.live_bytes -= u64::from(job.at.len);
        }
        Some(job.tube)
    }

    fn release(&mut self, id: JobId, pri: u32, delay_s: u32, due_ms: u64) {
        // Through a state without priorities, for the same reason as above.
        self.engine.delay(id, due_ms);
        self.engine.set_pri(id, pri);
        self.count(id, |counts| counts.releases += 1);
        if let Some(tube) = self.engine.job(id).map(|job| job.tube) {
            self.engine.count_release(tube);
        }
        self.engine.update(id, |job| job.delay_s = delay_s);
        if due_ms == 0 {
            self.engine.make_ready(id);
        }
    }

    fn lease_over(&mut self, lsn: Lsn, id: JobId, times: u32, after: After) {
        self.count(id, |counts| counts.timeouts = times);
        if let Some(tube) = self.engine.job(id).map(|job| job.tube) {
            self.engine.count_timeout(tube);
        }
        match after {
            After::Ready => self.make_ready(id),
            After::Delayed { until_ms } => self.engine.delay(id, until_ms),
            After::Buried => {
                self.engine.bury(id, lsn.0);
                self.count(id, |counts| counts.buries += 1);
            }
        }
    }

    fn make_ready(&mut self, id: JobId) {
        if self.engine.job(id).is_some() {
            self.engine.make_ready(id);
        }
    }

    fn count(&mut self, id: JobId, count: impl FnOnce(&mut Counts)) {
        if let Some(mut facts) = self.engine.facts_mut(id) {
            count(&mut facts.counts);
        }
    }

    pub(super) fn space(&mut self, text: &str) -> Result<SpaceIx, Malformed> {
        Ok(self.engine.space_ix(&space_from_text(text)?))
    }

    /// The tube that a record names.
    pub(crate) fn tube(&mut self, at: &TubeRef<'_>) -> Result<TubeIx, Malformed> {
        let space = self.space(at.space)?;
        Ok(self.engine.tube_or_new(space, at.tube))
    }
}

/// Whether the table of jobs can hold where a body is. Nothing that was ever written is beyond that.
pub(crate) fn fits_a_row(at: Position, body_len: u32) -> bool {
    let head = at.len.checked_sub(body_len);
    head.is_some_and(|head| head < 1 << 24) && u32::try_from(at.segment).is_ok()
}
