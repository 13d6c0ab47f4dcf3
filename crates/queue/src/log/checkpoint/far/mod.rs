//! Far jobs: delayed beyond `queue.horizon_ms`, and known to memory by bucket, not by job.
//!
//! # Where they are
//! The far part of a checkpoint *is* their files. A checkpoint writes the jobs whose time is beyond the horizon apart from
//! the others, twice over: whole, by id, in blocks of 128 ([`index::RowBlock`]), and as keys (due time, id) by tube and in
//! the order in which they fall due, in buckets of 128 ([`index::KeyBlock`]). Memory keeps where each block begins and its
//! first entry: about half a byte a job. When the file is on disk (synced, renamed, its folder synced), the jobs that have
//! not changed since leave memory. So nothing new is durable or can be lost: the log is the whole state as ever, a start
//! without a checkpoint reads all of it, and a start from one finds the far jobs in the file that the checkpoint is.
//!
//! # Which of the two is true
//! A job is in memory or far, never both, and the file is never changed. So whoever looks into it asks three things: a job
//! in memory is what memory says; a job in `holes` was in the file and has come back since, whatever became of it then;
//! only of the others is the file true. While the next checkpoint is written, two sets are kept apart: the holes of the
//! old file as they were when the moment was taken (`held`; the writer leaves those jobs out), and those since, which are
//! the holes of the new file when that takes over. A job that was to go far and changed meanwhile is among the latter
//! ([`Engine::drain_touched`]): it stays. Jobs leave memory some at a time ([`Far::send_some`]); until its turn comes, a
//! job is in memory, and the file's word on it does not count.
//!
//! # How they come back
//! - A bucket when it is near: half the horizon before its first job is due, so that the timers of the engine have it long
//!   before. The engine's alarm of a tube rings for that, too.
//! - The first of a tube when they are asked for (`kick`, `peek-delayed`, listings): [`Far::bring_first`].
//! - One by its id, when anybody names it: [`Far::bring`]. Compaction looks at a job in the file before it brings it back.
//! - While the log is read at a start, those of which a record tells.
//!
//! The next checkpoint sends them away again if they are still far. Jobs with an ordering key stay: others wait for them.
//!
//! # Damage
//! Every block that is read has its checksum compared. A checkpoint whose far part is damaged is passed over at a start as
//! any other that is. While the queue runs, a block that cannot be read stops it: it answers nothing it does not know, and
//! the next start reads the log, in which all is.

mod index;
mod write;

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use stdx::io::Io;

pub(super) use index::{BLOCK_ENTRIES, FarIndex, Key, KeyBlock, RowBlock};
pub(super) use write::{Moment, numbers_of, write};

use super::blocks::Blocks;
use super::{Kind, Unusable, path_of, row};
use crate::engine::{Engine, Facts, Job, TubeIx};
use crate::log::record::{Attrs, Input};
use crate::names::JobId;

/// What one entry of the set of holes takes, with the room that a set keeps.
const HOLE_BYTES: u64 = 18;

/// A file with far jobs.
pub(crate) struct FarFile<D: Io> {
    path: PathBuf,
    blocks: Blocks<D>,
    index: Arc<FarIndex>,
}

impl<D: Io> FarFile<D> {
    /// Opens the far part of a checkpoint; `None` when it has none.
    pub(super) fn open(io: &D, folder: &Path, index: FarIndex) -> std::io::Result<Option<FarFile<D>>> {
        if index.jobs == 0 {
            return Ok(None);
        }
        let path = path_of(folder, index.lsn);
        Ok(Some(FarFile { blocks: Blocks::open(io, &path)?, path, index: Arc::new(index) }))
    }
}

/// A block as it was last read.
struct Cached {
    block: usize,
    rows: Vec<(Job, Option<Facts>)>,
}

/// All far jobs.
pub(crate) struct Far<D: Io> {
    file: Option<FarFile<D>>,
    /// Jobs of the file that have come back, or are not to go.
    holes: HashSet<JobId>,
    /// Those of the time before the moment that is being written.
    held: Arc<HashSet<JobId>>,
    /// The buckets of each tube that have not come back.
    buckets: HashMap<TubeIx, Range<usize>>,
    /// Jobs of the file that are to leave memory.
    leaving: std::vec::IntoIter<JobId>,
    cached: Option<Cached>,
    scratch: Vec<u8>,
    /// Buckets come back so long before they are due.
    near_ms: u64,
    /// Jobs that have left memory.
    pub(crate) sent: u64,
}

impl<D: Io> Far<D> {
    pub(crate) fn new(file: Option<FarFile<D>>) -> Far<D> {
        let buckets = file.as_ref().map(|file| file.index.tubes_keys()).unwrap_or_default();
        Far {
            file,
            holes: HashSet::new(),
            held: Arc::default(),
            buckets,
            leaving: Vec::new().into_iter(),
            cached: None,
            scratch: Vec::new(),
            near_ms: 0,
            sent: 0,
        }
    }

    /// Sets how long before it is due a bucket comes back, and the alarm of every tube.
    pub(crate) fn settle(&mut self, engine: &mut Engine, near_ms: u64) {
        self.near_ms = near_ms;
        let tubes: Vec<TubeIx> = self.buckets.keys().copied().collect();
        tubes.into_iter().for_each(|tube| self.set_alarm(engine, tube));
    }

    /// What it takes of memory, nearly.
    pub(crate) fn bytes(&self) -> u64 {
        let index = self.file.as_ref().map_or(0, |file| file.index.bytes());
        let leaving = self.leaving.len() * size_of::<JobId>();
        index + (self.holes.capacity() + self.held.len()) as u64 * HOLE_BYTES + leaving as u64
    }

    /// How many jobs of the file are not what it says any more.
    pub(crate) fn stale(&self) -> usize {
        self.holes.len()
    }

    /// The job if it is far, as the file has it.
    ///
    /// # Errors
    /// The file does not say.
    pub(crate) fn look(&mut self, engine: &mut Engine, id: JobId) -> Result<Option<&(Job, Option<Facts>)>, Unusable> {
        if engine.far_len() == 0 || engine.job(id).is_some() {
            return Ok(None);
        }
        self.note_touched(engine);
        let Some(file) = self.file.as_ref().filter(|_| !self.is_hole(id)) else { return Ok(None) };
        let Some(block) = file.index.block_of(id) else { return Ok(None) };
        if self.cached.as_ref().is_none_or(|cached| cached.block != block) {
            self.cached = None;
            let place = file.index.rows[block].place;
            let rows = decode_rows(file.blocks.read(place, Kind::FarJobs, &mut self.scratch)?, &file.index.tubes)?;
            self.cached = Some(Cached { block, rows });
        }
        let rows = self.cached.as_ref().map_or(&[][..], |cached| &cached.rows);
        Ok(rows.binary_search_by_key(&id, |(job, _)| job.id).ok().map(|at| &rows[at]))
    }

    /// The job is in memory again, if it is far. Says whether it was.
    ///
    /// # Errors
    /// As [`Far::look`].
    pub(crate) fn bring(&mut self, engine: &mut Engine, id: JobId) -> Result<bool, Unusable> {
        let Some((job, facts)) = self.look(engine, id)?.cloned() else { return Ok(false) };
        self.holes.insert(id);
        engine.bring_back(&job, facts);
        Ok(true)
    }

    /// The first `n` delayed jobs of a tube are in memory.
    ///
    /// # Errors
    /// As [`Far::look`].
    pub(crate) fn bring_first(&mut self, engine: &mut Engine, tube: TubeIx, n: usize) -> Result<(), Unusable> {
        while let Some(next) = self.next_key(tube) {
            let last = n.checked_sub(1).and_then(|last| engine.tube(tube).delayed.iter().nth(last));
            if n == 0 || last.is_some_and(|last| *last < next) {
                break;
            }
            self.bring_bucket(engine, tube)?;
        }
        Ok(())
    }

    /// The next bucket of a tube is in memory, and the tube's alarm rings for the one after it.
    ///
    /// # Errors
    /// As [`Far::look`].
    pub(crate) fn bring_bucket(&mut self, engine: &mut Engine, tube: TubeIx) -> Result<(), Unusable> {
        let Some((file, bucket)) = self.file.as_ref().zip(self.buckets.get(&tube)).filter(|(_, all)| !all.is_empty())
        else {
            return Ok(());
        };
        let place = file.index.keys[bucket.start].place;
        let mut ids = decode_keys(file.blocks.read(place, Kind::FarKeys, &mut self.scratch)?)?;
        // So that neighbours are read once.
        ids.sort_unstable();
        for id in ids {
            self.bring(engine, id)?;
            // One that was to leave stays: nobody would come for it again.
            self.holes.insert(id);
        }
        if let Some(all) = self.buckets.get_mut(&tube) {
            all.start += 1;
        }
        self.set_alarm(engine, tube);
        Ok(())
    }

    /// All of them are in memory.
    ///
    /// # Errors
    /// As [`Far::look`].
    pub(crate) fn bring_all(&mut self, engine: &mut Engine) -> Result<(), Unusable> {
        self.bring_those(engine, |_| true)
    }

    /// Those are in memory that the caller wants of all.
    ///
    /// # Errors
    /// As [`Far::look`].
    pub(crate) fn bring_those(&mut self, engine: &mut Engine, wants: impl Fn(&Job) -> bool) -> Result<(), Unusable> {
        let Some(file) = &self.file else { return Ok(()) };
        let index = Arc::clone(&file.index);
        for block in &index.rows {
            let Some(file) = &self.file else { return Ok(()) };
            let rows = decode_rows(file.blocks.read(block.place, Kind::FarJobs, &mut self.scratch)?, &index.tubes)?;
            for (job, _) in rows.iter().filter(|(job, _)| wants(job)) {
                self.bring(engine, job.id)?;
            }
        }
        Ok(())
    }

    /// A moment of the index is taken: what a checkpoint of it needs, and jobs due from `from_ms` on are watched from now on.
    pub(super) fn hold(&mut self, engine: &mut Engine, from_ms: u64) -> Moment {
        self.note_touched(engine);
        self.held = Arc::new(std::mem::take(&mut self.holes));
        engine.watch_far(from_ms);
        let file = self.file.as_ref().map(|file| (file.path.clone(), Arc::clone(&file.index)));
        Moment { from_ms, file, holes: Arc::clone(&self.held) }
    }

    /// The checkpoint could not be written: all is as it was.
    pub(crate) fn keep_on(&mut self, engine: &mut Engine) {
        self.note_touched(engine);
        engine.watch_far(u64::MAX);
        self.holes.extend(self.held.iter());
        self.held = Arc::default();
    }

    /// The new file is on disk and takes the place of the old one; these jobs of it are to leave memory.
    pub(crate) fn take_over(&mut self, engine: &mut Engine, file: Option<FarFile<D>>, leaving: Vec<JobId>) {
        self.note_touched(engine);
        self.held = Arc::default();
        self.cached = None;
        let before: Vec<TubeIx> = self.buckets.keys().copied().collect();
        self.buckets = file.as_ref().map(|file| file.index.tubes_keys()).unwrap_or_default();
        self.file = file;
        self.leaving = leaving.into_iter();
        let tubes: HashSet<TubeIx> = before.into_iter().chain(self.buckets.keys().copied()).collect();
        tubes.into_iter().for_each(|tube| self.set_alarm(engine, tube));
        self.end_leaving(engine);
    }

    /// Some of the jobs that are to leave memory do; says whether there are more.
    pub(crate) fn send_some(&mut self, engine: &mut Engine, n: usize) -> bool {
        if !self.is_sending() {
            return false;
        }
        self.note_touched(engine);
        for id in self.leaving.by_ref().take(n) {
            if !self.holes.contains(&id) {
                engine.send_far(id);
                self.sent += 1;
            }
        }
        self.end_leaving(engine);
        self.is_sending()
    }

    /// Whether jobs are still to leave memory.
    pub(crate) fn is_sending(&self) -> bool {
        !self.leaving.as_slice().is_empty()
    }

    fn end_leaving(&mut self, engine: &mut Engine) {
        if !self.is_sending() {
            self.leaving = Vec::new().into_iter();
            engine.watch_far(u64::MAX);
            if self.file.is_none() {
                self.holes = HashSet::new();
            }
        }
    }

    /// A bug: what came back or changed while a checkpoint was written is forgotten.
    #[cfg(test)]
    pub(crate) fn forget_holes(&mut self, engine: &mut Engine) {
        self.note_touched(engine);
        self.holes.clear();
    }

    /// The first job of a tube that may be far; none before it is.
    fn next_key(&self, tube: TubeIx) -> Option<Key> {
        let bucket = self.buckets.get(&tube).filter(|all| !all.is_empty())?.start;
        Some(self.file.as_ref()?.index.keys[bucket].first)
    }

    fn set_alarm(&self, engine: &mut Engine, tube: TubeIx) {
        let next = self.next_key(tube).map(|(due_ms, _)| due_ms.saturating_sub(self.near_ms));
        engine.set_far_alarm(tube, next);
    }

    fn is_hole(&self, id: JobId) -> bool {
        self.holes.contains(&id) || self.held.contains(&id)
    }

    /// What changed of those that are watched is not what the file says.
    fn note_touched(&mut self, engine: &mut Engine) {
        self.holes.extend(engine.drain_touched());
    }
}

fn decode_rows(payload: &[u8], tubes: &[TubeIx]) -> Result<Vec<(Job, Option<Facts>)>, Unusable> {
    let mut input = Input(payload);
    let mut rows = Vec::with_capacity(BLOCK_ENTRIES);
    while !input.0.is_empty() {
        let job = row::decode(&mut input, tubes)?;
        let len = input.u32()? as usize;
        rows.push((job, Attrs::decode(input.take(len)?)?.facts()));
    }
    Ok(rows)
}

fn decode_keys(payload: &[u8]) -> Result<Vec<JobId>, Unusable> {
    let mut input = Input(payload);
    input.u32()?;
    let mut ids = Vec::with_capacity(BLOCK_ENTRIES);
    while !input.0.is_empty() {
        input.u64()?;
        ids.push(input.id()?);
    }
    Ok(ids)
}
