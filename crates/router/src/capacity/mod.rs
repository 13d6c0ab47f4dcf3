//! What stands before the tries of a request: whether its route may take it, and when.
//!
//! A route that asks for nothing of this, and that nobody has touched by hand, goes straight to its tries: that costs one
//! look at its rules and two loads of its breaker's state.

mod admin;
mod breaker;
mod manual;
mod retry_after;
mod turn;

use std::rc::Rc;

use crate::access::What;
use crate::config::{BreakerConfig, RoutePolicy};
use crate::exchange::Exchange;
use crate::forward::{Answer, Outbound};
use crate::rescue::Failure;
use crate::snapshot::Route;
use crate::tries::{self, Destination};
use turn::Turn;

pub use admin::BreakerView;
pub(crate) use breaker::Breaker;
pub use breaker::BreakerState;
pub use manual::Manual;

/// What a route asks for before its tries.
#[derive(Debug)]
pub(crate) struct Rules {
    breaker: Option<BreakerConfig>,
}

impl Rules {
    /// What a policy asks for, `None` when that is nothing.
    pub(crate) fn of(policy: &RoutePolicy) -> Option<Box<Rules>> {
        let rules = Rules { breaker: policy.breaker.clone() };
        rules.breaker.is_some().then(|| Box::new(rules))
    }
}

impl Route {
    fn is_plain(&self) -> bool {
        self.rules.is_none() && self.state.breaker.at_rest()
    }

    fn breaker_config(&self) -> Option<&BreakerConfig> {
        self.rules.as_ref()?.breaker.as_ref()
    }
}

/// Takes a request to its tries, when its route may take it.
///
/// # Errors
/// Why the router has to answer itself.
pub(crate) async fn run(
    exchange: &mut Exchange,
    destination: Destination,
    outbound: Outbound,
) -> Result<Answer, Failure> {
    if destination.routed.is_plain() {
        return tries::run(exchange, destination, outbound).await;
    }
    Box::pin(guarded(exchange, destination, outbound)).await
}

async fn guarded(exchange: &mut Exchange, destination: Destination, outbound: Outbound) -> Result<Answer, Failure> {
    let worker = Rc::clone(&exchange.worker);
    let turn = Turn::take(worker, destination.routed.clone())?;
    if turn.is_probe() {
        exchange.note(What::BreakerProbe);
    }
    let result = tries::run(exchange, destination, outbound).await;
    turn.settle(&result);
    result
}
