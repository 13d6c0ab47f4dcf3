//! All jobs by id: rows of fixed length in chunks, in the order of their ids.
//!
//! A job that nobody has touched costs its row, its place in one order ([`super::runs`]) and nothing else: no entry in a
//! map, no allocation. What only some jobs have stands beside the rows of its chunk, see [`Facts`]. Chunks are shared with
//! a checkpoint while that is written and copied when they change meanwhile.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use wal::Lsn;

use super::facts::FactsMut;
use super::far::Watch;
use super::job::{Facts, Job};
use super::row::{DELTA_MAX, Row};
use super::terms::{Terms, TermsTable};
use crate::names::JobId;

/// Rows of one chunk.
const CHUNK_ROWS: usize = 512;

/// What a chunk costs when it is full.
const CHUNK_BYTES: u64 = (CHUNK_ROWS * size_of::<Row>() + size_of::<Chunk>() + 32) as u64;

/// What the facts of one job cost, with the tree that they are in.
const FACTS_BYTES: u64 = 2 * (size_of::<Facts>() + size_of::<u32>()) as u64;

/// Some jobs with neighbouring ids.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chunk {
    /// Ids are counted from here.
    base: u64,
    /// By id; some are of jobs that are gone.
    rows: Vec<Row>,
    gone: usize,
    terms: TermsTable,
    /// By the job's distance from `base`.
    facts: BTreeMap<u32, Facts>,
}

/// All jobs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Jobs {
    /// The base of each chunk, apart because every search goes through them.
    bases: VecDeque<u64>,
    chunks: VecDeque<Arc<Chunk>>,
    len: usize,
    facts: usize,
    /// What facts have allocated beside them, in bytes.
    beside: u64,
    /// Entries of all chunks.
    terms: usize,
    /// The newest record that a row tells of; rows keep the low half of theirs.
    newest: Lsn,
    watch: Watch,
}

impl Jobs {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// What the table has allocated, in bytes and rather too much than too little.
    pub(crate) fn bytes(&self) -> u64 {
        let terms = 2 * self.terms * size_of::<Terms>();
        self.chunks.len() as u64 * CHUNK_BYTES + self.facts as u64 * FACTS_BYTES + self.beside + terms as u64
    }

    pub(crate) fn get(&self, id: JobId) -> Option<Job> {
        let chunk = self.chunks.get(self.chunk_of(id)?)?;
        let row = chunk.rows[chunk.find(id)?];
        Some(chunk.unpack(&row, self.newest))
    }

    /// What is known of the job beside its row.
    pub(crate) fn facts(&self, id: JobId) -> Option<&Facts> {
        let chunk = self.chunks.get(self.chunk_of(id)?)?;
        let row = &chunk.rows[chunk.find(id)?];
        if row.has_facts() { chunk.facts.get(&row.delta()) } else { None }
    }

    /// The same, to be changed; made if there is nothing yet. `None` when there is no such job.
    pub(crate) fn facts_mut(&mut self, id: JobId) -> Option<FactsMut<'_>> {
        let ix = self.chunk_of(id)?;
        let at = self.chunks[ix].find(id)?;
        let chunk = Arc::make_mut(&mut self.chunks[ix]);
        let row = &mut chunk.rows[at];
        self.watch.note(row, id);
        if !row.has_facts() {
            row.set_facts(true);
            self.facts += 1;
        }
        Some(FactsMut::new(chunk.facts.entry(row.delta()).or_default(), &mut self.beside))
    }

    /// Changes a job's row.
    pub(crate) fn update(&mut self, id: JobId, change: impl FnOnce(&mut Job)) {
        let Some((ix, at)) = self.chunk_of(id).and_then(|ix| Some((ix, self.chunks[ix].find(id)?))) else { return };
        let newest = self.newest;
        let chunk = Arc::make_mut(&mut self.chunks[ix]);
        let mut row = chunk.rows[at];
        self.watch.note(&row, id);
        let mut job = chunk.unpack(&row, newest);
        change(&mut job);
        assert_eq!(job.id, id, "a job keeps its id");
        let known = chunk.terms.len();
        let terms = chunk.place_terms(&job, Some(row.terms()));
        row = chunk.rows[at];
        row.pack(&job, row.delta(), terms);
        self.terms = self.terms + chunk.terms.len() - known;
        if let Some(lease) = job.state.lease() {
            // A lease is a fact.
            if !row.has_facts() {
                row.set_facts(true);
                self.facts += 1;
            }
            chunk.facts.entry(row.delta()).or_default().lease = Some(lease);
        }
        chunk.rows[at] = row;
        self.newest = self.newest.max(job.lsn);
    }

    /// # Panics
    /// When there is a job with this id.
    pub(crate) fn insert(&mut self, job: &Job, facts: Option<Facts>) {
        self.newest = self.newest.max(job.lsn);
        self.len += 1;
        let id = job.id.0;
        let ix = self.chunk_of(job.id);
        self.begin_with(ix, id);
        let ix = match ix {
            Some(ix) if self.takes(ix, id) => ix,
            Some(ix) if self.chunks[ix].rows.len() >= CHUNK_ROWS && !self.is_behind(ix, id) => self.split(ix, id),
            _ => self.take_or_make(ix.map_or(0, |ix| ix + 1), id),
        };
        let chunk = Arc::make_mut(&mut self.chunks[ix]);
        let delta = (id - chunk.base) as u32;
        let known = chunk.terms.len();
        let mut row = Row::default();
        row.pack(job, delta, chunk.place_terms(job, None));
        self.terms = self.terms + chunk.terms.len() - known;
        if let Some(facts) = facts {
            self.beside += facts.bytes_beside();
            row.set_facts(true);
            chunk.facts.insert(delta, facts);
            self.facts += 1;
        }
        match chunk.place(delta) {
            Ok(at) => {
                assert!(chunk.rows[at].is_gone(), "job {id} exists already");
                chunk.gone -= 1;
                chunk.rows[at] = row;
            }
            Err(at) => chunk.rows.insert(at, row),
        }
    }

    pub(crate) fn remove(&mut self, id: JobId) -> Option<(Job, Facts)> {
        let ix = self.chunk_of(id)?;
        self.watch.note(&self.chunks[ix].rows[self.chunks[ix].find(id)?], id);
        self.leave(id)
    }

    /// As [`Jobs::remove`], and nothing was changed by it.
    pub(crate) fn leave(&mut self, id: JobId) -> Option<(Job, Facts)> {
        let ix = self.chunk_of(id)?;
        let at = self.chunks[ix].find(id)?;
        let newest = self.newest;
        let chunk = Arc::make_mut(&mut self.chunks[ix]);
        let row = chunk.rows[at];
        let job = chunk.unpack(&row, newest);
        let facts = if row.has_facts() { chunk.facts.remove(&row.delta()) } else { None };
        chunk.rows[at].set_gone();
        chunk.gone += 1;
        self.facts -= usize::from(row.has_facts());
        self.beside -= facts.as_ref().map_or(0, Facts::bytes_beside);
        self.len -= 1;
        self.tidy(ix);
        Some((job, facts.unwrap_or_default()))
    }

    /// The chunks as they are now, for whoever writes them down while they change.
    pub(crate) fn share(&self) -> Vec<Arc<Chunk>> {
        self.chunks.iter().map(Arc::clone).collect()
    }

    pub(super) fn watch_mut(&mut self) -> &mut Watch {
        &mut self.watch
    }

    /// The newest job.
    #[cfg(test)]
    pub(super) fn last_id(&self) -> Option<JobId> {
        self.chunks.iter().rev().find_map(|chunk| chunk.jobs(self.newest).last()).map(|(job, _)| job.id)
    }

    /// The chunk in which the id is, if it is anywhere; the first one for ids before it, `None` when there is none.
    fn chunk_of(&self, id: JobId) -> Option<usize> {
        if self.bases.back().is_some_and(|last| *last <= id.0) {
            return Some(self.bases.len() - 1);
        }
        self.bases.partition_point(|base| *base <= id.0).checked_sub(1)
    }

    /// The last chunk stays when it falls empty; it begins with what comes next.
    fn begin_with(&mut self, ix: Option<usize>, id: u64) {
        if let Some(ix) = ix
            && self.chunks[ix].rows.is_empty()
        {
            Arc::make_mut(&mut self.chunks[ix]).base = id;
            self.bases[ix] = id;
        }
    }

    /// Whether the id fits into the chunk, which begins before it.
    fn takes(&self, ix: usize, id: u64) -> bool {
        let chunk = &self.chunks[ix];
        id - chunk.base <= u64::from(DELTA_MAX) && (chunk.rows.len() < CHUNK_ROWS || chunk.find_row(id).is_some())
    }

    /// Whether the id is behind all rows of the chunk.
    fn is_behind(&self, ix: usize, id: u64) -> bool {
        let chunk = &self.chunks[ix];
        chunk.rows.last().is_none_or(|last| chunk.base + u64::from(last.delta()) < id)
    }

    /// Cuts a full chunk in two; returns the half for `id`.
    fn split(&mut self, ix: usize, id: u64) -> usize {
        let lower = Arc::make_mut(&mut self.chunks[ix]);
        let rows = lower.rows.split_off(CHUNK_ROWS / 2);
        let from = rows[0].delta();
        let facts = lower.facts.split_off(&from);
        lower.gone = lower.rows.iter().filter(|row| row.is_gone()).count();
        let gone = rows.iter().filter(|row| row.is_gone()).count();
        let mut upper = Chunk { base: lower.base, rows, gone, terms: lower.terms.clone(), facts };
        self.terms += upper.terms.len();
        upper.count_from(upper.base + u64::from(from));
        let base = upper.base;
        self.bases.insert(ix + 1, base);
        self.chunks.insert(ix + 1, Arc::new(upper));
        if id >= base { ix + 1 } else { ix }
    }

    /// The chunk at `ix`, which begins behind the id, made to begin with it; or a new one in front of it.
    fn take_or_make(&mut self, ix: usize, id: u64) -> usize {
        if let Some(next) = self.chunks.get_mut(ix)
            && next.rows.len() < CHUNK_ROWS
            && next.rows.last().is_none_or(|last| next.base + u64::from(last.delta()) - id <= u64::from(DELTA_MAX))
        {
            Arc::make_mut(next).count_from(id);
            self.bases[ix] = id;
        } else {
            // Behind a full chunk comes another: growing would leave holes in the heap.
            let is_one_of_many = ix.checked_sub(1).is_some_and(|before| self.chunks[before].rows.len() == CHUNK_ROWS);
            let rows = Vec::with_capacity(if is_one_of_many { CHUNK_ROWS } else { 0 });
            self.bases.insert(ix, id);
            self.chunks.insert(ix, Arc::new(Chunk { base: id, rows, ..Chunk::default() }));
        }
        ix
    }

    /// Keeps a chunk that has lost a row from taking space for nothing.
    fn tidy(&mut self, ix: usize) {
        let chunk = &self.chunks[ix];
        let (rows, live) = (chunk.rows.len(), chunk.rows.len() - chunk.gone);
        if live == 0 {
            let is_last = ix + 1 == self.chunks.len();
            match Arc::get_mut(&mut self.chunks[ix]).filter(|_| is_last) {
                Some(last) => last.drop_gone_keeping_space(),
                None => {
                    self.bases.remove(ix);
                    self.terms -= self.chunks.remove(ix).map_or(0, |chunk| chunk.terms.len());
                }
            }
        } else if chunk.gone >= 64 && live < rows / 2 {
            Arc::make_mut(&mut self.chunks[ix]).drop_gone();
            if !self.join(ix) && ix > 0 {
                self.join(ix - 1);
            }
        }
    }

    /// Makes one of two neighbours that have few rows; says whether it did.
    fn join(&mut self, ix: usize) -> bool {
        let (Some(lower), Some(upper)) = (self.chunks.get(ix), self.chunks.get(ix + 1)) else { return false };
        let reach = upper.rows.last().map_or(0, |last| upper.base + u64::from(last.delta()) - lower.base);
        if lower.rows.len() + upper.rows.len() > CHUNK_ROWS * 3 / 4 || reach > u64::from(DELTA_MAX) {
            return false;
        }
        let Some(mut upper) = self.chunks.remove(ix + 1) else { return false };
        self.bases.remove(ix + 1);
        let lower = Arc::make_mut(&mut self.chunks[ix]);
        let upper = Arc::make_mut(&mut upper);
        upper.count_from_lower(lower.base);
        let known = lower.terms.len() + upper.terms.len();
        // So that there is room for all: a place that was given must stay.
        lower.terms.renew(lower.rows.iter_mut().map(Row::terms_mut));
        for row in &mut upper.rows {
            let terms = lower.place_of(upper.terms.of(row.terms()));
            *row.terms_mut() = terms.to_le_bytes();
        }
        self.terms = self.terms + lower.terms.len() - known;
        lower.rows.append(&mut upper.rows);
        lower.facts.append(&mut upper.facts);
        lower.gone += upper.gone;
        true
    }
}

impl Chunk {
    /// The jobs of the chunk with what is known beside their rows, by id.
    pub(crate) fn jobs(&self, newest: Lsn) -> impl Iterator<Item = (Job, Option<&Facts>)> {
        let live = self.rows.iter().filter(|row| !row.is_gone());
        live.map(move |row| {
            let facts = if row.has_facts() { self.facts.get(&row.delta()) } else { None };
            (self.unpack(row, newest), facts)
        })
    }

    fn unpack(&self, row: &Row, newest: Lsn) -> Job {
        let lease = if row.is_reserved() { self.facts.get(&row.delta()).and_then(|facts| facts.lease) } else { None };
        row.unpack(JobId(self.base + u64::from(row.delta())), newest, lease, self.terms.of(row.terms()))
    }

    /// Where the job's terms stand; mostly where they stood before.
    fn place_terms(&mut self, job: &Job, before: Option<u16>) -> u16 {
        let terms = Terms { pri: job.pri, ttr_s: job.ttr_s, tube: job.tube };
        match before {
            Some(place) if self.terms.of(place) == terms => place,
            _ => self.place_of(terms),
        }
    }

    fn place_of(&mut self, terms: Terms) -> u16 {
        if let Some(place) = self.terms.place(terms) {
            return place;
        }
        self.terms.renew(self.rows.iter_mut().map(Row::terms_mut));
        self.terms.place(terms).expect("there is room for more than a chunk's rows")
    }

    fn find(&self, id: JobId) -> Option<usize> {
        self.find_row(id.0).filter(|&at| !self.rows[at].is_gone())
    }

    fn find_row(&self, id: u64) -> Option<usize> {
        self.place(u32::try_from(id.checked_sub(self.base)?).ok()?).ok()
    }

    /// Where the row is or would be. Without gaps in the ids it is as far from the start as its id.
    fn place(&self, delta: u32) -> Result<usize, usize> {
        match self.rows.get(delta as usize) {
            Some(row) if row.delta() == delta => Ok(delta as usize),
            None if self.rows.last().is_none_or(|last| last.delta() < delta) => Err(self.rows.len()),
            _ => self.rows.binary_search_by_key(&delta, Row::delta),
        }
    }

    /// Counts ids from a base that is not behind the first row.
    fn count_from(&mut self, base: u64) {
        if base > self.base {
            let by = (base - self.base) as u32;
            self.shift(|delta| delta - by);
        } else {
            let by = (self.base - base) as u32;
            self.shift(|delta| delta + by);
        }
        self.base = base;
    }

    fn count_from_lower(&mut self, base: u64) {
        self.drop_gone();
        self.count_from(base);
    }

    fn shift(&mut self, delta: impl Fn(u32) -> u32) {
        self.rows.iter_mut().for_each(|row| row.set_delta(delta(row.delta())));
        self.facts = std::mem::take(&mut self.facts).into_iter().map(|(at, facts)| (delta(at), facts)).collect();
    }

    fn drop_gone(&mut self) {
        self.drop_gone_keeping_space();
        self.rows.shrink_to_fit();
    }

    fn drop_gone_keeping_space(&mut self) {
        self.rows.retain(|row| !row.is_gone());
        self.gone = 0;
    }
}

#[cfg(test)]
mod tests;
