//! Which endpoint, how often, how long: the loop around the tries of one request.

use std::rc::Rc;
use std::time::Duration;

use stdx::clock::Mono;

use crate::access::{Outcome, Strike, TryKind, What};
use crate::exchange::Exchange;
use crate::forward::{self, Answer, TryTime};
use crate::outbound::Outbound;
use crate::own_writes;
use crate::pick::{self, Pick};
use crate::race;
use crate::rescue::Failure;
use crate::retry::{self, Repeat};
use crate::route::Routed;
use crate::shared::HeldSeat;
use crate::snapshot::Target;
use crate::spare;
use crate::worker::Worker;

/// How often a read that waits for a copy looks again.
const LAG_LOOK: Duration = Duration::from_millis(5);

/// Which of a route's upstreams a request goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    Route,
    Fallback,
    Primary,
}

/// Where a request is going; looked up again when the routing changes under it.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    pub(crate) host: Box<str>,
    pub(crate) path: Box<str>,
    pub(crate) routed: Routed,
    /// Not to the route's own upstream but to the one that it falls back to.
    pub(crate) via: Via,
}

/// How one try went, or several beside each other.
#[derive(Debug)]
pub(crate) struct Tried {
    pub(crate) result: Result<Answer, Outcome>,
    /// How many of the route's tries that were.
    pub(crate) counted: u32,
}

/// Tries until there is a reply, or nothing that may be done is left.
///
/// # Errors
/// Why the router has to answer itself.
pub(crate) async fn run(
    exchange: &mut Exchange,
    mut destination: Destination,
    mut outbound: Outbound,
) -> Result<Answer, Failure> {
    let worker = Rc::clone(&exchange.worker);
    let policy = &destination.routed.policy;
    if policy.retry.retries_max > 0 || policy.hedge.is_some() {
        outbound.keep_content(&worker, &policy.retry);
    }
    // Only tries that may run beside each other share a request.
    let (single, shared);
    let (outbound, race) = if policy.hedge.is_some() && outbound.repeat() == Repeat::Harmless {
        shared = Rc::new(outbound);
        (&*shared, Some(&shared))
    } else {
        single = outbound;
        (&single, None)
    };
    let (mut kind, mut counted) = (TryKind::First, 0);
    destination.routed.upstream.state.budget.earn(worker.now());
    loop {
        let index = choose(&worker, exchange, &mut destination).await?;
        let routed = &destination.routed;
        let now = worker.now();
        let left = exchange.time_left(now)?;
        let target = &routed.upstream.targets[index];
        let may_repeat = outbound.repeat() == Repeat::Harmless && counted < u32::from(routed.policy.retry.retries_max);
        let mut time = try_time(routed, exchange, target, may_repeat, left, now);
        time.fault = strike(exchange, routed, target);
        let tried = match race {
            None => {
                let result = forward::one_try(&worker, target, outbound, time).await;
                Tried { counted: note(exchange, target, kind, now, &result), result }
            }
            Some(outbound) => {
                Box::pin(race::run(exchange, race::Entry { routed, outbound, target: index, kind, time })).await
            }
        };
        counted += tried.counted;
        let outcome = outcome(&tried.result);
        if matches!(outcome, Outcome::Answered(429 | 503)) {
            routed.upstream.state.press(worker.now());
        }
        if tried.result.is_err()
            && let Some(fault) = exchange.meter.fault.get()
        {
            return Err(fault.into());
        }
        let again = routed.policy.retry.again(outcome, outbound.repeat(), counted);
        if !again || (retry::counts(outcome) && !afford(exchange, routed)) {
            return tried.result.map_err(Failure::NoReply);
        }
        if let Ok(answer) = tried.result {
            spare::discard(&worker, answer);
        }
        pause(exchange, routed, outcome, counted).await;
        kind = TryKind::Retry;
    }
}

/// Picks an endpoint by the routing in force; waits for one while nobody is up.
async fn choose(worker: &Worker, exchange: &mut Exchange, destination: &mut Destination) -> Result<usize, Failure> {
    loop {
        destination.refresh(worker)?;
        let routed = &destination.routed;
        let now = worker.now();
        let left = exchange.time_left(now)?;
        let among = routed.upstream.among(exchange.taken.choice);
        let picked = pick::pick(among, |one| exchange.has_tried(one), now, &mut worker.rng.borrow_mut());
        match picked {
            Pick::Target(index) if exchange.suits(&routed.upstream.targets[index]) => return Ok(index),
            Pick::Target(_) => lag(exchange, destination).await?,
            Pick::NobodyUp { until } => {
                hold(worker, exchange, routed.policy.hold, left, until.map(|until| until.since(now))).await?;
            }
        }
    }
}

/// Waits a little until an endpoint has what the client wrote; then the primary has to do.
async fn lag(exchange: &mut Exchange, destination: &mut Destination) -> Result<(), Failure> {
    let now = exchange.worker.now();
    let patience = exchange.need.as_ref().map_or(Duration::ZERO, |need| need.patience(now));
    if patience.is_zero() {
        return own_writes::to_primary(exchange, destination);
    }
    tokio::time::sleep(patience.min(LAG_LOOK)).await;
    Ok(())
}

/// Notes how a try ended; how many of the route's tries it was.
pub(crate) fn note(
    exchange: &mut Exchange,
    target: &Target,
    kind: TryKind,
    began: Mono,
    result: &Result<Answer, Outcome>,
) -> u32 {
    let outcome = outcome(result);
    exchange.tried(target, kind, began, outcome);
    u32::from(retry::counts(outcome))
}

fn outcome(result: &Result<Answer, Outcome>) -> Outcome {
    result.as_ref().map_or_else(|outcome| *outcome, |answer| Outcome::Answered(answer.response.status().as_u16()))
}

/// Whether the route has an answer with this status rather replaced by another one.
pub(crate) fn is_unwanted(routed: &Routed, answer: &Answer) -> bool {
    routed.policy.retry.statuses.contains(&answer.response.status().as_u16())
}

/// The fault set by hand that a try at `target` meets; notes it.
pub(crate) fn strike(exchange: &mut Exchange, routed: &Routed, target: &Target) -> Option<Strike> {
    let strike = routed.state.faults.strike(&target.facts, &mut exchange.worker.rng.borrow_mut())?;
    exchange.note(What::Fault(strike));
    Some(strike)
}

/// Whether the upstream's budget bears one more try; it is charged for it.
fn afford(exchange: &mut Exchange, routed: &Routed) -> bool {
    let upstream = &routed.upstream;
    let affordable = upstream.state.budget.spend(&upstream.policy.budget, exchange.worker.now());
    if !affordable {
        exchange.note(What::BudgetDenied(TryKind::Retry));
    }
    affordable
}

/// Waits for as long as the route's retries do, within the deadline.
async fn pause(exchange: &Exchange, routed: &Routed, outcome: Outcome, counted: u32) {
    let worker = &exchange.worker;
    let now = worker.now();
    let fresh = pick::another(&routed.upstream.targets, |one| exchange.has_tried(one), now);
    let pause = routed.policy.retry.pause(outcome, counted, fresh, &mut worker.rng.borrow_mut());
    let left = exchange.time_left(now).unwrap_or_default();
    if !pause.is_zero() {
        tokio::time::sleep(pause.min(left)).await;
    }
}

impl Destination {
    fn refresh(&mut self, worker: &Worker) -> Result<(), Failure> {
        let snapshot = worker.snapshot();
        if !self.routed.is_of(&snapshot) {
            let found = Routed::find(&snapshot, &self.host, &self.path);
            self.routed = found.ok_or(Failure::NoRoute)?;
            self.turn(self.via)?;
        }
        Ok(())
    }

    /// Leads on to another upstream of the route.
    pub(crate) fn turn(&mut self, via: Via) -> Result<(), Failure> {
        let turned = match via {
            Via::Route => return Ok(()),
            Via::Fallback => self.routed.fallback(),
            Via::Primary => self.routed.primary(),
        };
        self.routed = turned.ok_or(Failure::NobodyUp)?;
        self.via = via;
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
    TryTime { head: if another { left.min(routed.policy.try_timeout) } else { left }, deadline: left, fault: None }
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
