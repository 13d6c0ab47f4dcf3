//! What outlives a snapshot: the shared state of an upstream and of a route, over all workers and all routings that name
//! them.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use stdx::clock::Mono;

use crate::budget::Budget;
use crate::capacity::{AppState, Breaker, Limiter, RateTable};
use crate::fault::Faults;
use crate::figures::RouteFigures;
use crate::latency::Latency;
use crate::maintenance::Worked;
use crate::routing::{UpstreamName, UpstreamSpec};

/// The shared state of one upstream.
#[derive(Debug, Default)]
pub(crate) struct UpstreamState {
    pub(crate) budget: Budget,
    /// All endpoints are in rotation because too many look dead.
    pub(crate) fail_static: AtomicBool,
    pressed_until: AtomicU64,
    /// There from when it first had a limit.
    pub(crate) limiter: OnceLock<Arc<Limiter>>,
    /// Counts its requests, where endpoints take turns.
    pub(crate) turn: AtomicU64,
}

/// How long an upstream is left in peace by hedges after it was under pressure.
const PRESSED: Duration = Duration::from_secs(1);

impl UpstreamState {
    /// Whether checks are not believed; a change is said.
    pub(crate) fn fails_static(&self, spec: &UpstreamSpec) -> bool {
        let staying = spec.endpoints.iter().filter(|one| !one.draining).map(|one| one.health);
        let now = health::fails_static(staying, spec.policy.rotation.fail_static_percent);
        if now != self.fail_static.swap(now, Relaxed) {
            let upstream = &spec.name;
            match now {
                true => tracing::warn!(%upstream, "fail static: so many endpoints look dead that all stay in rotation"),
                false => {
                    tracing::info!(%upstream, "enough endpoints are healthy again: those that look dead are out of rotation")
                }
            }
        }
        now
    }

    /// An endpoint said that it has too much to do, or its breaker or a limiter acted.
    pub(crate) fn press(&self, now: Mono) {
        self.pressed_until.store((now + PRESSED).0, Relaxed);
    }

    /// Whether it was under pressure a moment ago: then nothing is sent to it for speed's sake.
    pub(crate) fn under_pressure(&self, now: Mono) -> bool {
        self.pressed_until.load(Relaxed) > now.0
    }
}

/// The shared state of one route.
#[derive(Debug, Default)]
pub(crate) struct RouteState {
    /// Requests whose record is written, by the first digit of their status; anything odd in the first place.
    answered: [AtomicU64; 6],
    pub(crate) breaker: Breaker,
    /// There from when the route first had a limit.
    pub(crate) limiter: OnceLock<Arc<Limiter>>,
    rates: Mutex<Option<Arc<RateTable>>>,
    pub(crate) faults: Faults,
    pub(crate) worked: Worked,
    pub(crate) figures: RouteFigures,
    latency: OnceLock<Box<Latency>>,
}

impl RouteState {
    /// What the route's clients have spent, in a table of at least so many keys: the one that is there if it has room.
    pub(crate) fn rates(&self, keys: u32) -> Arc<RateTable> {
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        let room = (keys as usize)..(keys as usize).saturating_mul(2).saturating_add(16);
        match &*rates {
            Some(table) if room.contains(&table.room()) => Arc::clone(table),
            _ => Arc::clone(rates.insert(Arc::new(RateTable::new(keys)))),
        }
    }

    /// From now on the latency of its answers is known.
    pub(crate) fn measure(&self) {
        self.latency.get_or_init(Box::default);
    }

    /// The latency of its answers, where somebody asked for it.
    pub(crate) fn latency(&self) -> Option<&Latency> {
        self.latency.get().map(|latency| &**latency)
    }

    /// A request is over.
    pub(crate) fn answered(&self, status: u16) {
        self.answered.get(usize::from(status / 100)).unwrap_or(&self.answered[0]).fetch_add(1, Relaxed);
    }

    /// Requests by the first digit of their status, the odd ones first.
    pub(crate) fn counts(&self) -> [u64; 6] {
        std::array::from_fn(|class| self.answered[class].load(Relaxed))
    }
}

/// The states that snapshots share, by what they are known by.
#[derive(Debug, Default)]
pub(crate) struct States {
    pub(crate) upstreams: Kept<UpstreamName, UpstreamState>,
    pub(crate) routes: Kept<String, RouteState>,
    /// Applications by `app/environment`; routes of none share one.
    pub(crate) apps: Kept<String, AppState>,
}

/// States by key; one that no snapshot and no request holds any more is forgotten.
#[derive(Debug)]
pub(crate) struct Kept<K, V>(Mutex<HashMap<K, Arc<V>>>);

impl<K, V> Default for Kept<K, V> {
    fn default() -> Kept<K, V> {
        Kept(Mutex::default())
    }
}

impl<K: Eq + Hash + Clone, V: Default> Kept<K, V> {
    /// The state of `key`, new when nobody has it.
    pub(crate) fn find(&self, key: &K) -> Arc<V> {
        Arc::clone(self.lock().entry(key.clone()).or_default())
    }

    /// Forgets those that only this map holds, but for what `keep` says yes to.
    pub(crate) fn sweep(&self, keep: impl Fn(&V) -> bool) {
        self.lock().retain(|_, state| Arc::strong_count(state) > 1 || keep(state));
    }

    /// All of them at this moment.
    pub(crate) fn all(&self) -> Vec<(K, Arc<V>)> {
        self.lock().iter().map(|(key, state)| (key.clone(), Arc::clone(state))).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<K, Arc<V>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
