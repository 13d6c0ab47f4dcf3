//! A sorted set in short runs: what a `BTreeSet` does, at the price of little more than the keys themselves.
//!
//! Keys mostly come in order and leave from the front, which costs no search and no copying; a run that is full is not
//! split then but followed by a new one, so runs are full. Elsewhere an insertion moves at most one run's keys.

use std::collections::VecDeque;

/// Keys of one run.
const RUN_MAX: usize = 256;

/// What the last run of a set that fell empty may keep allocated, in keys.
const IDLE_KEYS_MAX: usize = 16;

/// A set of keys in their order.
#[derive(Clone, Debug)]
pub(crate) struct Runs<K> {
    runs: VecDeque<Run<K>>,
    len: usize,
}

#[derive(Clone, Debug)]
struct Run<K> {
    keys: Vec<K>,
    /// Keys before this have left from the front.
    start: usize,
}

impl<K> Default for Runs<K> {
    fn default() -> Runs<K> {
        Runs { runs: VecDeque::new(), len: 0 }
    }
}

impl<K: Copy + Ord> Run<K> {
    fn one(key: K) -> Run<K> {
        Run { keys: vec![key], start: 0 }
    }

    fn live(&self) -> &[K] {
        &self.keys[self.start..]
    }

    fn insert(&mut self, at: usize, key: K) {
        if at == 0 && self.start > 0 {
            self.start -= 1;
            self.keys[self.start] = key;
        } else {
            self.keys.insert(self.start + at, key);
        }
    }

    fn remove(&mut self, at: usize) {
        if at == 0 {
            self.start += 1;
        } else {
            self.keys.remove(self.start + at);
        }
    }

    fn close_gap(&mut self) {
        self.keys.drain(..self.start);
        self.start = 0;
    }
}

impl<K: Copy + Ord> Runs<K> {
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn first(&self) -> Option<&K> {
        self.runs.front()?.live().first()
    }

    /// All keys, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &K> {
        self.runs.iter().flat_map(Run::live)
    }

    /// The first key that is not less than `from`.
    pub(crate) fn first_from(&self, from: &K) -> Option<&K> {
        let run = self.run_of(from)?;
        let at = self.runs[run].live().partition_point(|key| key < from);
        self.runs[run].live().get(at).or_else(|| self.runs.get(run + 1)?.live().first())
    }

    /// Adds a key; says whether it is new.
    pub(crate) fn insert(&mut self, key: K) -> bool {
        let Some(run) = self.run_of(&key) else {
            self.runs.push_back(Run::one(key));
            self.len += 1;
            return true;
        };
        let is_last = run + 1 == self.runs.len();
        let keys = self.runs[run].live();
        if is_last && keys.last().is_none_or(|last| *last < key) {
            self.append(key);
        } else {
            let Err(at) = keys.binary_search(&key) else { return false };
            self.insert_inside(run, at, key);
        }
        self.len += 1;
        true
    }

    /// Takes a key out; says whether it was there.
    pub(crate) fn remove(&mut self, key: &K) -> bool {
        let Some(ix) = self.run_of(key) else { return false };
        let run = &mut self.runs[ix];
        let Ok(at) = run.live().binary_search(key) else { return false };
        run.remove(at);
        self.len -= 1;
        let left = run.live().len();
        if left == 0 {
            self.let_go(ix);
        } else if left < RUN_MAX / 4 {
            self.join_next(ix);
            if let Some(before) = ix.checked_sub(1) {
                self.join_next(before);
            }
        }
        true
    }

    /// What the set has allocated, in bytes and nearly.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        let keys: usize = self.runs.iter().map(|run| run.keys.capacity() * size_of::<K>()).sum();
        keys + self.runs.capacity() * size_of::<Run<K>>()
    }

    /// The run in which the key is or belongs; `None` when there is no run at all.
    fn run_of(&self, key: &K) -> Option<usize> {
        if self.runs.is_empty() {
            return None;
        }
        let after = self.runs.partition_point(|run| run.live().first().is_some_and(|first| first <= key));
        Some(after.saturating_sub(1))
    }

    fn append(&mut self, key: K) {
        let Some(run) = self.runs.back_mut() else { return };
        if run.keys.len() >= RUN_MAX && run.start >= RUN_MAX / 2 {
            run.close_gap();
        }
        if run.keys.len() >= RUN_MAX {
            // It will be full like the one before; growing would leave holes in the heap.
            let mut keys = Vec::with_capacity(RUN_MAX);
            keys.push(key);
            self.runs.push_back(Run { keys, start: 0 });
        } else {
            run.keys.push(key);
        }
    }

    fn insert_inside(&mut self, ix: usize, at: usize, key: K) {
        let run = &mut self.runs[ix];
        if run.live().len() < RUN_MAX {
            if run.start > 0 && at > 0 {
                run.close_gap();
            }
            return run.insert(at, key);
        }
        if at == run.live().len() {
            // The keys of one priority come in order in front of those of the next.
            return self.runs.insert(ix + 1, Run::one(key));
        }
        run.close_gap();
        // Where keys go in one after the other, what is before them stays full.
        let cut = at.max(RUN_MAX / 2);
        let upper = Run { keys: run.keys.split_off(cut), start: 0 };
        run.insert(at, key);
        self.runs.insert(ix + 1, upper);
        self.join_next(ix + 1);
    }

    fn let_go(&mut self, ix: usize) {
        if self.runs.len() == 1 && self.runs[0].keys.capacity() <= IDLE_KEYS_MAX {
            self.runs[0].keys.clear();
            self.runs[0].start = 0;
        } else {
            self.runs.remove(ix);
        }
    }

    /// A short run and its next become one, if that leaves room.
    fn join_next(&mut self, ix: usize) {
        let Some(next) = self.runs.get(ix + 1) else { return };
        if self.runs[ix].live().len() + next.live().len() <= RUN_MAX / 2
            && let Some(next) = self.runs.remove(ix + 1)
        {
            self.runs[ix].close_gap();
            self.runs[ix].keys.extend_from_slice(next.live());
            self.runs[ix].keys.shrink_to(RUN_MAX / 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_set_that_std_has(
            steps in proptest::collection::vec((0..4u8, 0..2000u32), 1..3000),
        ) {
            let (mut runs, mut set) = (Runs::default(), BTreeSet::new());
            let mut next = 1000;
            for (what, number) in steps {
                match what {
                    0 => {
                        next += 1;
                        prop_assert_eq!(runs.insert(next), set.insert(next));
                    }
                    1 => prop_assert_eq!(runs.insert(number), set.insert(number)),
                    2 => prop_assert_eq!(runs.remove(&number), set.remove(&number)),
                    _ => {
                        prop_assert_eq!(runs.first_from(&number), set.range(number..).next());
                        let first = set.first().copied();
                        prop_assert_eq!(runs.first().copied(), first);
                        first.map(|first| (runs.remove(&first), set.remove(&first)));
                    }
                }
                prop_assert_eq!(runs.len(), set.len());
            }
            prop_assert!(runs.iter().eq(set.iter()));
        }
    }

    #[test]
    fn in_order_it_costs_its_keys() {
        let mut runs = Runs::default();
        for number in 0..100_000u32 {
            runs.insert(number);
        }
        assert!(runs.bytes() < 100_000 * 5, "{} bytes", runs.bytes());
    }

    #[test]
    fn what_is_left_of_many_keys_is_kept_together() {
        let mut runs = Runs::default();
        for number in 0..100_000u32 {
            runs.insert(number);
        }
        for number in (0..100_000).filter(|number| number % 50 != 0) {
            runs.remove(&number);
        }
        assert_eq!(runs.len(), 2000);
        assert!(runs.runs.len() <= 2000 / (RUN_MAX / 4) + 2, "{} runs", runs.runs.len());
    }
}
