//! Which entry goes when room is needed: SIEVE (Zhang et al., NSDI 2024), a queue with one bit per entry and a hand.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::key::Key;

/// Names one entry of the queue; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId {
    slot: usize,
    turn: u64,
}

struct Node {
    key: Key,
    turn: u64,
    /// Atomic, so that readers who share the store can say that they used an entry.
    used: AtomicBool,
    newer: Option<usize>,
    older: Option<usize>,
}

/// Newest first; entries are never moved, only the hand is.
#[derive(Default)]
pub(crate) struct Sieve {
    nodes: Vec<Option<Node>>,
    free: Vec<usize>,
    newest: Option<usize>,
    oldest: Option<usize>,
    hand: Option<usize>,
    turns: u64,
}

impl Sieve {
    pub(crate) fn push(&mut self, key: Key) -> EntryId {
        self.turns += 1;
        let node = Node { key, turn: self.turns, used: AtomicBool::new(false), newer: None, older: self.newest };
        let slot = self.free.pop().unwrap_or_else(|| {
            self.nodes.push(None);
            self.nodes.len() - 1
        });
        if let Some(next) = self.newest.and_then(|at| self.nodes[at].as_mut()) {
            next.newer = Some(slot);
        }
        self.nodes[slot] = Some(node);
        self.newest = Some(slot);
        self.oldest = self.oldest.or(Some(slot));
        EntryId { slot, turn: self.turns }
    }

    pub(crate) fn touch(&self, id: EntryId) {
        if let Some(node) = self.node(id) {
            node.used.store(true, Ordering::Relaxed);
        }
    }

    pub(crate) fn key(&self, id: EntryId) -> Option<&Key> {
        self.node(id).map(|node| &node.key)
    }

    pub(crate) fn remove(&mut self, id: EntryId) {
        if self.node(id).is_none() {
            return;
        }
        let Some(node) = self.nodes[id.slot].take() else { return };
        match node.newer.and_then(|at| self.nodes[at].as_mut()) {
            Some(newer) => newer.older = node.older,
            None => self.newest = node.older,
        }
        match node.older.and_then(|at| self.nodes[at].as_mut()) {
            Some(older) => older.newer = node.newer,
            None => self.oldest = node.newer,
        }
        if self.hand == Some(id.slot) {
            self.hand = node.newer;
        }
        self.free.push(id.slot);
    }

    /// The entry to evict, but not `spared`; the entries that the hand passes lose their bit.
    pub(crate) fn victim(&mut self, spared: EntryId) -> Option<EntryId> {
        // Each entry is passed at most once with its bit set and once without, and one may be spared.
        for _ in 0..2 * self.nodes.len() + 2 {
            let slot = self.hand.or(self.oldest)?;
            let node = self.nodes[slot].as_ref()?;
            self.hand = node.newer;
            let was_used = node.used.swap(false, Ordering::Relaxed);
            let id = EntryId { slot, turn: node.turn };
            if !was_used && id != spared {
                return Some(id);
            }
        }
        None
    }

    fn node(&self, id: EntryId) -> Option<&Node> {
        self.nodes.get(id.slot)?.as_ref().filter(|node| node.turn == id.turn)
    }
}
