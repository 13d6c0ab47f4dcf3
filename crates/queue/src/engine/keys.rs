//! Keys of deduplication: a second `put` with the same key is the first one's job, for a while or until that is done.
//!
//! A key is scoped by its namespace and tube; the text kept here begins with the tube's name.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::{Engine, SpaceIx, TubeIx};
use crate::names::JobId;

type Scoped = (SpaceIx, Arc<str>);

/// Whose a key is, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) id: JobId,
    pub(crate) until_ms: u64,
    /// The job was in the log: its key outlives a restart, as the job does.
    pub(crate) is_logged: bool,
}

/// The keys that are in force.
#[derive(Default)]
pub(crate) struct Keys {
    windows: HashMap<Scoped, Window>,
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
    pub(crate) fn keep(&mut self, space: SpaceIx, key: Arc<str>, window: Window) {
        let scoped = (space, key);
        match self.windows.get(&scoped).map(|before| before.until_ms) {
            Some(before) if before > window.until_ms => return,
            Some(before) => self.by_end.remove(&(before, scoped.clone())),
            None => false,
        };
        self.by_end.insert((window.until_ms, scoped.clone()));
        self.windows.insert(scoped, window);
    }

    /// The keys with a window that a start has to know of.
    pub(crate) fn windows(&self) -> impl Iterator<Item = (SpaceIx, &Arc<str>, Window)> {
        let all = self.windows.iter().map(|((space, key), window)| (*space, key, *window));
        all.filter(|(_, _, window)| window.is_logged)
    }

    /// The keys that are some job's until it is done.
    pub(crate) fn unique(&self) -> impl Iterator<Item = (SpaceIx, &Arc<str>, JobId)> {
        self.unique.iter().map(|((space, key), id)| (*space, key, *id))
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

    /// The key is the job's until it is done, unless it is another one's.
    pub(crate) fn claim(&mut self, space: SpaceIx, key: Arc<str>, id: JobId) {
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
        let in_window = windowed.filter(|window| window.until_ms > now_ms).map(|window| window.id);
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
            let mut model: HashMap<u64, Window> = HashMap::new();
            let (mut now, mut id) = (0, 0);
            for (what, key, amount) in steps {
                if what == 0 {
                    now += amount;
                    keys.expire(now);
                    model.retain(|_, window| window.until_ms > now);
                } else {
                    id += 1;
                    let window = Window { id: JobId(id), until_ms: now + amount, is_logged: true };
                    keys.keep(SpaceIx::SHARED, scoped_key("t", &key.to_string()), window);
                    let kept = model.entry(key).or_insert(window);
                    if kept.until_ms <= window.until_ms {
                        *kept = window;
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
