//! What queries and tails may see of the writer's work, under one short lock: the records that are not yet on disk, which
//! times are where, and who listens. Taking a snapshot and joining the listeners in one step is what makes a tail go on
//! from a scan without gap or duplicate.

use std::collections::VecDeque;
use std::sync::Arc;

use stdx::clock::Wall;

use crate::format::View;
use crate::index::{Index, SegmentTimes};
use crate::tail::{Tail, TailReader};

/// Bytes of durable records that are kept, so that a tail whose scan has just ended finds its place here.
const DURABLE_BYTES_KEPT: usize = 256 << 10;

/// A record in memory.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) time: Wall,
    pub(crate) seq: u64,
    /// What it counts in the inbox until it is durable.
    pub(crate) cost: u64,
    pub(crate) payload: Arc<[u8]>,
}

/// All records as of one moment: those up to and including `on_disk` are in the segments, those after in `recent`.
pub(crate) struct Snapshot {
    pub(crate) segments: Vec<SegmentTimes>,
    pub(crate) on_disk: u64,
    pub(crate) recent: Vec<Entry>,
    /// The newest record's number.
    pub(crate) end: u64,
}

#[derive(Default)]
pub(crate) struct Live {
    pub(crate) index: Index,
    /// Follow each other without gap up to `end`; all that are not durable, and some that are.
    recent: VecDeque<Entry>,
    durable: u64,
    durable_bytes: usize,
    end: u64,
    tails: Vec<Arc<Tail>>,
    has_ended: bool,
}

impl Live {
    /// After recovery: all up to `last` is on disk.
    pub(crate) fn recovered(index: Index, last: u64) -> Live {
        Live { index, durable: last, end: last, ..Live::default() }
    }

    /// A record was appended to `segment`; it is visible from now on.
    pub(crate) fn appended(&mut self, entry: Entry, segment: u64) {
        self.index.note(segment, entry.seq, entry.time);
        self.tails.retain(|tail| Arc::strong_count(tail) > 1);
        if !self.tails.is_empty()
            && let Ok(view) = View::decode(&entry.payload)
        {
            self.tails.iter().for_each(|tail| tail.push(&entry, &view));
        }
        self.end = entry.seq;
        self.recent.push_back(entry);
    }

    /// All up to `seq` is on disk; returns what those records counted in the inbox.
    pub(crate) fn durable(&mut self, seq: u64) -> u64 {
        let from = self.recent.partition_point(|entry| entry.seq <= self.durable);
        let to = self.recent.partition_point(|entry| entry.seq <= seq);
        let newly = self.recent.range(from..to);
        let (bytes, cost) = newly.fold((0, 0), |(b, c), entry| (b + entry.payload.len(), c + entry.cost));
        self.durable = self.durable.max(seq);
        self.durable_bytes += bytes;
        while self.durable_bytes > DURABLE_BYTES_KEPT {
            self.forget_first();
        }
        cost
    }

    /// Takes a durable record out of memory.
    fn forget_first(&mut self) {
        let bytes = self.recent.pop_front().map_or(self.durable_bytes, |entry| entry.payload.len());
        self.durable_bytes -= bytes;
    }

    /// Retention removes the segments below `number`, all of whose records are durable.
    pub(crate) fn forget_below(&mut self, number: u64) {
        self.index.forget_below(number);
        let first = self.index.first_seq().unwrap_or(0);
        while self.recent.front().is_some_and(|entry| entry.seq < first && entry.seq <= self.durable) {
            self.forget_first();
        }
    }

    /// The records above `seq` that there are now.
    pub(crate) fn snapshot(&self, seq: u64) -> Snapshot {
        let on_disk = self.on_disk_only();
        let segments = if on_disk > seq { self.index.above(seq) } else { Vec::new() };
        Snapshot { segments, on_disk, recent: self.recent_above(seq), end: self.end }
    }

    /// Joins a tail that has seen all up to `seq`: returns what it has missed since, and its reader. `None` when part of
    /// that is only on disk by now.
    pub(crate) fn join(&mut self, seq: u64, tail: &Arc<Tail>) -> Option<(Vec<Entry>, TailReader)> {
        if self.on_disk_only() > seq {
            return None;
        }
        if self.has_ended {
            tail.end();
        } else {
            self.tails.push(Arc::clone(tail));
        }
        Some((self.recent_above(seq), TailReader::new(Arc::clone(tail))))
    }

    /// Ends all tails: no more records will come.
    pub(crate) fn end_tails(&mut self) {
        self.has_ended = true;
        for tail in self.tails.drain(..) {
            tail.end();
        }
    }

    /// Records up to this one are not in memory.
    fn on_disk_only(&self) -> u64 {
        self.recent.front().map_or(self.end, |entry| entry.seq - 1)
    }

    fn recent_above(&self, seq: u64) -> Vec<Entry> {
        let from = self.recent.partition_point(|entry| entry.seq <= seq);
        self.recent.range(from..).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Query;
    use crate::record::Source;
    use crate::tail::TailItem;

    /// Two of these are more than is kept.
    const BIG: usize = DURABLE_BYTES_KEPT * 3 / 4;

    fn append(live: &mut Live, seq: u64, bytes: usize) {
        let message = "x".repeat(bytes);
        let mut payload = Vec::new();
        View { message: &message, ..View::new(Wall(seq), Source::Node) }.encode(&mut payload);
        live.appended(Entry { time: Wall(seq), seq, cost: 1, payload: payload.into() }, 1);
    }

    fn seqs(entries: &[Entry]) -> Vec<u64> {
        entries.iter().map(|entry| entry.seq).collect()
    }

    #[test]
    fn what_is_not_durable_stays_in_memory_whatever_its_size() {
        let mut live = Live::recovered(Index::default(), 4);
        (5..=8).for_each(|seq| append(&mut live, seq, BIG));
        assert_eq!(seqs(&live.snapshot(0).recent), [5, 6, 7, 8]);
        assert_eq!(live.durable(6), 2);
        let snapshot = live.snapshot(0);
        assert_eq!((seqs(&snapshot.recent), snapshot.on_disk, snapshot.end), (vec![6, 7, 8], 5, 8));
        assert_eq!(live.durable(6), 0);
        assert_eq!(live.durable(8), 2);
        assert_eq!(seqs(&live.snapshot(0).recent), [8]);
    }

    #[test]
    fn a_tail_joins_only_where_nothing_is_missing() {
        let mut live = Live::recovered(Index::default(), 0);
        (1..=3).for_each(|seq| append(&mut live, seq, BIG));
        live.durable(3);
        let tail = Arc::new(Tail::new(Query::default(), 10));
        assert!(live.join(1, &tail).is_none(), "2 is on disk only");
        let (missed, mut reader) = live.join(2, &tail).unwrap();
        assert_eq!(seqs(&missed), [3]);
        append(&mut live, 4, 1);
        assert!(matches!(reader.try_next(), Some(TailItem::Record(entry)) if entry.seq == 4));
        assert!(reader.try_next().is_none());
    }

    #[test]
    fn a_tail_that_went_away_is_forgotten() {
        let mut live = Live::default();
        let tail = Arc::new(Tail::new(Query::default(), 10));
        let joined = live.join(0, &tail);
        drop((joined, tail));
        append(&mut live, 1, 1);
        assert!(live.tails.is_empty());
    }
}
