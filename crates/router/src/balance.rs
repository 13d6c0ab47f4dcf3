//! What decides which endpoint a request goes to, besides latency: its key, its cookie, weights. Pure.

use std::time::Duration;

use http::header::{HeaderMap, HeaderValue, SET_COOKIE};
use stdx::clock::Mono;

use crate::capacity::cookie;
use crate::capacity::{Asked, key_of};
use crate::config::{BalanceConfig, BalanceMethod, RequestKey};
use crate::endpoint::{Endpoint, EndpointKey};
use crate::snapshot::Target;

/// The share of its weight that an endpoint begins with in its slow start.
const FIRST_SHARE: f64 = 0.1;

/// How an upstream balances, in the units that the code computes with.
#[derive(Debug)]
pub(crate) struct Balance {
    pub(crate) method: BalanceMethod,
    key: RequestKey,
    pub(crate) excess: f64,
    sticky_cookie: Option<Box<str>>,
    pub(crate) slow_start: Duration,
    /// Whether any two endpoints may differ in their weight.
    pub(crate) weighted: bool,
}

/// What of a request matters for the choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Choice {
    /// The hash of its key.
    pub(crate) key: u64,
    /// The endpoint that its cookie names.
    pub(crate) sticky: Option<u64>,
    /// Whether it may go to an endpoint that is being given another chance.
    pub(crate) may_probe: bool,
}

impl Balance {
    /// `differ`: the endpoints themselves come with different weights.
    pub(crate) fn of(config: &BalanceConfig, differ: bool) -> Balance {
        let slow_start = Duration::from_millis(u64::from(config.slow_start_ms));
        Balance {
            method: config.method,
            key: config.key.clone(),
            excess: 1.0 + f64::from(config.excess_percent) / 100.0,
            sticky_cookie: config.sticky_cookie.as_deref().map(Into::into),
            slow_start,
            weighted: differ || !slow_start.is_zero() || config.weights.values().any(|weight| *weight != 1),
        }
    }

    /// Looks at a request.
    pub(crate) fn choice(&self, asked: Asked<'_>) -> Choice {
        let named = self.sticky_cookie.as_ref().and_then(|name| cookie(asked.headers, name));
        let sticky = named.and_then(|value| u64::from_str_radix(std::str::from_utf8(value).ok()?, 16).ok());
        let key = match self.method {
            BalanceMethod::Hash => {
                key_of(&self.key, asked).map_or_else(|| hash_of(&asked.peer.to_string().into_bytes()), hash_of)
            }
            BalanceMethod::P2c | BalanceMethod::RoundRobin => 0,
        };
        Choice { key, sticky, may_probe: false }
    }

    pub(crate) fn is_sticky(&self) -> bool {
        self.sticky_cookie.is_some()
    }

    /// Tells a client which endpoint it stays at, unless it knows.
    pub(crate) fn stick(&self, choice: Choice, answered: &Endpoint, headers: &mut HeaderMap) {
        let Some(name) = &self.sticky_cookie else { return };
        let id = id_of(answered.key);
        if choice.sticky == Some(id) {
            return;
        }
        if let Ok(value) = HeaderValue::try_from(format!("{name}={id:016x}; Path=/; HttpOnly; SameSite=Lax")) {
            headers.append(SET_COOKIE, value);
        }
    }

    /// How much a target may get at this moment, compared with the others.
    pub(crate) fn weight(&self, target: &Target, now: Mono) -> f64 {
        let whole = f64::from(target.weight);
        if self.slow_start.is_zero() {
            return whole;
        }
        let part = target.endpoint.up_for(now).as_secs_f64() / self.slow_start.as_secs_f64();
        whole * part.clamp(FIRST_SHARE, 1.0)
    }
}

/// What stands for an endpoint in cookies and hashes; the same in every process, and nothing that can be read.
pub(crate) fn id_of(key: EndpointKey) -> u64 {
    let release = key.release.map(|release| release.to_string()).unwrap_or_default();
    hash_of(format!("{}/{release}", key.addr).as_bytes())
}

/// How much an endpoint wants a key: the one that wants it most gets it (weighted rendezvous hashing). Without an endpoint
/// only its own keys move, each to the one that wants it next.
pub(crate) fn wants(id: u64, key: u64, weight: f64) -> f64 {
    // To (0, 1): the upper 53 bits and a half.
    let uniform = ((mix(id ^ mix(key)) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -weight / uniform.ln()
}

/// FNV-1a, mixed.
fn hash_of(bytes: &[u8]) -> u64 {
    mix(bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)))
}

/// The finisher of `splitmix64`.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop, prop_assert, proptest};

    fn best(ids: &[(u64, f64)], key: u64) -> u64 {
        let want = |one: &(u64, f64)| wants(one.0, key, one.1);
        ids.iter().max_by(|a, b| want(a).total_cmp(&want(b))).unwrap().0
    }

    #[test]
    fn keys_spread_by_weight() {
        let ids = [(hash_of(b"a"), 1.0), (hash_of(b"b"), 1.0), (hash_of(b"c"), 2.0)];
        let mut counts = [0; 3];
        for key in 0..40_000_u64 {
            let best = best(&ids, hash_of(&key.to_le_bytes()));
            counts[ids.iter().position(|id| id.0 == best).unwrap()] += 1;
        }
        assert!((9_500..10_500).contains(&counts[0]) && (9_500..10_500).contains(&counts[1]), "{counts:?}");
        assert!((19_500..20_500).contains(&counts[2]), "{counts:?}");
    }

    proptest! {
        #[test]
        fn without_an_endpoint_only_its_own_keys_move(
            ids in prop::collection::btree_set(any::<u64>(), 2..12),
            gone in any::<prop::sample::Index>(),
            keys in prop::collection::vec(any::<u64>(), 1..50),
        ) {
            let all: Vec<(u64, f64)> = ids.into_iter().map(|id| (id, 1.0)).collect();
            let gone = all[gone.index(all.len())].0;
            let left: Vec<(u64, f64)> = all.iter().copied().filter(|one| one.0 != gone).collect();
            for key in keys {
                let before = best(&all, key);
                prop_assert!(before == gone || best(&left, key) == before);
            }
        }
    }
}
