//! The last verdict about every endpoint, with its age. Whoever asks about health reads this, never the endpoint.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use stdx::clock::Mono;

use crate::checker::Health;
use crate::position::Position;
use crate::probe::Failure;

/// What is known about one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What the checker believes.
    pub health: Health,
    /// The last answer, when it was a bad one.
    pub failure: Option<Failure>,
    /// When the last answer came; for one that is remembered from before a restart, the start.
    pub checked: Mono,
    /// How old the answer was at `checked` already: it is remembered from before a restart.
    pub before: Duration,
    /// How old it may become before its silence is an alarm.
    pub silence_max: Duration,
    /// How far its copies of databases have come.
    pub positions: Arc<[Position]>,
}

impl Verdict {
    /// How old the last answer is.
    pub fn age(&self, now: Mono) -> Duration {
        now.since(self.checked).saturating_add(self.before)
    }

    /// Whether nobody has checked for three intervals. What was before a restart does not count: nobody could.
    pub fn is_unchecked(&self, now: Mono) -> bool {
        now.since(self.checked) > self.silence_max
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

    fn down() -> Verdict {
        Verdict {
            health: Health::Unhealthy,
            failure: Some(Failure::Refused),
            checked: Mono(1_000),
            before: Duration::ZERO,
            silence_max: Duration::from_nanos(5_000),
            positions: Arc::default(),
        }
    }

    #[test]
    fn readers_see_the_latest_verdict_and_its_age() {
        let cache = HealthCache::default();
        let reader = cache.clone();
        cache.put("web.1", down());
        assert_eq!(reader.get(&"web.1"), Some(down()));
        assert_eq!(down().age(Mono(4_000)), Duration::from_nanos(3_000));
        cache.remove(&"web.1");
        assert_eq!(reader.all(), []);
    }

    #[test]
    fn what_is_remembered_is_older_and_gets_its_time_all_the_same() {
        let remembered = Verdict { before: Duration::from_secs(60), ..down() };
        assert_eq!(remembered.age(Mono(1_000)), Duration::from_secs(60));
        assert!(!remembered.is_unchecked(Mono(6_000)));
        assert!(remembered.is_unchecked(Mono(6_001)));
    }
}
