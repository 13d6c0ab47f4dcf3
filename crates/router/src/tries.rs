//! Which endpoint, how often, how long: the loop around the tries of one request.

use std::rc::Rc;
use std::time::Duration;

use stdx::clock::Mono;

use crate::access::{Outcome, TryKind, What};
use crate::exchange::Exchange;
use crate::forward::{self, Answer, Outbound, TryTime};
use crate::pick::{self, Pick};
use crate::rescue::Failure;
use crate::retry;
use crate::route::Routed;
use crate::shared::HeldSeat;
use crate::snapshot::Target;
use crate::worker::Worker;

/// Where a request is going; looked up again when the routing changes under it.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    pub(crate) host: Box<str>,
    pub(crate) path: Box<str>,
    pub(crate) routed: Routed,
    /// Not to the route's own upstream but to the one that it falls back to.
    pub(crate) on_fallback: bool,
}

/// Tries until there is a reply, or nothing that may be done is left.
///
/// # Errors
/// Why the router has to answer itself.
pub(crate) async fn run(
    exchange: &mut Exchange,
    mut destination: Destination,
    outbound: Outbound,
) -> Result<Answer, Failure> {
    let worker = Rc::clone(&exchange.worker);
    let (mut kind, mut counted) = (TryKind::First, 0);
    destination.routed.upstream.state.budget.earn(worker.now());
    loop {
        destination.refresh(&worker)?;
        let routed = &destination.routed;
        let now = worker.now();
        let left = exchange.time_left(now)?;
        let picked =
            pick::pick(&routed.upstream.targets, |one| exchange.has_tried(one), now, &mut worker.rng.borrow_mut());
        let target = match picked {
            Pick::Target(index) => &routed.upstream.targets[index],
            Pick::NobodyUp { until } => {
                hold(&worker, exchange, routed.policy.hold, left, until.map(|until| until.since(now))).await?;
                continue;
            }
        };
        let may_repeat = outbound.repeatable.harmless() && counted < u32::from(routed.policy.retries_max);
        let time = try_time(routed, exchange, target, may_repeat, left, now);
        let fault = routed.state.faults.strike(&target.facts, &mut worker.rng.borrow_mut());
        if let Some(strike) = fault {
            exchange.note(What::Fault(strike));
        }
        let tried = forward::one_try(&worker, target, &outbound, time, fault).await;
        let outcome =
            tried.as_ref().map_or_else(|outcome| *outcome, |ok| Outcome::Answered(ok.response.status().as_u16()));
        exchange.tried(target, kind, now, outcome);
        if let Ok(answer) = tried {
            return Ok(answer);
        }
        if let Some(fault) = exchange.meter.fault.get() {
            return Err(fault.into());
        }
        counted += u32::from(retry::counts(outcome));
        let again = retry::again(outcome, outbound.repeatable, counted, routed.policy.retries_max);
        if again && retry::counts(outcome) && !afford(routed, worker.now()) {
            exchange.note(What::BudgetDenied(TryKind::Retry));
            return Err(Failure::NoReply(outcome));
        }
        if !again {
            return Err(Failure::NoReply(outcome));
        }
        kind = TryKind::Retry;
    }
}

/// Whether the upstream's budget bears one more try; it is charged for it.
fn afford(routed: &Routed, now: Mono) -> bool {
    let upstream = &routed.upstream;
    upstream.state.budget.spend(&upstream.policy.budget, now)
}

impl Destination {
    fn refresh(&mut self, worker: &Worker) -> Result<(), Failure> {
        let snapshot = worker.snapshot();
        if !self.routed.is_of(&snapshot) {
            let found = Routed::find(&snapshot, &self.host, &self.path);
            let found = if self.on_fallback { found.and_then(|found| found.fallback()) } else { found };
            self.routed = found.ok_or(Failure::NoRoute)?;
        }
        Ok(())
    }
}

/// A try gets the route's time for one when another could follow it, and all that is left when it is the last.
fn try_time(
    routed: &Routed,
    exchange: &Exchange,
    target: &Target,
    may_repeat: bool,
    left: Duration,
    now: Mono,
) -> TryTime {
    let tried = |one: &Target| exchange.has_tried(one) || std::ptr::eq(one, target);
    let another = may_repeat && pick::another(&routed.upstream.targets, tried, now);
    TryTime { head: if another { left.min(routed.policy.try_timeout) } else { left }, deadline: left }
}

/// Waits until the routing changes or `until_up` has passed, within the time that this request may be held in all.
async fn hold(
    worker: &Worker,
    exchange: &mut Exchange,
    allowed: Duration,
    left: Duration,
    until_up: Option<Duration>,
) -> Result<(), Failure> {
    let patience = allowed.saturating_sub(exchange.held()).min(left);
    if patience.is_zero() {
        return Err(Failure::NobodyUp);
    }
    let _seat = HeldSeat::take(&worker.shared).ok_or(Failure::HeldFull)?;
    let began = worker.now();
    let wait = until_up.map_or(patience, |until| until.min(patience));
    // A change between the pick and here cannot be: nothing was awaited in between.
    let outcome = tokio::time::timeout(wait, worker.rerouted.notified()).await;
    exchange.add_held(worker.now().since(began).max(Duration::from_nanos(1)));
    tracing::trace!(rerouted = outcome.is_ok(), "request was held");
    Ok(())
}
