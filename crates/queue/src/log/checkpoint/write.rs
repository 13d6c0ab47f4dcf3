//! The index as it is at one moment, and how it gets to disk while the queue goes on.

use std::io;
use std::path::Path;
use std::sync::Arc;

use stdx::io::Io;
use wal::Lsn;

use super::blocks::Out;
use super::{KEPT, Kind, MAGIC, PAUSED, UNTIL_DONE, VERSION, list, path_of, remove};
use crate::engine::{Chunk, Engine, Facts, Job, JobState, Pause, Totals};
use crate::log::journal::SegmentUse;
use crate::log::record::{Attrs, encode_note, encode_totals, put_text, put_u32, put_u64};
use crate::names::JobId;

/// One moment of the index. The jobs are shared with the engine, which copies what it changes from here on.
pub(crate) struct Checkpoint {
    log: [u8; 16],
    /// The newest record that it knows of.
    pub(crate) lsn: Lsn,
    next_id: JobId,
    clock_ahead_ms: i64,
    spaces: Vec<(String, Totals)>,
    tubes: Vec<Tube>,
    /// The place of each of the engine's tubes among these.
    numbers: Vec<u32>,
    segments: Vec<(u64, u64)>,
    /// Namespace, name and last tick of each periodic job.
    ticks: Vec<(String, String, u64)>,
    pub(crate) keys: Vec<Key>,
    jobs: Vec<Arc<Chunk>>,
}

/// A key of deduplication, with the place of its namespace.
pub(crate) struct Key {
    space: u32,
    text: Arc<str>,
    id: JobId,
    until_ms: u64,
}

struct Tube {
    space: String,
    name: String,
    pause: Option<Pause>,
    totals: Totals,
}

impl Checkpoint {
    /// Takes the moment: `lsn` is the newest record, durable or not. It may be written down once that is durable.
    pub(crate) fn take<'s>(
        engine: &Engine,
        next_id: JobId,
        segments: impl Iterator<Item = (&'s u64, &'s SegmentUse)>,
        (log, lsn): ([u8; 16], Lsn),
    ) -> Checkpoint {
        let mut order: Vec<_> = engine.tubes_with_ix().collect();
        order.sort_unstable_by_key(|(_, tube)| (tube.space, tube.place));
        let slots = order.iter().map(|(ix, _)| ix.0 as usize + 1).max().unwrap_or(0);
        let mut numbers = vec![u32::MAX; slots];
        for (number, (ix, _)) in order.iter().enumerate() {
            numbers[ix.0 as usize] = number as u32;
        }
        let tubes = order.iter().map(|(_, tube)| Tube {
            space: engine.space(tube.space).text.clone(),
            name: tube.name.to_string(),
            pause: tube.pause.clone(),
            totals: tube.totals,
        });
        Checkpoint {
            log,
            lsn,
            next_id,
            clock_ahead_ms: engine.clock_ahead_ms,
            spaces: engine.spaces().iter().map(|space| (space.text.clone(), space.totals)).collect(),
            tubes: tubes.collect(),
            numbers,
            segments: segments.map(|(number, used)| (*number, used.bytes)).collect(),
            ticks: ticks_of(engine).collect(),
            keys: keys_of(engine).collect(),
            jobs: engine.share_jobs(),
        }
    }

    /// Writes it down, then removes those that are not needed any more. Returns its length in bytes.
    ///
    /// # Errors
    /// What the disk says; then there is at most a file under a temporary name.
    pub(crate) fn write<D: Io>(&self, io: &D, folder: &Path) -> io::Result<u64> {
        let path = path_of(folder, self.lsn);
        let out = Out::create(io, &path)?;
        let temporary = out.temporary.clone();
        let bytes = match self.fill(out, &path) {
            Ok(bytes) => bytes,
            Err(e) => {
                if let Err(also) = io.unlink(&temporary) {
                    tracing::debug!(cause = %also, "what was written of a checkpoint stays until the next one");
                }
                return Err(e);
            }
        };
        let old: Vec<Lsn> = list(io, folder)?.into_iter().skip(KEPT).collect();
        remove(io, folder, &old)?;
        Ok(bytes)
    }

    fn fill<D: Io>(&self, mut out: Out<'_, D>, path: &Path) -> io::Result<u64> {
        self.write_head(out.entry(Kind::Head)?);
        for (text, totals) in &self.spaces {
            let entry = out.entry(Kind::Spaces)?;
            put_text(entry, text);
            put_totals(entry, totals);
        }
        for tube in &self.tubes {
            tube.write(out.entry(Kind::Tubes)?);
        }
        for (number, bytes) in &self.segments {
            let entry = out.entry(Kind::Segments)?;
            put_u64(entry, *number);
            put_u64(entry, *bytes);
        }
        for (space, name, tick_ms) in &self.ticks {
            let entry = out.entry(Kind::Ticks)?;
            put_text(entry, space);
            put_text(entry, name);
            put_u64(entry, *tick_ms);
        }
        for key in &self.keys {
            key.write(out.entry(Kind::Keys)?);
        }
        let mut jobs = 0;
        for chunk in &self.jobs {
            // Jobs in memory only are not to survive a start.
            let durable = || chunk.jobs(self.lsn).filter(|(job, _)| !job.is_volatile());
            for (job, _) in durable() {
                self.write_job(&job, out.entry(Kind::Jobs)?);
                jobs += 1;
            }
            for (job, facts) in durable() {
                if let Some(facts) = facts {
                    write_facts(job.id, facts, out.entry(Kind::Facts)?);
                }
            }
        }
        put_u64(out.entry(Kind::End)?, jobs);
        out.finish(path)
    }

    fn write_head(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&MAGIC);
        put_u32(out, VERSION);
        out.extend_from_slice(&self.log);
        put_u64(out, self.lsn.0);
        put_u64(out, self.next_id.0);
        put_u64(out, self.clock_ahead_ms.cast_unsigned());
    }

    fn write_job(&self, job: &Job, out: &mut Vec<u8>) {
        let (state, when) = match job.state {
            // Nobody holds anything after a start.
            JobState::Ready | JobState::Reserved { .. } => (0, 0),
            JobState::Delayed { until_ms } => (1, until_ms),
            JobState::Buried { turn } => (2, turn),
        };
        for number in [job.id.0, job.created_ms, job.at.segment, when] {
            put_u64(out, number);
        }
        let tube = self.numbers[job.tube.0 as usize];
        for number in [job.at.offset, job.at.len, job.body_len, job.pri, job.ttr_s, job.delay_s, tube] {
            put_u32(out, number);
        }
        out.push(state);
    }
}

fn ticks_of(engine: &Engine) -> impl Iterator<Item = (String, String, u64)> {
    engine
        .spaces()
        .iter()
        .flat_map(|space| space.ticks.iter().map(|(name, tick_ms)| (space.text.clone(), name.clone(), *tick_ms)))
}

fn keys_of(engine: &Engine) -> impl Iterator<Item = Key> {
    let windows = engine.keys().windows().map(|(space, text, window)| (space, text, window.id, window.until_ms));
    let is_logged = |id: JobId| engine.job(id).is_some_and(|job| !job.is_volatile());
    let unique = engine.keys().unique().filter(move |(_, _, id)| is_logged(*id));
    let all = windows.chain(unique.map(|(space, text, id)| (space, text, id, UNTIL_DONE)));
    all.map(|(space, text, id, until_ms)| Key { space: space.0, text: Arc::clone(text), id, until_ms })
}

impl Key {
    fn write(&self, out: &mut Vec<u8>) {
        put_u32(out, self.space);
        put_u64(out, self.id.0);
        put_u64(out, self.until_ms);
        put_list(out, |out| out.extend_from_slice(self.text.as_bytes()));
    }
}

impl Tube {
    fn write(&self, out: &mut Vec<u8>) {
        put_text(out, &self.space);
        put_text(out, &self.name);
        let (asked, until) = self.pause.as_ref().map_or((0, 0), |pause| (pause.asked_ms, pause.until_ms));
        out.push(if self.pause.is_some() { PAUSED } else { 0 });
        put_u64(out, asked);
        put_u64(out, until);
        if let Some(pause) = &self.pause {
            put_list(out, |out| encode_note(out, &pause.note.by, &pause.note.why));
        }
        put_totals(out, &self.totals);
    }
}

/// As a list of attributes with its length in front.
fn put_totals(out: &mut Vec<u8>, totals: &Totals) {
    put_list(out, |out| encode_totals(out, totals));
}

fn write_facts(id: JobId, facts: &Facts, out: &mut Vec<u8>) {
    put_u64(out, id.0);
    put_list(out, |out| Attrs::of(facts).encode(out));
}

fn put_list(out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    put_u32(out, 0);
    fill(out);
    let len = (out.len() - at - 4) as u32;
    out[at..at + 4].copy_from_slice(&len.to_le_bytes());
}
