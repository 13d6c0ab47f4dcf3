//! Putting matches into the order of (time, number) in bounded memory.
//!
//! The log is in the order of numbers. Times are nearly so; lines that an instance's init process kept while the node was
//! down come later than their time. The index knows how far back what follows reaches, so all before that may go.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::ops::ControlFlow;
use std::sync::Arc;

use stdx::clock::Wall;
use wal::Position;

/// Bytes of records that one query keeps in memory; of what is more, only the place is kept.
const HELD_BYTES_MAX: usize = 2 << 20;
/// Matches that wait for their turn; beyond it the first goes, in order or not.
const WAITING_MAX: usize = 200_000;

/// A record that was found.
pub(crate) struct Pick {
    pub(crate) time: Wall,
    pub(crate) seq: u64,
    pub(crate) body: PickBody,
}

/// Its bytes, or where they can be read.
pub(crate) enum PickBody {
    Held(Arc<[u8]>),
    OnDisk(Position),
}

impl Pick {
    fn key(&self) -> (Wall, u64) {
        (self.time, self.seq)
    }

    fn held_bytes(&self) -> usize {
        match &self.body {
            PickBody::Held(bytes) => bytes.len(),
            PickBody::OnDisk(_) => 0,
        }
    }
}

impl PartialEq for Pick {
    fn eq(&self, other: &Pick) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Pick {}

impl PartialOrd for Pick {
    fn partial_cmp(&self, other: &Pick) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pick {
    fn cmp(&self, other: &Pick) -> Ordering {
        self.key().cmp(&other.key())
    }
}

/// Where picks go; it breaks when nobody wants more.
pub(crate) type Out<'a> = dyn FnMut(Pick) -> ControlFlow<()> + 'a;

/// Matches that wait for their turn; the first in order is on top.
#[derive(Default)]
pub(crate) struct Waiting {
    heap: BinaryHeap<Reverse<Pick>>,
    held: usize,
}

impl Waiting {
    /// Takes the match of a record on disk.
    pub(crate) fn push_on_disk(&mut self, time: Wall, seq: u64, payload: &[u8], at: Position) {
        let fits = self.held + payload.len() <= HELD_BYTES_MAX;
        let body = if fits { PickBody::Held(payload.into()) } else { PickBody::OnDisk(at) };
        self.push(Pick { time, seq, body });
    }

    /// Takes a match.
    pub(crate) fn push(&mut self, pick: Pick) {
        self.held += pick.held_bytes();
        self.heap.push(Reverse(pick));
    }

    /// Lets go all that nothing later can precede: what follows is not before `floor`.
    pub(crate) fn flow(&mut self, floor: Wall, out: &mut Out<'_>) -> ControlFlow<()> {
        while self.heap.peek().is_some_and(|top| top.0.time <= floor) || self.heap.len() > WAITING_MAX {
            if let Some(pick) = self.pop() {
                out(pick)?;
            }
        }
        ControlFlow::Continue(())
    }

    /// Lets go the first until at most `n` are left: the last ones.
    pub(crate) fn keep_last(&mut self, n: usize) {
        while self.heap.len() > n {
            self.pop();
        }
    }

    /// The time of the first.
    pub(crate) fn first(&self) -> Option<Wall> {
        self.heap.peek().map(|top| top.0.time)
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }

    fn pop(&mut self) -> Option<Pick> {
        let Reverse(pick) = self.heap.pop()?;
        self.held -= pick.held_bytes();
        Some(pick)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(waiting: &mut Waiting, floor: u64) -> Vec<(u64, u64)> {
        let mut got = Vec::new();
        let end = waiting.flow(Wall(floor), &mut |pick| {
            got.push((pick.time.0, pick.seq));
            ControlFlow::Continue(())
        });
        assert!(end.is_continue());
        got
    }

    fn waiting(picks: &[(u64, u64)]) -> Waiting {
        let mut waiting = Waiting::default();
        for &(time, seq) in picks {
            waiting.push_on_disk(Wall(time), seq, &[0; 1000], Position { segment: 1, offset: seq as u32, len: 1000 });
        }
        waiting
    }

    #[test]
    fn what_nothing_later_can_precede_goes_in_order() {
        let mut waiting = waiting(&[(30, 1), (10, 2), (20, 3), (10, 1)]);
        assert_eq!(drain(&mut waiting, 9), []);
        assert_eq!(drain(&mut waiting, 20), [(10, 1), (10, 2), (20, 3)]);
        assert_eq!(drain(&mut waiting, u64::MAX), [(30, 1)]);
        assert_eq!(waiting.held, 0);
    }

    #[test]
    fn the_last_ones_are_kept() {
        let mut waiting = waiting(&[(3, 1), (1, 2), (2, 3)]);
        waiting.keep_last(2);
        assert_eq!(waiting.first(), Some(Wall(2)));
        assert_eq!(drain(&mut waiting, u64::MAX), [(2, 3), (3, 1)]);
    }

    #[test]
    fn memory_is_bounded_and_beyond_the_bound_only_the_place_is_kept() {
        let all: Vec<(u64, u64)> = (0..10_000).map(|seq| (seq, seq)).collect();
        let waiting = waiting(&all);
        assert!(waiting.held <= HELD_BYTES_MAX);
        assert_eq!(waiting.len(), 10_000);
    }
}
