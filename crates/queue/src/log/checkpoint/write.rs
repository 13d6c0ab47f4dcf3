//! The index as it is at one moment, and how it gets to disk while the queue goes on.

use std::io;
use std::path::Path;
use std::sync::Arc;

use stdx::io::Io;
use wal::Lsn;

use super::blocks::Out;
use super::far::{self, Far, FarFile, FarIndex, Moment};
use super::{KEPT, Kind, MAGIC, PAUSED, UNTIL_DONE, VERSIONS, list, path_of, put_list, remove, row};
use crate::engine::{Chunk, Engine, Facts, Pause, Totals, TubeIx};
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
    /// The engine's tubes by their place among these.
    order: Vec<TubeIx>,
    segments: Vec<(u64, u64)>,
    /// Namespace, name and last tick of each periodic job.
    ticks: Vec<(String, String, u64)>,
    pub(crate) keys: Vec<Key>,
    jobs: Vec<Arc<Chunk>>,
    far: Moment,
}

/// What became of a checkpoint.
pub(crate) struct Written<D: Io> {
    /// Bytes of its file.
    pub(crate) bytes: u64,
    /// Its far part.
    pub(crate) far: Option<FarFile<D>>,
    /// Jobs that may leave memory now.
    pub(crate) leaving: Vec<JobId>,
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
    /// Takes the moment: `lsn` is the newest record, durable or not. It may be written down once that is durable. Delayed jobs
    /// due from `far_ms` on go far with it, if whoever writes it down says so to `far`.
    pub(crate) fn take<'s, D: Io>(
        (engine, far, far_ms): (&mut Engine, &mut Far<D>, u64),
        next_id: JobId,
        segments: impl Iterator<Item = (&'s u64, &'s SegmentUse)>,
        (log, lsn): ([u8; 16], Lsn),
    ) -> Checkpoint {
        let jobs = engine.share_jobs();
        let far = far.hold(engine, far_ms);
        let mut order: Vec<_> = engine.tubes_with_ix().collect();
        order.sort_unstable_by_key(|(_, tube)| (tube.space, tube.place));
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
            order: order.iter().map(|(ix, _)| *ix).collect(),
            segments: segments.map(|(number, used)| (*number, used.bytes)).collect(),
            ticks: ticks_of(engine).collect(),
            keys: keys_of(engine).collect(),
            jobs,
            far,
        }
    }

    /// A bug: what was far before is forgotten.
    #[cfg(test)]
    pub(crate) fn leave_out_far_jobs(&mut self) {
        self.far.forget();
    }

    /// Writes it down, then removes those that are not needed any more.
    ///
    /// # Errors
    /// What the disk says; then there is at most a file under a temporary name.
    pub(crate) fn write<D: Io>(&self, io: &D, folder: &Path) -> io::Result<Written<D>> {
        let path = path_of(folder, self.lsn);
        let out = Out::create(io, &path)?;
        let temporary = out.temporary.clone();
        let (bytes, index, leaving) = match self.fill(io, out, &path) {
            Ok(filled) => filled,
            Err(e) => {
                if let Err(also) = io.unlink(&temporary) {
                    tracing::debug!(cause = %also, "what was written of a checkpoint stays until the next one");
                }
                return Err(e);
            }
        };
        let far = FarFile::open(io, folder, index)?;
        let old: Vec<Lsn> = list(io, folder)?.into_iter().skip(KEPT).collect();
        remove(io, folder, &old)?;
        Ok(Written { bytes, far, leaving })
    }

    fn fill<D: Io>(&self, io: &D, mut out: Out<'_, D>, path: &Path) -> io::Result<(u64, FarIndex, Vec<JobId>)> {
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
        let near = self.write_near_jobs(&mut out)?;
        let all = self.jobs.iter().flat_map(|chunk| chunk.jobs(self.lsn));
        let going = all.filter(|(job, facts)| self.far.takes(job, *facts));
        let (index, leaving) = far::write(io, &mut out, &self.far, (self.lsn, &self.order), going)?;
        put_u64(out.entry(Kind::End)?, near + index.jobs);
        Ok((out.finish(path)?, index, leaving))
    }

    /// Those that stay in memory. Returns how many there are.
    fn write_near_jobs<D: Io>(&self, out: &mut Out<'_, D>) -> io::Result<u64> {
        let numbers = far::numbers_of(&self.order);
        let mut jobs = 0;
        for chunk in &self.jobs {
            // Jobs in memory only are not to survive a start.
            let near =
                || chunk.jobs(self.lsn).filter(|(job, facts)| !job.is_volatile() && !self.far.takes(job, *facts));
            for (job, _) in near() {
                row::encode(&job, numbers[job.tube.0 as usize], out.entry(Kind::Jobs)?);
                jobs += 1;
            }
            for (job, facts) in near() {
                if let Some(facts) = facts {
                    write_facts(job.id, facts, out.entry(Kind::Facts)?);
                }
            }
        }
        Ok(jobs)
    }

    fn write_head(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&MAGIC);
        put_u32(out, *VERSIONS.end());
        out.extend_from_slice(&self.log);
        put_u64(out, self.lsn.0);
        put_u64(out, self.next_id.0);
        put_u64(out, self.clock_ahead_ms.cast_unsigned());
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
    // One that is not in memory is far.
    let is_logged = |id: JobId| engine.job(id).is_none_or(|job| !job.is_volatile());
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
