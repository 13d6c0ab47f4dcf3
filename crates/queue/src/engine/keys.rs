//! Keys of deduplication: a second `put` with the same key is the first one's job, for a while or until that is done.
//!
//! A key is scoped by its namespace and tube; the text kept here begins with the tube's name.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::{Engine, SpaceIx, TubeIx};
use crate::names::JobId;

type Scoped = (SpaceIx, Arc<str>);

/// The keys that are in force.
#[derive(Default)]
pub(crate) struct Keys {
    windows: HashMap<Scoped, (JobId, u64)>,
    by_end: BTreeSet<(u64, Scoped)>,
    /// Until the job is done.
    unique: HashMap<Scoped, JobId>,
}

impl Keys {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.windows.len() + self.unique.len()
    }

    /// From now on the key is this job's until then, unless another one has it for longer: records of an older job may
    /// come later when they were copied forward.
    pub(crate) fn keep(&mut self, space: SpaceIx, key: Arc<str>, id: JobId, until_ms: u64) {
        let scoped = (space, key);
        match self.windows.get(&scoped) {
            Some((_, before)) if *before > until_ms => return,
            Some((_, before)) => self.by_end.remove(&(*before, scoped.clone())),
            None => false,
        };
        self.windows.insert(scoped.clone(), (id, until_ms));
        self.by_end.insert((until_ms, scoped));
    }

    /// The keys with a window, as records tell of them.
    pub(crate) fn windows(&self) -> impl Iterator<Item = (SpaceIx, &str, JobId, u64)> {
        self.windows.iter().map(|((space, key), (id, until_ms))| (*space, &**key, *id, *until_ms))
    }

    /// Forgets windows that are over, some at a time.
    pub(super) fn expire(&mut self, now_ms: u64) {
        const AT_ONCE_MAX: usize = 256;
        for _ in 0..AT_ONCE_MAX {
            match self.by_end.first() {
                Some((until_ms, _)) if *until_ms <= now_ms => {}
                _ => return,
            }
            if let Some((_, scoped)) = self.by_end.pop_first() {
                self.windows.remove(&scoped);
            }
        }
    }

    pub(super) fn claim(&mut self, space: SpaceIx, key: Arc<str>, id: JobId) {
        self.unique.entry((space, key)).or_insert(id);
    }

    /// The job is done; another one that has the key meanwhile keeps it.
    pub(super) fn let_go(&mut self, space: SpaceIx, key: &Arc<str>, id: JobId) {
        let scoped = (space, Arc::clone(key));
        if self.unique.get(&scoped) == Some(&id) {
            self.unique.remove(&scoped);
        }
    }
}

/// The key as it is kept: with its tube in front, whose name has no space.
pub(crate) fn scoped_key(tube: &str, key: &str) -> Arc<str> {
    format!("{tube} {key}").into()
}

impl Engine {
    /// The job that has one of these keys now.
    pub(crate) fn job_with_key(
        &self,
        tube: TubeIx,
        key: Option<&Arc<str>>,
        unique: Option<&Arc<str>>,
        now_ms: u64,
    ) -> Option<JobId> {
        let space = self.tube(tube).space;
        let windowed = key.and_then(|key| self.keys.windows.get(&(space, Arc::clone(key))));
        let in_window = windowed.filter(|(_, until_ms)| *until_ms > now_ms).map(|(id, _)| *id);
        in_window.or_else(|| self.keys.unique.get(&(space, Arc::clone(unique?))).copied())
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    pub(crate) fn keys_mut(&mut self) -> &mut Keys {
        &mut self.keys
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_key_is_the_last_jobs_until_its_window_is_over(
            steps in proptest::collection::vec((0..4u8, 0..5u64, 1..50u64), 1..200),
        ) {
            let mut keys = Keys::default();
            let mut model: HashMap<u64, (JobId, u64)> = HashMap::new();
            let (mut now, mut id) = (0, 0);
            for (what, key, amount) in steps {
                if what == 0 {
                    now += amount;
                    keys.expire(now);
                    model.retain(|_, (_, until_ms)| *until_ms > now);
                } else {
                    id += 1;
                    keys.keep(SpaceIx::SHARED, scoped_key("t", &key.to_string()), JobId(id), now + amount);
                    let kept = model.entry(key).or_insert((JobId(id), 0));
                    if kept.1 <= now + amount {
                        *kept = (JobId(id), now + amount);
                    }
                }
                prop_assert_eq!(keys.windows.len(), model.len());
                prop_assert_eq!(keys.by_end.len(), model.len());
                for (key, kept) in &model {
                    let found = keys.windows.get(&(SpaceIx::SHARED, scoped_key("t", &key.to_string())));
                    prop_assert_eq!(found, Some(kept));
                }
            }
        }
    }
}
