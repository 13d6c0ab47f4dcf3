//! What a route asks for before its tries, compiled.

use std::sync::{Arc, OnceLock};

use http::StatusCode;

use crate::capacity::fallback::Fallback;
use crate::capacity::limiter::Limiter;
use crate::capacity::matching::Priorities;
use crate::capacity::rate::{Rate, RateTable};
use crate::config::{BreakerConfig, LimitConfig, RoutePolicy};
use crate::snapshot::Route;
use crate::upstream::RouteState;

/// The priority of requests whose route says nothing; the same as that of a `[routes.priority]` which says nothing.
pub(super) const NO_PRIORITY: u8 = 4;

/// What a route asks for.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(super) breaker: Option<BreakerConfig>,
    pub(super) limit: Option<RequestLimit>,
    pub(super) priorities: Priorities,
    pub(super) rate: Option<RouteRate>,
    pub(super) fallback: Option<Fallback>,
}

/// A limit, and the state of it.
#[derive(Debug)]
pub(crate) struct RequestLimit {
    pub(super) config: LimitConfig,
    pub(super) limiter: Arc<Limiter>,
}

/// A route's rate, and what its clients have spent.
#[derive(Debug)]
pub(crate) struct RouteRate {
    pub(super) rate: Rate,
    pub(super) table: Arc<RateTable>,
}

impl RequestLimit {
    fn new(config: LimitConfig, state: &OnceLock<Arc<Limiter>>) -> RequestLimit {
        let limiter = Arc::clone(state.get_or_init(Arc::default));
        limiter.configure(&config);
        RequestLimit { config, limiter }
    }

    /// The limit of so many endpoints together, of which each has its own.
    pub(crate) fn of_all(each: &LimitConfig, endpoints: usize, state: &OnceLock<Arc<Limiter>>) -> RequestLimit {
        let endpoints = u32::try_from(endpoints.max(1)).unwrap_or(u32::MAX);
        let all = |of_one: u32| of_one.saturating_mul(endpoints);
        let (in_flight_max, in_flight_min) = (all(each.in_flight_max), all(each.in_flight_min));
        RequestLimit::new(LimitConfig { in_flight_max, in_flight_min, ..each.clone() }, state)
    }
}

impl Rules {
    /// What a policy asks for, `None` when that is nothing.
    pub(crate) fn of(policy: &RoutePolicy, state: &RouteState) -> Option<Box<Rules>> {
        let RoutePolicy { breaker, limit, priority, rate, fallback, .. } = policy;
        // A priority matters at the upstream's limit too.
        if breaker.is_none() && limit.is_none() && priority.is_none() && rate.is_none() && fallback.is_none() {
            return None;
        }
        let limit = limit.as_ref().map(|config| RequestLimit::new(config.clone(), &state.limiter));
        let rate =
            rate.as_ref().map(|config| RouteRate { rate: Rate::of(config), table: state.rates(config.keys_max) });
        Some(Box::new(Rules {
            breaker: breaker.clone(),
            limit,
            priorities: Priorities::of(&priority.clone().unwrap_or_default()),
            rate,
            fallback: fallback.as_ref().map(Fallback::of),
        }))
    }
}

impl Route {
    /// Whether nothing stands before its tries.
    pub(super) fn is_plain(&self) -> bool {
        self.rules.is_none() && self.upstream.limit.is_none() && self.state.breaker.at_rest()
    }

    pub(super) fn breaker_config(&self) -> Option<&BreakerConfig> {
        self.rules.as_ref()?.breaker.as_ref()
    }

    /// The limits that its requests come to: its own, then that of its upstream.
    pub(super) fn limits(&self) -> impl Iterator<Item = &RequestLimit> {
        self.rules.as_ref().and_then(|rules| rules.limit.as_ref()).into_iter().chain(&self.upstream.limit)
    }

    /// Whether the fallback is answered in place of an answer with this status.
    pub(super) fn replaces(&self, status: StatusCode) -> bool {
        let fallback = self.rules.as_ref().and_then(|rules| rules.fallback.as_ref());
        status.is_server_error() && fallback.is_some_and(|fallback| fallback.errors)
    }

    /// Whether it is there at the degrade level of its application.
    pub(crate) fn is_there(&self) -> bool {
        self.degrade.as_ref().is_none_or(|levels| levels.contains(&self.app.level()))
    }
}
