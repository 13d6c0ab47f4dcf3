//! The far jobs of a checkpoint: those of the file before that are still far, and those that go there now.

use std::collections::HashSet;
use std::io;
use std::iter::Peekable;
use std::path::PathBuf;
use std::sync::Arc;

use stdx::io::Io;
use wal::Lsn;

use super::super::blocks::{In, Out};
use super::super::{Kind, Unusable, put_list, row};
use super::{BLOCK_ENTRIES, FarIndex, Key, KeyBlock, RowBlock, decode_rows};
use crate::engine::{Facts, Job, JobState, TubeIx};
use crate::log::record::{Attrs, Input, put_u32, put_u64};
use crate::names::JobId;

/// What a checkpoint has to know of far jobs as they were when it was taken.
#[derive(Default)]
pub(in crate::log::checkpoint) struct Moment {
    /// Jobs that are due from then on go far.
    pub(super) from_ms: u64,
    /// The file that has them now.
    pub(super) file: Option<(PathBuf, Arc<FarIndex>)>,
    /// Jobs in it that are not far any more.
    pub(super) holes: Arc<HashSet<JobId>>,
}

impl Moment {
    #[cfg(test)]
    pub(in crate::log::checkpoint) fn forget(&mut self) {
        self.file = None;
    }

    /// Whether the job goes far.
    pub(in crate::log::checkpoint) fn takes(&self, job: &Job, facts: Option<&Facts>) -> bool {
        let JobState::Delayed { until_ms } = job.state else { return false };
        let more = facts.and_then(|facts| facts.more.as_ref());
        // Others wait for one with an ordering key, and a dead one is looked for among all.
        let stays = more.is_some_and(|more| more.terms.order.is_some() || more.dead.is_some());
        until_ms >= self.from_ms && !job.is_volatile() && !stays
    }
}

/// A job that goes far, with the number of its tube.
type Going = (u32, Key);

/// Writes the far jobs: `going` by id from memory, the others from the file before. `tubes` are the engine's by their number
/// in the file.
pub(in crate::log::checkpoint) fn write<'j, D: Io>(
    io: &D,
    out: &mut Out<'_, D>,
    moment: &Moment,
    (lsn, tubes): (Lsn, &[TubeIx]),
    going: impl Iterator<Item = (Job, Option<&'j Facts>)>,
) -> io::Result<(FarIndex, Vec<JobId>)> {
    let mut to = To { numbers: numbers_of(tubes), index: FarIndex { lsn, ..FarIndex::default() } };
    let (mut ids, mut keys) = (Vec::new(), Vec::new());
    let mut stayed = Rows::of(io, moment)?;
    let mut stayed_next = stayed.next()?;
    for (job, facts) in going {
        while let Some((before, facts)) = stayed_next.take_if(|(before, _)| before.id < job.id) {
            to.row(out, &before, facts.as_ref())?;
            stayed_next = stayed.next()?;
        }
        to.row(out, &job, facts)?;
        ids.push(job.id);
        if let JobState::Delayed { until_ms } = job.state {
            keys.push((to.number(job.tube)?, (until_ms, job.id)));
        }
    }
    while let Some((job, facts)) = stayed_next {
        to.row(out, &job, facts.as_ref())?;
        stayed_next = stayed.next()?;
    }
    to.index.last = to.index.last.max(ids.last().copied().unwrap_or_default());
    keys.sort_unstable();
    let mut keys = keys.into_iter().peekable();
    let buckets = moment.file.as_ref().map(|(_, index)| index.tubes_keys()).unwrap_or_default();
    for (number, &tube) in tubes.iter().enumerate() {
        let mut stayed = Keys::of(io, moment, buckets.get(&tube).cloned().unwrap_or(0..0))?;
        to.keys_of(out, (number as u32, tube), &mut keys, &mut stayed)?;
    }
    to.index.tubes = tubes.to_vec();
    to.index.rows.shrink_to_fit();
    to.index.keys.shrink_to_fit();
    Ok((to.index, ids))
}

/// The place of each of the engine's tubes among these.
pub(in crate::log::checkpoint) fn numbers_of(tubes: &[TubeIx]) -> Vec<u32> {
    let mut numbers = vec![u32::MAX; tubes.iter().map(|ix| ix.0 as usize + 1).max().unwrap_or(0)];
    for (number, ix) in tubes.iter().enumerate() {
        numbers[ix.0 as usize] = number as u32;
    }
    numbers
}

struct To {
    numbers: Vec<u32>,
    index: FarIndex,
}

impl To {
    fn number(&self, tube: TubeIx) -> io::Result<u32> {
        let number = self.numbers.get(tube.0 as usize).copied().filter(|number| *number != u32::MAX);
        number.ok_or_else(|| io::Error::other("a far job is in no tube"))
    }

    fn row<D: Io>(&mut self, out: &mut Out<'_, D>, job: &Job, facts: Option<&Facts>) -> io::Result<()> {
        let number = self.number(job.tube)?;
        if self.index.jobs.is_multiple_of(BLOCK_ENTRIES as u64) {
            self.index.rows.push(RowBlock { first: job.id, place: out.begin(Kind::FarJobs)? });
        }
        row::encode(job, number, out.block());
        put_list(out.block(), |out| {
            if let Some(facts) = facts {
                Attrs::of(facts).encode(out);
            }
        });
        self.index.jobs += 1;
        self.index.last = job.id;
        Ok(())
    }

    /// The keys of one tube, which are the next of `going`, in their order.
    fn keys_of<D: Io>(
        &mut self,
        out: &mut Out<'_, D>,
        (number, tube): (u32, TubeIx),
        going: &mut Peekable<impl Iterator<Item = Going>>,
        stayed: &mut Keys<'_, D>,
    ) -> io::Result<()> {
        let mut stayed_next = stayed.next()?;
        let mut written = 0;
        loop {
            let new = going.peek().filter(|(of, _)| *of == number).map(|(_, key)| *key);
            let key = match (new, stayed_next) {
                (Some(new), old) if old.is_none_or(|old| new < old) => {
                    going.next();
                    new
                }
                (_, Some(old)) => {
                    stayed_next = stayed.next()?;
                    old
                }
                (_, None) => return Ok(()),
            };
            if written % BLOCK_ENTRIES == 0 {
                let place = out.begin(Kind::FarKeys)?;
                self.index.keys.push(KeyBlock { tube, first: key, place });
                put_u32(out.block(), number);
            }
            put_u64(out.block(), key.0);
            put_u64(out.block(), key.1.0);
            written += 1;
        }
    }
}

/// The far jobs of the file before, by id.
struct Rows<'a, D: Io> {
    moment: &'a Moment,
    file: Option<In<'a, D>>,
    blocks: usize,
    read: std::vec::IntoIter<(Job, Option<Facts>)>,
}

impl<'a, D: Io> Rows<'a, D> {
    fn of(io: &'a D, moment: &'a Moment) -> io::Result<Rows<'a, D>> {
        let first = moment.file.as_ref().and_then(|(path, index)| Some((path, index.rows.first()?.place)));
        let file = first.map(|(path, place)| In::open_at(io, path, place)).transpose()?;
        let blocks = moment.file.as_ref().map_or(0, |(_, index)| index.rows.len());
        Ok(Rows { moment, file, blocks, read: Vec::new().into_iter() })
    }

    fn next(&mut self) -> io::Result<Option<(Job, Option<Facts>)>> {
        loop {
            if let Some(row) = self.read.find(|(job, _)| !self.moment.holes.contains(&job.id)) {
                return Ok(Some(row));
            }
            let Some(((_, index), file)) = self.moment.file.as_ref().zip(self.file.as_mut()) else { return Ok(None) };
            let Some(left) = self.blocks.checked_sub(1) else { return Ok(None) };
            self.blocks = left;
            let (kind, payload) = file.next()?;
            self.read = of_kind(kind, Kind::FarJobs, decode_rows(payload, &index.tubes))?.into_iter();
        }
    }
}

/// The keys of the far jobs of one tube in the file before, in their order.
struct Keys<'a, D: Io> {
    moment: &'a Moment,
    file: Option<In<'a, D>>,
    blocks: usize,
    read: std::vec::IntoIter<Key>,
}

impl<'a, D: Io> Keys<'a, D> {
    fn of(io: &'a D, moment: &'a Moment, blocks: std::ops::Range<usize>) -> io::Result<Keys<'a, D>> {
        let first = moment.file.as_ref().and_then(|(path, index)| Some((path, index.keys.get(blocks.start)?.place)));
        let first = first.filter(|_| !blocks.is_empty());
        let file = first.map(|(path, place)| In::open_at(io, path, place)).transpose()?;
        Ok(Keys { moment, file, blocks: blocks.len(), read: Vec::new().into_iter() })
    }

    fn next(&mut self) -> io::Result<Option<Key>> {
        loop {
            if let Some(key) = self.read.find(|(_, id)| !self.moment.holes.contains(id)) {
                return Ok(Some(key));
            }
            let Some(file) = self.file.as_mut() else { return Ok(None) };
            let Some(left) = self.blocks.checked_sub(1) else { return Ok(None) };
            self.blocks = left;
            let (kind, payload) = file.next()?;
            self.read = of_kind(kind, Kind::FarKeys, decode_keys(payload))?.into_iter();
        }
    }
}

fn decode_keys(payload: &[u8]) -> Result<Vec<Key>, Unusable> {
    let mut input = Input(payload);
    input.u32()?;
    let mut keys = Vec::with_capacity(BLOCK_ENTRIES);
    while !input.0.is_empty() {
        keys.push((input.u64()?, input.id()?));
    }
    Ok(keys)
}

fn of_kind<T>(kind: u8, wanted: Kind, decoded: Result<T, Unusable>) -> io::Result<T> {
    if kind == wanted as u8 { Ok(decoded?) } else { Err(Unusable::Damaged.into()) }
}

impl From<Unusable> for io::Error {
    fn from(cause: Unusable) -> io::Error {
        match cause {
            Unusable::Disk(cause) => cause,
            other => io::Error::new(io::ErrorKind::InvalidData, other),
        }
    }
}
