//! The last verdict about every endpoint, with its age. Whoever asks about health reads this, never the endpoint.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use stdx::clock::Mono;

use crate::checker::Health;
use crate::probe::Failure;

/// What is known about one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What the checker believes.
    pub health: Health,
    /// The last answer, when it was a bad one.
    pub failure: Option<Failure>,
    /// When the last answer came.
    pub checked: Mono,
}

impl Verdict {
    /// How old the last answer is.
    pub fn age(&self, now: Mono) -> Duration {
        now.since(self.checked)
    }
}

/// Verdicts by a key of the owner's choice: an address, an instance. Clones share one map.
#[derive(Debug)]
pub struct HealthCache<K>(Arc<RwLock<BTreeMap<K, Verdict>>>);

impl<K> Clone for HealthCache<K> {
    fn clone(&self) -> HealthCache<K> {
        HealthCache(Arc::clone(&self.0))
    }
}

impl<K: Ord> Default for HealthCache<K> {
    fn default() -> HealthCache<K> {
        HealthCache(Arc::default())
    }
}

impl<K: Ord> HealthCache<K> {
    /// Keeps the latest verdict.
    pub fn put(&self, key: K, verdict: Verdict) {
        self.write().insert(key, verdict);
    }

    /// The latest verdict, `None` for what was never checked.
    pub fn get(&self, key: &K) -> Option<Verdict> {
        self.read().get(key).cloned()
    }

    /// Forgets an endpoint that is gone.
    pub fn remove(&self, key: &K) {
        self.write().remove(key);
    }

    /// All verdicts, in the order of their keys.
    pub fn all(&self) -> Vec<(K, Verdict)>
    where
        K: Clone,
    {
        self.read().iter().map(|(key, verdict)| (key.clone(), verdict.clone())).collect()
    }

    // A panic elsewhere cannot leave a map half changed here, so a poisoned lock is as good as a sound one.
    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<K, Verdict>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<K, Verdict>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_see_the_latest_verdict_and_its_age() {
        let cache = HealthCache::default();
        let reader = cache.clone();
        let down = Verdict { health: Health::Unhealthy, failure: Some(Failure::Refused), checked: Mono(1_000) };
        cache.put("web.1", down.clone());
        assert_eq!(reader.get(&"web.1"), Some(down.clone()));
        assert_eq!(down.age(Mono(4_000)), Duration::from_nanos(3_000));
        cache.remove(&"web.1");
        assert_eq!(reader.all(), []);
    }
}
