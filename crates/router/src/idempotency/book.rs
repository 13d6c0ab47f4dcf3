//! Who asked with which key, and where the answer is. Pure: takes `now`, knows no disk.
//!
//! A key is under way from its first request until that has an answer or ends without one; then whoever waits tries again.
//! What is under way is forgotten by a restart: the request that comes again is then a first one.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use stdx::clock::Wall;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;
use wal::Position;

use super::key::{Fingerprint, Hash};

/// What the book may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) answers: usize,
    pub(crate) bytes: u64,
}

/// Where an answer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Disk(Position),
    /// There is no data folder, or its disk refused.
    Memory(Bytes),
    /// It was too long to be recorded; that it was given is known.
    Nowhere,
}

/// A first answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) until: Wall,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) place: Place,
}

#[derive(Debug)]
enum Entry {
    UnderWay { turn: u64, head: Hash, ended: Arc<Notify> },
    Done { number: u64, done: Done },
}

/// What a request with a key is to do.
#[derive(Debug)]
pub(crate) enum Claim {
    /// It is the first; it owes an answer under this number.
    Yours(u64),
    /// Wait for the first to end, and claim again.
    UnderWay(OwnedNotified),
    Done(Done),
    /// The key belongs to another request.
    Taken,
}

/// All keys.
#[derive(Debug)]
pub(crate) struct Book {
    limits: Limits,
    entries: HashMap<Hash, Entry>,
    /// Answers, oldest first; those that were forgotten since are skipped by their number.
    order: VecDeque<(Hash, u64)>,
    answers: usize,
    bytes: u64,
    last: u64,
}

impl Book {
    pub(crate) fn new(limits: Limits) -> Book {
        Book { limits, entries: HashMap::new(), order: VecDeque::new(), answers: 0, bytes: 0, last: 0 }
    }

    /// A request with this key has come.
    pub(crate) fn claim(&mut self, key: Hash, head: Hash, now: Wall) -> Claim {
        match self.entries.get(&key) {
            Some(Entry::UnderWay { head: first, .. }) if *first != head => return Claim::Taken,
            Some(Entry::UnderWay { ended, .. }) => return Claim::UnderWay(Arc::clone(ended).notified_owned()),
            Some(Entry::Done { done, .. }) if done.until > now => return Claim::Done(done.clone()),
            Some(Entry::Done { .. }) => self.forget(key),
            None => {}
        }
        self.last += 1;
        self.entries.insert(key, Entry::UnderWay { turn: self.last, head, ended: Arc::default() });
        Claim::Yours(self.last)
    }

    /// The first request has its answer.
    pub(crate) fn settle(&mut self, key: Hash, turn: u64, done: Done) {
        if self.end(key, turn) {
            self.insert(key, done);
        }
    }

    /// The first request ended without an answer: whoever waits, or comes, is the first.
    pub(crate) fn give_up(&mut self, key: Hash, turn: u64) {
        self.end(key, turn);
    }

    /// An answer from before a restart.
    pub(crate) fn load(&mut self, key: Hash, done: Done) {
        self.forget(key);
        self.insert(key, done);
    }

    /// An answer that cannot be had after all.
    pub(crate) fn forget(&mut self, key: Hash) {
        if let Some(Entry::Done { done, .. }) = self.entries.get(&key) {
            self.answers -= 1;
            self.bytes -= bytes(&done.place);
            self.entries.remove(&key);
        }
    }

    /// Forgets answers that are over, and the oldest beyond the limits; the oldest segment that is still needed.
    pub(crate) fn tidy(&mut self, now: Wall) -> Option<u64> {
        while let Some((key, number)) = self.order.front().copied() {
            match self.entries.get(&key) {
                Some(Entry::Done { number: present, done }) if *present == number => {
                    let crowded = self.answers > self.limits.answers || self.bytes > self.limits.bytes;
                    if done.until > now && !crowded {
                        break;
                    }
                    self.forget(key);
                }
                _ => {}
            }
            self.order.pop_front();
        }
        // Answers were recorded in this order, so the first on disk is in the oldest segment.
        self.order.iter().find_map(|(key, _)| match self.entries.get(key) {
            Some(Entry::Done { done: Done { place: Place::Disk(at), .. }, .. }) => Some(at.segment),
            _ => None,
        })
    }

    fn insert(&mut self, key: Hash, done: Done) {
        self.last += 1;
        self.answers += 1;
        self.bytes += bytes(&done.place);
        self.order.push_back((key, self.last));
        self.entries.insert(key, Entry::Done { number: self.last, done });
    }

    fn end(&mut self, key: Hash, turn: u64) -> bool {
        let Some(Entry::UnderWay { turn: present, ended, .. }) = self.entries.get(&key) else { return false };
        if *present != turn {
            return false;
        }
        ended.notify_waiters();
        self.entries.remove(&key);
        true
    }
}

fn bytes(place: &Place) -> u64 {
    match place {
        Place::Disk(at) => at.len.into(),
        Place::Memory(answer) => answer.len() as u64,
        Place::Nowhere => 0,
    }
}

/// When an answer that is given now is over.
pub(crate) fn until(now: Wall, ttl_ms: u64) -> Wall {
    // Two centuries are for ever, and cannot overflow.
    now + Duration::from_millis(ttl_ms.min(6_000_000_000_000))
}

#[cfg(test)]
#[path = "book/tests.rs"]
mod tests;
