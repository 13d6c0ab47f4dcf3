//! What stands before the tries of a request: whether its route may take it, and when.
//!
//! A route that asks for nothing of this, and that nobody has touched by hand, goes straight to its tries: that costs one
//! look at its rules and two loads of its breaker's state.

mod admin;
mod breaker;
mod door;
mod limiter;
mod line;
mod manual;
mod matching;
mod passage;
mod retry_after;
mod rules;
mod shed;
mod sizer;

use std::rc::Rc;

use stdx::clock::Mono;

use crate::access::{Outcome, What};
use crate::exchange::Exchange;
use crate::forward::{Answer, Outbound};
use crate::rescue::Failure;
use crate::tries::{self, Destination};
use matching::Asked;
use passage::Passage;
use rules::RouteLimit;

pub use admin::{BreakerView, LimitView};
pub(crate) use breaker::Breaker;
pub use breaker::BreakerState;
pub use limiter::Figures;
pub(crate) use limiter::{Limiter, Permit};
pub use manual::Manual;
pub(crate) use rules::Rules;
pub(crate) use shed::Shed;

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
    let routed = destination.routed.clone();
    let passage = Passage::ask(Rc::clone(&worker), routed.clone())?;
    if passage.is_probe() {
        exchange.note(What::BreakerProbe);
    }
    let limit = routed.rules.as_ref().and_then(|rules| rules.limit.as_ref());
    if let Some(limit) = limit {
        let asked = Asked { headers: outbound.headers(), peer: exchange.conn.peer.ip() };
        let priority = routed.rules.as_ref().map_or(0, |rules| rules.priorities.priority(asked));
        enter(exchange, limit, priority).await?;
    }
    let began = worker.now();
    let result = tries::run(exchange, destination, outbound).await;
    if let Some(limit) = limit {
        observe(limit, &result, began, worker.now());
    }
    passage.settle(&result);
    result
}

/// Takes a place among those under way, for as long as the exchange lasts.
async fn enter(exchange: &mut Exchange, limit: &RouteLimit, priority: u8) -> Result<(), Failure> {
    let worker = Rc::clone(&exchange.worker);
    let began = worker.now();
    let entered = limit.limiter.enter(&limit.config, priority, exchange.deadline(), &worker.clock).await;
    let waited = worker.now().since(began);
    if waited.as_millis() > 0 {
        exchange.note(What::Waited(waited));
    }
    let permit = entered.map_err(|why| Failure::Shed { why, retry_after_s: limit.limiter.retry_after_s() })?;
    exchange.permit = Some(permit);
    Ok(())
}

/// Tells the limiter how long the answer took; what failed fast says nothing about that.
fn observe(limit: &RouteLimit, result: &Result<Answer, Failure>, began: Mono, now: Mono) {
    match result {
        Ok(answer) if answer.response.status().as_u16() < 500 => {
            limit.limiter.observe(&limit.config, now, Some(now.since(began)));
        }
        Err(Failure::Deadline | Failure::NoReply(Outcome::TimedOut)) => {
            limit.limiter.observe(&limit.config, now, None);
        }
        _ => {}
    }
}
