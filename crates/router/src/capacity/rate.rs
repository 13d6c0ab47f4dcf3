//! How often each key may ask: the generic cell rate algorithm over a bounded table. Pure; one table for all workers, and
//! no lock.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use stdx::clock::Mono;

use crate::capacity::matching::{Asked, key_of};
use crate::config::{RateConfig, RequestKey};

/// Places that a key may be in.
const WAYS: usize = 8;

/// What each key has spent. A key is 64 bits of a keyed hash: nobody outside can make two keys meet.
#[derive(Debug)]
pub(crate) struct RateTable {
    hasher: RandomState,
    places: Box<[Place]>,
}

/// A key, and when all that it has spent will have come back: GCRA's theoretical arrival time, in nanoseconds.
#[derive(Debug, Default)]
struct Place {
    key: AtomicU64,
    full_at: AtomicU64,
}

/// A rate in the units that the code computes with.
#[derive(Clone, Debug)]
pub(crate) struct Rate {
    pub(crate) key: RequestKey,
    /// Nanoseconds in which one request comes back.
    each: u64,
    /// Nanoseconds that may be owed.
    owed_max: u64,
    policy: HeaderValue,
}

/// What a key has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Quota {
    /// The time after which a refused request may come again; zero when it was not refused.
    pub(crate) retry_after: Duration,
    left: u64,
    full_in: Duration,
}

impl RateTable {
    /// A table of at least `keys` keys; a key takes 16 bytes.
    pub(crate) fn new(keys: u32) -> RateTable {
        let sets = (keys as usize).div_ceil(WAYS);
        let places = (0..sets * WAYS).map(|_| Place::default()).collect();
        RateTable { hasher: RandomState::new(), places }
    }

    /// How many keys it has room for.
    pub(crate) fn room(&self) -> usize {
        self.places.len()
    }

    /// One more request of this key.
    pub(crate) fn spend(&self, rate: &Rate, asked: Asked<'_>, now: Mono) -> Quota {
        let place = self.place(self.hash(rate, asked).max(1), now);
        let mut owed = place.full_at.load(Relaxed);
        loop {
            let next = owed.max(now.0) + rate.each;
            if next - now.0 > rate.owed_max {
                return rate.quota(owed.saturating_sub(now.0), next - now.0 - rate.owed_max);
            }
            match place.full_at.compare_exchange_weak(owed, next, Relaxed, Relaxed) {
                Ok(_) => return rate.quota(next - now.0, 0),
                Err(other) => owed = other,
            }
        }
    }

    fn hash(&self, rate: &Rate, asked: Asked<'_>) -> u64 {
        match key_of(&rate.key, asked) {
            Some(value) => self.hasher.hash_one((1_u8, value)),
            None => self.hasher.hash_one((0_u8, asked.peer)),
        }
    }

    /// The key's place, or that of the key in its set which owes least.
    fn place(&self, key: u64, now: Mono) -> &Place {
        let sets = self.places.len() / WAYS;
        let first = usize::try_from(key % sets as u64).unwrap_or_default() * WAYS;
        let set = &self.places[first..first + WAYS];
        if let Some(known) = set.iter().find(|place| place.key.load(Relaxed) == key) {
            return known;
        }
        let owes = |place: &&Place| place.full_at.load(Relaxed).saturating_sub(now.0);
        let least = set.iter().min_by_key(owes).unwrap_or(&set[0]);
        // Two workers may take the same place at once; what the one has counted the other goes on with.
        least.full_at.store(0, Relaxed);
        least.key.store(key, Relaxed);
        least
    }
}

impl Rate {
    pub(crate) fn of(config: &RateConfig) -> Rate {
        let window = u64::from(config.window_s) * 1_000_000_000;
        let each = (window / u64::from(config.requests.max(1))).max(1);
        let burst = u64::from(config.burst.unwrap_or(config.requests).max(1));
        let policy = format!("\"default\";q={};w={}", config.requests, config.window_s);
        Rate {
            key: config.key.clone(),
            each,
            owed_max: each.saturating_mul(burst),
            policy: HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("\"default\"")),
        }
    }

    fn quota(&self, owed: u64, retry_after: u64) -> Quota {
        Quota {
            retry_after: Duration::from_nanos(retry_after),
            left: self.owed_max.saturating_sub(owed) / self.each,
            full_in: Duration::from_nanos(owed),
        }
    }
}

/// What a reply says about its client's rate.
#[derive(Debug)]
pub(crate) struct RateFields {
    policy: HeaderValue,
    quota: Quota,
}

impl RateFields {
    pub(crate) fn new(rate: &Rate, quota: Quota) -> RateFields {
        RateFields { policy: rate.policy.clone(), quota }
    }

    /// Writes `RateLimit` and `RateLimit-Policy`; an application that says so itself is not contradicted.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        const LIMIT: HeaderName = HeaderName::from_static("ratelimit");
        const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
        let reset = self.quota.full_in.as_millis().div_ceil(1_000);
        let limit = HeaderValue::try_from(format!("\"default\";r={};t={reset}", self.quota.left));
        if let (Ok(limit), false) = (limit, headers.contains_key(LIMIT)) {
            headers.insert(LIMIT, limit);
            headers.insert(POLICY, self.policy.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop, prop_assert, proptest};
    use std::net::IpAddr;

    fn at(ms: u64) -> Mono {
        Mono((10_000 + ms) * 1_000_000)
    }

    fn rate(requests: u32, window_s: u32, burst: Option<u32>) -> Rate {
        Rate::of(&RateConfig { requests, window_s, burst, ..RateConfig::default() })
    }

    fn ask(table: &RateTable, rate: &Rate, peer: u32, ms: u64) -> Quota {
        let peer = IpAddr::from(std::net::Ipv4Addr::from_bits(peer));
        table.spend(rate, Asked { headers: &HeaderMap::new(), path: "/", peer }, at(ms))
    }

    #[test]
    fn a_burst_is_there_at_once_and_comes_back_evenly() {
        let (table, rate) = (RateTable::new(64), rate(10, 10, Some(3)));
        let left: Vec<u64> = (0..3).map(|_| ask(&table, &rate, 1, 0).left).collect();
        assert_eq!(left, [2, 1, 0]);
        let refused = ask(&table, &rate, 1, 0);
        assert_eq!(refused.retry_after, Duration::from_secs(1));
        assert_eq!((refused.left, refused.full_in), (0, Duration::from_secs(3)));
        assert_eq!(ask(&table, &rate, 2, 0).left, 2, "another key");
        assert_eq!(ask(&table, &rate, 1, 999).retry_after, Duration::from_millis(1));
        assert_eq!(ask(&table, &rate, 1, 1_000).retry_after, Duration::ZERO);
        assert_eq!(ask(&table, &rate, 1, 60_000).left, 2);
    }

    #[test]
    fn what_is_left_is_said_as_the_draft_says() {
        let (table, rate) = (RateTable::new(64), rate(100, 60, None));
        let mut headers = HeaderMap::new();
        RateFields::new(&rate, ask(&table, &rate, 1, 0)).write(&mut headers);
        assert_eq!(headers["ratelimit-policy"], "\"default\";q=100;w=60");
        assert_eq!(headers["ratelimit"], "\"default\";r=99;t=1");
    }

    #[test]
    fn a_full_table_forgets_those_who_have_spent_least() {
        let (table, rate) = (RateTable::new(8), rate(10, 10, None));
        for _ in 0..5 {
            ask(&table, &rate, 1, 0);
        }
        for peer in 2..100 {
            ask(&table, &rate, peer, 0);
        }
        assert_eq!(ask(&table, &rate, 1, 0).left, 4, "it has spent most, and is remembered");
        assert_eq!(table.room(), 8);
    }

    #[test]
    fn keys_are_told_apart_by_what_the_rate_says() {
        let table = RateTable::new(64);
        let headers: HeaderMap = [("x-key", "a"), ("cookie", "c=1")]
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .into_iter()
            .collect();
        let peer = IpAddr::from([192, 0, 2, 1]);
        let hash = |key: &str, headers: &HeaderMap, path: &str, peer: IpAddr| {
            let rate = Rate::of(&RateConfig { key: key.parse().unwrap(), ..RateConfig::default() });
            table.hash(&rate, Asked { headers, path, peer })
        };
        let (none, other) = (HeaderMap::new(), IpAddr::from([192, 0, 2, 2]));
        for key in ["header:x-key", "header:X-Key", "cookie:c"] {
            assert_eq!(hash(key, &headers, "/", peer), hash(key, &headers, "/x", other), "{key}");
            assert_ne!(hash(key, &none, "/", peer), hash(key, &none, "/", other), "{key}: by address");
        }
        assert_ne!(hash("path", &none, "/a", peer), hash("path", &none, "/b", peer));
        assert_ne!(hash("ip", &none, "/", peer), hash("ip", &none, "/", other));
        assert_eq!(hash("route", &none, "/a", peer), hash("route", &headers, "/b", other));
    }

    proptest! {
        #[test]
        fn never_more_than_the_rate_and_one_burst(
            steps in prop::collection::vec((0_u64..300, 0_u32..6), 1..200),
            burst in 1_u32..20,
        ) {
            let (table, rate) = (RateTable::new(64), rate(20, 2, Some(burst)));
            let (mut ms, mut granted) = (0, 0);
            for (later, times) in steps {
                ms += later;
                for _ in 0..times {
                    granted += u64::from(ask(&table, &rate, 7, ms).retry_after.is_zero());
                }
                prop_assert!(granted <= u64::from(burst) + ms / 100);
            }
        }
    }
}
