//! Facts that are being changed, and what they cost in memory.

use std::ops::{Deref, DerefMut};

use super::job::Facts;
use super::more::{Attempt, More};

/// Some allocations round up, and each has a header.
const ALLOCATION_BYTES: usize = 16;

/// A job's facts; when the change is over, what they cost is counted anew.
pub(crate) struct FactsMut<'a> {
    facts: &'a mut Facts,
    before: u64,
    all: &'a mut u64,
}

impl<'a> FactsMut<'a> {
    pub(super) fn new(facts: &'a mut Facts, all: &'a mut u64) -> FactsMut<'a> {
        let before = facts.bytes_beside();
        FactsMut { facts, before, all }
    }
}

impl Deref for FactsMut<'_> {
    type Target = Facts;

    fn deref(&self) -> &Facts {
        self.facts
    }
}

impl DerefMut for FactsMut<'_> {
    fn deref_mut(&mut self) -> &mut Facts {
        self.facts
    }
}

impl Drop for FactsMut<'_> {
    fn drop(&mut self) {
        *self.all = *self.all + self.facts.bytes_beside() - self.before;
    }
}

impl Facts {
    /// What is allocated beside them, in bytes and nearly.
    pub(super) fn bytes_beside(&self) -> u64 {
        let Some(more) = &self.more else { return 0 };
        let texts = more.attempts.iter().map(|attempt| text(&attempt.reason) + text(&attempt.worker));
        let terms = &more.terms;
        let keys = [&terms.key, &terms.unique, &terms.order].into_iter().flatten().map(|key| text(key));
        let dead = more.dead.as_ref().map_or(0, |dead| text(&dead.from));
        let places = more.attempts.capacity() * size_of::<Attempt>();
        (size_of::<More>() + ALLOCATION_BYTES + places + texts.chain(keys).sum::<usize>() + dead) as u64
    }
}

fn text(text: &str) -> usize {
    if text.is_empty() { 0 } else { text.len() + ALLOCATION_BYTES }
}
