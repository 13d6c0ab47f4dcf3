//! What a route asks for before its tries, compiled.

use std::sync::Arc;

use http::StatusCode;

use crate::capacity::fallback::Fallback;
use crate::capacity::limiter::Limiter;
use crate::capacity::matching::Priorities;
use crate::capacity::rate::{Rate, RateTable};
use crate::config::{BreakerConfig, LimitConfig, RoutePolicy};
use crate::snapshot::Route;
use crate::upstream::RouteState;

/// What a route asks for.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(super) breaker: Option<BreakerConfig>,
    pub(super) limit: Option<RouteLimit>,
    pub(super) priorities: Priorities,
    pub(super) rate: Option<RouteRate>,
    pub(super) fallback: Option<Fallback>,
}

/// A route's limit, and the state of it.
#[derive(Debug)]
pub(crate) struct RouteLimit {
    pub(super) config: LimitConfig,
    pub(super) limiter: Arc<Limiter>,
}

/// A route's rate, and what its clients have spent.
#[derive(Debug)]
pub(crate) struct RouteRate {
    pub(super) rate: Rate,
    pub(super) table: Arc<RateTable>,
}

impl Rules {
    /// What a policy asks for, `None` when that is nothing.
    pub(crate) fn of(policy: &RoutePolicy, state: &RouteState) -> Option<Box<Rules>> {
        let RoutePolicy { breaker, limit, priority, rate, fallback, .. } = policy;
        if breaker.is_none() && limit.is_none() && rate.is_none() && fallback.is_none() {
            return None;
        }
        let limit = limit.as_ref().map(|config| {
            let limiter = Arc::clone(state.limiter.get_or_init(Arc::default));
            limiter.configure(config);
            RouteLimit { config: config.clone(), limiter }
        });
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
        self.rules.is_none() && self.state.breaker.at_rest()
    }

    pub(super) fn breaker_config(&self) -> Option<&BreakerConfig> {
        self.rules.as_ref()?.breaker.as_ref()
    }

    pub(super) fn limit(&self) -> Option<&RouteLimit> {
        self.rules.as_ref()?.limit.as_ref()
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
