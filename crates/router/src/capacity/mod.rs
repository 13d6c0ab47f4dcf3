//! What stands before the tries of a request: whether its route may take it, and when, and what is answered if not.
//!
//! A route that asks for nothing of this, and that nobody has touched by hand, goes straight to its tries: that costs one
//! look at its rules and two loads of its breaker's state.

mod admin;
mod breaker;
mod degrade;
mod door;
mod fallback;
mod limiter;
mod line;
mod manual;
mod matching;
mod passage;
mod rate;
mod retry_after;
mod rules;
mod shed;
mod sizer;
mod visit;

use std::rc::Rc;

use stdx::clock::Mono;

use crate::access::{Outcome, What};
use crate::balance::Choice;
use crate::exchange::Exchange;
use crate::forward::Answer;
use crate::outbound::Outbound;
use crate::rescue::Failure;
use crate::retry::Repeat;
use crate::route::Routed;
use crate::tries::{self, Destination, Via};
use passage::Passage;
use rate::RateFields;

pub use admin::{BreakerView, DegradeView, LimitView};
pub(crate) use breaker::Breaker;
pub use breaker::BreakerState;
#[cfg(test)]
pub(crate) use breaker::{Ended, Verdict};
pub(crate) use degrade::AppState;
pub(crate) use fallback::Page;
pub use limiter::Figures;
pub(crate) use limiter::{Limiter, Permit};
pub use manual::Manual;
pub(crate) use matching::{Asked, client, cookie, key_of};
pub(crate) use rate::RateTable;
pub(crate) use rules::{RequestLimit, Rules};
pub(crate) use shed::Shed;
pub(crate) use visit::{Visit, answered};

/// What a request holds, and its reply says, because its route asks for something.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// Its place among those under way.
    pub(crate) permit: Option<Permit>,
    /// Its place among those under way at its upstream.
    pub(crate) permit_upstream: Option<Permit>,
    /// What of it decides which endpoint it goes to.
    pub(crate) choice: Choice,
    /// What its client has left.
    pub(crate) rate: Option<Box<RateFields>>,
    /// What is answered in place of the router's own error.
    pub(crate) page: Option<Box<Page>>,
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
    let balanced = choose(exchange, &destination, &outbound);
    let result = if destination.routed.is_plain() {
        tries::run(exchange, destination, outbound).await
    } else {
        Box::pin(guarded(exchange, destination, outbound)).await
    };
    match (result, balanced) {
        (Ok(mut answer), Some(routed)) => {
            if let Some(balance) = &routed.upstream.balance {
                balance.stick(exchange.taken.choice, answer.in_flight.endpoint(), answer.response.headers_mut());
            }
            Ok(answer)
        }
        (result, _) => result,
    }
}

/// Keeps a client at the endpoint that answered it, where its route does that and a fetch for many has not.
pub(crate) fn stick(routed: &Routed, taken: &Taken, answer: &mut Answer) {
    if let Some(balance) = routed.upstream.balance.as_ref().filter(|balance| balance.is_sticky()) {
        balance.stick(taken.choice, answer.in_flight.endpoint(), answer.response.headers_mut());
    }
}

/// The page in place of a failure, where the route has one.
pub(crate) fn page(routed: &Routed) -> Option<Box<Page>> {
    routed.rules.as_ref()?.fallback.as_ref()?.page().map(Box::new)
}

/// Looks at what decides which endpoint the request goes to; gives the route back where its client is to stay there.
fn choose(exchange: &mut Exchange, destination: &Destination, outbound: &Outbound) -> Option<Routed> {
    let upstream = &destination.routed.upstream;
    if upstream.policy.ejection.is_some() {
        exchange.taken.choice.may_probe = outbound.repeat() == Repeat::Harmless;
    }
    let balance = upstream.balance.as_ref()?;
    let client = matching::client(&exchange.conn, outbound.headers(), &exchange.worker.shared.trusted);
    let asked = Asked { headers: outbound.headers(), path: &destination.path, peer: client };
    exchange.taken.choice = Choice { may_probe: exchange.taken.choice.may_probe, ..balance.choice(asked) };
    // What is fetched for many binds none of them.
    (balance.is_sticky() && !exchange.is_aside()).then(|| destination.routed.clone())
}

async fn guarded(exchange: &mut Exchange, destination: Destination, outbound: Outbound) -> Result<Answer, Failure> {
    let routed = destination.routed.clone();
    let client = matching::client(&exchange.conn, outbound.headers(), &exchange.worker.shared.trusted);
    let asked = Asked { headers: outbound.headers(), path: &destination.path, peer: client };
    rate(exchange, &routed, asked)?;
    let priority = routed.rules.as_ref().map_or(rules::NO_PRIORITY, |rules| rules.priorities.priority(asked));
    let instead = routed.fallback();
    let (result, left) = match admit(exchange, &routed, priority).await {
        Err(failure) => (Err(failure), Some((destination, outbound))),
        Ok(passage) => {
            // What may be asked elsewhere too is kept.
            let kept = instead.as_ref().and_then(|_| Some((destination.clone(), outbound.copy()?)));
            (asked_for(exchange, passage, &routed, destination, outbound).await, kept)
        }
    };
    let Err(failure) = result else { return result };
    let Some(fallback) = routed.rules.as_ref().and_then(|rules| rules.fallback.as_ref()) else { return result };
    if !may_be_replaced(failure) {
        return result;
    }
    (exchange.taken.permit, exchange.taken.permit_upstream) = (None, None);
    if let (Some(routed), Some((destination, outbound))) = (instead, left)
        && exchange.time_left(exchange.worker.now()).is_ok()
    {
        exchange.note(What::Fallback);
        if let Ok(answer) =
            tries::run(exchange, Destination { routed, via: Via::Fallback, ..destination }, outbound).await
        {
            return Ok(answer);
        }
    }
    exchange.taken.page = fallback.page().map(Box::new);
    result
}

/// Passes the breaker and the limit.
async fn admit(exchange: &mut Exchange, routed: &Routed, priority: u8) -> Result<Passage, Failure> {
    if routed.rules.as_ref().and_then(|rules| rules.fallback.as_ref()).is_some_and(|fallback| fallback.always) {
        return Err(Failure::NotAsked);
    }
    let passage = Passage::ask(Rc::clone(&exchange.worker), routed.clone())?;
    if passage.is_probe() {
        exchange.note(What::BreakerProbe);
    }
    for limit in routed.limits() {
        enter(exchange, routed, limit, priority).await?;
    }
    Ok(passage)
}

/// Makes the tries, and tells breaker and limiter how it went.
async fn asked_for(
    exchange: &mut Exchange,
    passage: Passage,
    routed: &Routed,
    destination: Destination,
    outbound: Outbound,
) -> Result<Answer, Failure> {
    let began = exchange.worker.now();
    let result = tries::run(exchange, destination, outbound).await;
    for limit in routed.limits() {
        observe(limit, &result, began, exchange.worker.now());
    }
    passage.settle(&result);
    match result {
        Ok(answer) if routed.replaces(answer.response.status()) => {
            Err(Failure::NoReply(Outcome::Answered(answer.response.status().as_u16())))
        }
        result => result,
    }
}

/// Counts the request against its client's rate.
fn rate(exchange: &mut Exchange, routed: &Routed, asked: Asked<'_>) -> Result<(), Failure> {
    let Some(limit) = routed.rules.as_ref().and_then(|rules| rules.rate.as_ref()) else { return Ok(()) };
    let quota = limit.table.spend(&limit.rate, asked, exchange.worker.now());
    let retry_after = quota.retry_after;
    exchange.taken.rate = Some(Box::new(RateFields::new(&limit.rate, quota)));
    if retry_after.is_zero() {
        return Ok(());
    }
    let seconds = u32::try_from(retry_after.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX);
    Err(Failure::TooOften { retry_after_s: seconds })
}

/// Takes a place among those under way, for as long as the exchange lasts.
async fn enter(exchange: &mut Exchange, routed: &Routed, limit: &RequestLimit, priority: u8) -> Result<(), Failure> {
    let worker = Rc::clone(&exchange.worker);
    let began = worker.now();
    let entered = limit.limiter.enter(&limit.config, priority, exchange.deadline(), &worker.clock).await;
    let now = worker.now();
    if now.since(began).as_millis() > 0 {
        exchange.note(What::Waited(now.since(began)));
    }
    routed.app.counted(now, entered.is_ok());
    if entered.is_err() || limit.limiter.figures().waiting > 0 {
        routed.upstream.state.press(now);
    }
    let permit = entered.map_err(|why| Failure::Shed { why, retry_after_s: limit.limiter.retry_after_s() })?;
    match exchange.taken.permit {
        None => exchange.taken.permit = Some(permit),
        Some(_) => exchange.taken.permit_upstream = Some(permit),
    }
    Ok(())
}

/// Tells the limiter how long the answer took; what failed fast says nothing about that.
fn observe(limit: &RequestLimit, result: &Result<Answer, Failure>, began: Mono, now: Mono) {
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

/// Whether something else may be answered in a failure's place: the client did nothing wrong, and is still there.
pub(crate) fn may_be_replaced(failure: Failure) -> bool {
    match failure {
        Failure::NoReply(outcome) => outcome != Outcome::Abandoned,
        Failure::NobodyUp
        | Failure::HeldFull
        | Failure::Deadline
        | Failure::Broken { .. }
        | Failure::Tripped
        | Failure::NotAsked
        | Failure::Shed { .. } => true,
        Failure::Head(_)
        | Failure::Refused(_)
        | Failure::NoRoute
        | Failure::Reserved
        | Failure::OnlyIfCached
        | Failure::ReadOnly
        | Failure::Insecure
        | Failure::NotForThem
        | Failure::NoPassword
        | Failure::WrongPassword
        | Failure::PasswordsBusy
        | Failure::Maintenance { .. }
        | Failure::Elsewhere(_)
        | Failure::Content(_)
        | Failure::Key(_)
        | Failure::TooOften { .. } => false,
    }
}
