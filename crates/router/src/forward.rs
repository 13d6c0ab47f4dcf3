//! One try: a connection to an endpoint, the request on it, the head of the reply.

use std::time::Duration;

use http::Response;
use stdx::clock::Mono;

use crate::access::{Outcome, Strike, StrikeEnd};
use crate::alarm;
use crate::capacity::{self, Visit};
use crate::deadline::Left;
use crate::endpoint::InFlight;
use crate::h1::{Asked, Fault};
use crate::hop::Hop;
use crate::link::ReplyContent;
use crate::outbound::Outbound;
use crate::pool::Wanted;
use crate::retry::Repeat;
use crate::snapshot::Target;
use crate::way::Way;
use crate::worker::Worker;

/// An endpoint's reply, and what it hangs on.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: Response<ReplyContent>,
    pub(crate) in_flight: InFlight,
}

/// How long a try may take, and what it meets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TryTime {
    /// To the head of its reply.
    pub(crate) head: Duration,
    /// To the end of the request's deadline, which the endpoint is told.
    pub(crate) deadline: Duration,
    /// A fault that was set by hand.
    pub(crate) fault: Option<Strike>,
}

/// Asks `target` once. An idle connection that turns out to be dead is no try: a fresh one follows, where nothing was
/// sent or repeating is harmless.
///
/// # Errors
/// How it went, when there is no reply; the request is in `outbound` again when it may be repeated.
pub(crate) async fn one_try(
    worker: &Worker,
    target: &Target,
    outbound: &Outbound,
    time: TryTime,
) -> Result<Answer, Outcome> {
    let way = Way::new(target.endpoint.key, target.reach.as_deref(), outbound.ends.0);
    let in_flight = InFlight::begin(&target.endpoint, way);
    let started = worker.now();
    let visit = Visit::begin(target, started);
    let met = match time.fault {
        None => Ok(()),
        Some(strike) => meet(strike, time.head).await,
    };
    let tried = match met {
        Ok(()) => exchange(worker, (target, way), outbound, time, started).await,
        Err(outcome) => Err(outcome),
    };
    let now = worker.now();
    match tried {
        Ok(response) => {
            capacity::answered(worker, &target.endpoint, response.status(), response.headers(), started);
            if let Some(visit) = visit {
                visit.ends(worker, Outcome::Answered(response.status().as_u16()), Some(response.headers()));
            }
            Ok(Answer { response, in_flight })
        }
        Err(outcome) => {
            match outcome {
                Outcome::Refused | Outcome::ConnectTimeout => {
                    target.endpoint.refused(now, &mut worker.rng.borrow_mut());
                    worker.shared.suspects.add(target.endpoint.key.addr);
                }
                Outcome::Died | Outcome::TimedOut | Outcome::Malformed => {
                    target.endpoint.failed(now);
                    worker.shared.suspects.add(target.endpoint.key.addr);
                }
                _ => {}
            }
            if let Some(visit) = visit {
                visit.ends(worker, outcome, None);
            }
            Err(outcome)
        }
    }
}

/// Meets a fault that was set by hand.
///
/// # Errors
/// When the endpoint is not asked: what it would have done.
async fn meet(strike: Strike, head: Duration) -> Result<(), Outcome> {
    if !strike.delay.is_zero() {
        tokio::time::sleep(strike.delay.min(head)).await;
    }
    match strike.end {
        _ if strike.delay >= head => Err(Outcome::TimedOut),
        None => Ok(()),
        Some(StrikeEnd::Error(status)) => Err(Outcome::Answered(status)),
        Some(StrikeEnd::Reset) => Err(Outcome::Died),
    }
}

async fn exchange(
    worker: &Worker,
    (target, way): (&Target, Way),
    outbound: &Outbound,
    time: TryTime,
    started: Mono,
) -> Result<Response<ReplyContent>, Outcome> {
    let speech = target.speech(outbound.upgrades);
    let mut idle = worker.pool.take(way, speech, started);
    let mut spent = Duration::ZERO;
    loop {
        let reused = idle.is_some();
        let link = match idle.take() {
            Some(link) => link,
            None => {
                let limit = time.head.saturating_sub(spent);
                let wanted = Wanted { way, speech, reach: target.reach.as_deref(), ends: outbound.ends };
                let link = worker.pool.connect(wanted, started, limit).await?;
                spent = worker.now().since(started);
                link
            }
        };
        let mut content = outbound.content().ok_or(Outcome::Abandoned)?;
        let left = Left { time: time.deadline.saturating_sub(spent), grpc: outbound.grpc_timeout };
        let (traced, client) = (&outbound.traced, outbound.client.as_ref());
        let hop = Hop { left, traced, client, upgrades: outbound.upgrades };
        let asked = link.ask(&outbound.head, hop, &mut content, worker.pool.buffers());
        let asked = alarm::within(worker, worker.now() + time.head.saturating_sub(spent), asked).await;
        let unsent = matches!(&asked, Ok(Err(asked)) if asked.unsent);
        if unsent {
            outbound.give_back(content);
        }
        let may_repeat = unsent || outbound.repeat() == Repeat::Harmless;
        let Asked { fault, .. } = match asked.map_err(|alarm::Late| Outcome::TimedOut)? {
            Ok(response) => return Ok(response),
            Err(asked) => asked,
        };
        tracing::debug!(addr = %way.endpoint.addr, %fault, unsent, reused, "no reply");
        if !(reused && may_repeat && matches!(fault, Fault::Io(_) | Fault::Closed)) {
            return Err(if unsent && !reused { Outcome::Refused } else { outcome(&fault) });
        }
        worker.pool.forget(way);
        spent = worker.now().since(started);
    }
}

fn outcome(fault: &Fault) -> Outcome {
    match fault {
        Fault::Content(_) => Outcome::Abandoned,
        Fault::Head(_) => Outcome::Malformed,
        Fault::Io(_) | Fault::Closed | Fault::Reset(_) => Outcome::Died,
    }
}
