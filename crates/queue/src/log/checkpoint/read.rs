//! From a checkpoint to the state that it describes.

use std::path::Path;

use stdx::io::Io;
use wal::{Lsn, Resume};

use super::blocks::{In, Place};
use super::far::{Far, FarFile, FarIndex, KeyBlock, RowBlock};
use super::{Kind, MAGIC, PAUSED, UNTIL_DONE, Unusable, VERSIONS, path_of, row};
use crate::engine::{Engine, Pause, PauseNote, SpaceIx, TubeIx, Window};
use crate::log::record::{Attrs, Input, Malformed, decode_note, decode_totals, space_from_text};
use crate::log::replay::Replay;

impl From<Malformed> for Unusable {
    fn from(_: Malformed) -> Unusable {
        Unusable::Damaged
    }
}

/// Reads the checkpoint of record `lsn` into an empty engine; from where the log is to be read on comes with it.
///
/// # Errors
/// [`Unusable`]: take an older one, or none.
pub(crate) fn read<D: Io>(io: &D, folder: &Path, lsn: Lsn, engine: Engine) -> Result<(Replay<D>, Resume), Unusable> {
    let mut file = In::open(io, &path_of(folder, lsn))?;
    let far = FarIndex { lsn, ..FarIndex::default() };
    let mut state = State { replay: Replay::new(engine), tubes: Vec::new(), jobs: 0, lsn, far, keys: 0 };
    let (kind, payload) = file.next()?;
    if kind != Kind::Head as u8 {
        return Err(Unusable::Damaged);
    }
    let resume = state.head(&mut Input(payload))?;
    loop {
        let place = file.place();
        let (kind, payload) = file.next()?;
        let mut input = Input(payload);
        if kind == Kind::FarJobs as u8 {
            state.far_block(place, &input)?;
        } else if kind == Kind::FarKeys as u8 {
            state.far_keys(place, &mut input)?;
        }
        while !input.0.is_empty() {
            match kind {
                kind if kind == Kind::Spaces as u8 => state.space(&mut input)?,
                kind if kind == Kind::Tubes as u8 => state.tube(&mut input)?,
                kind if kind == Kind::Segments as u8 => state.segment(&mut input)?,
                kind if kind == Kind::Keys as u8 => state.key(&mut input)?,
                kind if kind == Kind::Ticks as u8 => state.tick(&mut input)?,
                kind if kind == Kind::Jobs as u8 => state.job(&mut input)?,
                kind if kind == Kind::Facts as u8 => state.facts(&mut input)?,
                kind if kind == Kind::FarJobs as u8 => state.far_job(&mut input)?,
                kind if kind == Kind::End as u8 && input.u64()? == state.jobs => {
                    return Ok((state.with_far(io, folder)?, resume));
                }
                _ => return Err(Unusable::Damaged),
            }
        }
    }
}

struct State<D: Io> {
    replay: Replay<D>,
    /// The engine's tubes by their number in the file.
    tubes: Vec<TubeIx>,
    jobs: u64,
    lsn: Lsn,
    far: FarIndex,
    /// Keys of far jobs.
    keys: u64,
}

impl<D: Io> State<D> {
    fn head(&mut self, input: &mut Input<'_>) -> Result<Resume, Unusable> {
        if input.take(MAGIC.len())? != MAGIC {
            return Err(Unusable::Damaged);
        }
        match input.u32()? {
            version if VERSIONS.contains(&version) => {}
            other => return Err(Unusable::Newer(other)),
        }
        let log = input.take(16)?.try_into().map_err(|_| Unusable::Damaged)?;
        let (lsn, next_id) = (Lsn(input.u64()?), input.id()?);
        if lsn != self.lsn || next_id.0 == 0 {
            return Err(Unusable::Damaged);
        }
        self.replay.ids_below(next_id);
        if !input.0.is_empty() {
            // The first ones did not tell of it.
            self.replay.engine.clock_ahead_ms = input.u64()?.cast_signed();
        }
        Ok(Resume { log, lsn })
    }

    fn space(&mut self, input: &mut Input<'_>) -> Result<(), Malformed> {
        let space = self.replay.engine.space_ix(&space_from_text(input.text()?)?);
        self.replay.engine.space_mut(space).totals = decode_totals(list(input)?)?;
        Ok(())
    }

    fn tube(&mut self, input: &mut Input<'_>) -> Result<(), Malformed> {
        let at = input.tube()?;
        let ix = self.replay.tube(&at)?;
        let paused = input.take(1)?[0];
        let (asked_ms, until_ms) = (input.u64()?, input.u64()?);
        let (by, why) = if paused == PAUSED { decode_note(list(input)?)? } else { ("", "") };
        let totals = decode_totals(list(input)?)?;
        if paused > 0 {
            self.replay.engine.pause(ix, Pause { asked_ms, until_ms, note: PauseNote::new(by, why) });
        }
        self.replay.engine.tube_mut(ix).totals = totals;
        self.tubes.push(ix);
        Ok(())
    }

    fn tick(&mut self, input: &mut Input<'_>) -> Result<(), Malformed> {
        let space = self.replay.engine.space_ix(&space_from_text(input.text()?)?);
        let (name, tick_ms) = (input.text()?, input.u64()?);
        self.replay.engine.set_tick(space, name, tick_ms);
        Ok(())
    }

    fn segment(&mut self, input: &mut Input<'_>) -> Result<(), Malformed> {
        let (number, bytes) = (input.u64()?, input.u64()?);
        self.replay.segments.entry(number).or_default().bytes = bytes;
        Ok(())
    }

    fn key(&mut self, input: &mut Input<'_>) -> Result<(), Malformed> {
        let (space, id, until_ms) = (SpaceIx(input.u32()?), input.id()?, input.u64()?);
        let key = std::str::from_utf8(list(input)?).map_err(|_| Malformed)?.into();
        if space.0 as usize >= self.replay.engine.spaces().len() {
            return Err(Malformed);
        }
        let keys = self.replay.engine.keys_mut();
        match until_ms {
            UNTIL_DONE => keys.claim(space, key, id),
            until_ms => keys.keep(space, key, Window { id, until_ms, is_logged: true }),
        }
        Ok(())
    }

    fn job(&mut self, input: &mut Input<'_>) -> Result<(), Malformed> {
        let job = row::decode(input, &self.tubes)?;
        if self.replay.engine.job(job.id).is_some() {
            return Err(Malformed);
        }
        self.replay.lives(job.at);
        self.replay.engine.insert(job, None);
        self.jobs += 1;
        Ok(())
    }

    fn far_block(&mut self, place: Place, input: &Input<'_>) -> Result<(), Malformed> {
        let first = Input(input.0).id()?;
        self.far.rows.push(RowBlock { first, place });
        Ok(())
    }

    /// It stays where it is, and counts.
    fn far_job(&mut self, input: &mut Input<'_>) -> Result<(), Malformed> {
        let job = row::decode(input, &self.tubes)?;
        list(input)?;
        if job.id <= self.far.last {
            return Err(Malformed);
        }
        self.replay.lives(job.at);
        self.replay.engine.count_far(&job);
        self.far.last = job.id;
        self.far.jobs += 1;
        self.jobs += 1;
        Ok(())
    }

    fn far_keys(&mut self, place: Place, input: &mut Input<'_>) -> Result<(), Malformed> {
        let tube = *self.tubes.get(input.u32()? as usize).ok_or(Malformed)?;
        let mut first = None;
        while !input.0.is_empty() {
            let key = (input.u64()?, input.id()?);
            first.get_or_insert(key);
            self.keys += 1;
        }
        self.far.keys.push(KeyBlock { tube, first: first.ok_or(Malformed)?, place });
        Ok(())
    }

    fn with_far(mut self, io: &D, folder: &Path) -> Result<Replay<D>, Unusable> {
        if self.keys != self.far.jobs {
            return Err(Unusable::Damaged);
        }
        self.far.tubes = self.tubes;
        self.replay.far = Far::new(FarFile::open(io, folder, self.far)?);
        Ok(self.replay)
    }

    fn facts(&mut self, input: &mut Input<'_>) -> Result<(), Malformed> {
        let id = input.id()?;
        let attrs = Attrs::decode(list(input)?)?;
        *self.replay.engine.facts_mut(id).ok_or(Malformed)? = attrs.facts().unwrap_or_default();
        let tube = self.replay.engine.job(id).ok_or(Malformed)?.tube;
        self.replay.engine.take_up(id, tube);
        Ok(())
    }
}

fn list<'a>(input: &mut Input<'a>) -> Result<&'a [u8], Malformed> {
    let len = input.u32()? as usize;
    input.take(len)
}
