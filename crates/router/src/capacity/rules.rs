//! What a route asks for before its tries, compiled.

use std::sync::Arc;

use crate::capacity::limiter::Limiter;
use crate::capacity::matching::Priorities;
use crate::config::{BreakerConfig, LimitConfig, RoutePolicy};
use crate::snapshot::Route;
use crate::upstream::RouteState;

/// What a route asks for.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(super) breaker: Option<BreakerConfig>,
    pub(super) limit: Option<RouteLimit>,
    pub(super) priorities: Priorities,
}

/// A route's limit, and the state of it.
#[derive(Debug)]
pub(crate) struct RouteLimit {
    pub(super) config: LimitConfig,
    pub(super) limiter: Arc<Limiter>,
}

impl Rules {
    /// What a policy asks for, `None` when that is nothing.
    pub(crate) fn of(policy: &RoutePolicy, state: &RouteState) -> Option<Box<Rules>> {
        let RoutePolicy { breaker, limit, priority, .. } = policy;
        let limit = limit.as_ref().map(|config| {
            let limiter = Arc::clone(state.limiter.get_or_init(Arc::default));
            limiter.configure(config);
            RouteLimit { config: config.clone(), limiter }
        });
        let priorities = Priorities::of(&priority.clone().unwrap_or_default());
        (breaker.is_some() || limit.is_some()).then(|| Box::new(Rules { breaker: breaker.clone(), limit, priorities }))
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
}
