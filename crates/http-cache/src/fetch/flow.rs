//! The body of one fetch on its way to many readers, each at its own pace.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use crate::fetch::WaiterId;

/// What a reader gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// The next bytes.
    Chunk(Bytes),
    /// Nothing yet.
    Nothing,
    /// That was all.
    End,
    /// There will be no more: the fetch failed, or this reader fell too far behind.
    CutOff,
}

/// What a flow may hold back at least.
const WINDOW_BYTES: u64 = 64 * 1024;

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Arriving,
    Complete,
    Broken,
}

/// Chunks, and how far each reader is. While the body may still be stored every chunk is kept; a body that grows over the
/// bound is no longer whole, and what all have read is let go.
pub(super) struct Flow {
    chunks: VecDeque<Bytes>,
    /// How many chunks were let go, so that a reader's place stays true.
    gone: usize,
    bytes: u64,
    bytes_max: u64,
    keeps_all: bool,
    state: State,
    /// The number of the chunk that a reader gets next; `None` once it was cut off.
    places: BTreeMap<WaiterId, Option<usize>>,
}

impl Flow {
    pub(super) fn new(bytes_max: u64, keeps_all: bool) -> Flow {
        let (chunks, places) = (VecDeque::new(), BTreeMap::new());
        Flow { chunks, gone: 0, bytes: 0, bytes_max, keeps_all, state: State::Arriving, places }
    }

    /// A reader from the first byte on; only for a flow that is whole.
    pub(super) fn join(&mut self, reader: WaiterId) {
        self.places.insert(reader, (self.gone == 0).then_some(0));
    }

    pub(super) fn leave(&mut self, reader: WaiterId) {
        self.places.remove(&reader);
        self.let_go();
    }

    pub(super) fn readers(&self) -> impl Iterator<Item = WaiterId> {
        self.places.keys().copied()
    }

    /// Whether every chunk is still here.
    pub(super) fn is_whole(&self) -> bool {
        self.keeps_all
    }

    /// Bytes that are here.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// From here on it is not kept whole, and holds back no more than it does now.
    pub(super) fn shrink(&mut self) {
        self.keeps_all = false;
        self.bytes_max = self.bytes_max.min(self.bytes.max(WINDOW_BYTES));
    }

    pub(super) fn is_over(&self) -> bool {
        self.state != State::Arriving
    }

    /// Whether even the fastest reader is behind by all that may be kept.
    pub(super) fn is_full(&self) -> bool {
        !self.keeps_all && self.bytes >= self.bytes_max
    }

    /// Takes in a chunk; whether to receive no more for now.
    pub(super) fn push(&mut self, chunk: Bytes) -> bool {
        if chunk.is_empty() {
            return self.is_full();
        }
        self.bytes += chunk.len() as u64;
        self.chunks.push_back(chunk);
        if self.bytes > self.bytes_max {
            self.keeps_all = false;
        }
        self.let_go();
        // The fastest sets the pace: whoever holds back more than may be kept loses, unless it is the fastest itself.
        while self.bytes > self.bytes_max && self.cut_off_slowest() {
            self.let_go();
        }
        self.is_full()
    }

    pub(super) fn read(&mut self, reader: WaiterId) -> Read {
        let Some(Some(place)) = self.places.get_mut(&reader) else { return Read::CutOff };
        match self.chunks.get(*place - self.gone) {
            Some(chunk) => {
                let chunk = chunk.clone();
                *place += 1;
                self.let_go();
                Read::Chunk(chunk)
            }
            None if self.state == State::Complete => Read::End,
            None if self.state == State::Broken => Read::CutOff,
            None => Read::Nothing,
        }
    }

    pub(super) fn end(&mut self) {
        self.state = State::Complete;
    }

    /// What arrived can still be read; what is missing never comes.
    pub(super) fn break_off(&mut self) {
        self.state = State::Broken;
    }

    pub(super) fn chunks(&self) -> Vec<Bytes> {
        self.chunks.iter().cloned().collect()
    }

    /// Drops the chunks that all have read.
    fn let_go(&mut self) {
        if self.keeps_all {
            return;
        }
        let end = self.gone + self.chunks.len();
        let first = self.places.values().flatten().min().copied().unwrap_or(end);
        while self.gone < first {
            let Some(chunk) = self.chunks.pop_front() else { return };
            self.bytes -= chunk.len() as u64;
            self.gone += 1;
        }
    }

    /// Cuts off those that are furthest behind; `false` when all that are left are equally far.
    fn cut_off_slowest(&mut self) -> bool {
        let slowest = self.places.values().flatten().min().copied();
        let fastest = self.places.values().flatten().max().copied();
        if slowest == fastest {
            return false;
        }
        for place in self.places.values_mut().filter(|place| **place == slowest) {
            *place = None;
        }
        true
    }
}
