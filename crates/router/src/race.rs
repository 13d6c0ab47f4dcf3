//! Tries of one request beside each other: a first, and a hedge when it is slow. The first good answer counts.

use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use stdx::clock::Mono;

use crate::access::{Outcome, TryKind, What};
use crate::balance::Choice;
use crate::exchange::Exchange;
use crate::forward::{self, Answer, TryTime};
use crate::outbound::Outbound;
use crate::pick::{self, Pick};
use crate::route::Routed;
use crate::snapshot::Target;
use crate::spare;
use crate::tries::{self, Tried};
use crate::worker::Worker;

/// A request and the endpoint that it is sent to first.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) routed: &'a Routed,
    pub(crate) outbound: &'a Rc<Outbound>,
    /// An index among the upstream's targets.
    pub(crate) target: usize,
    pub(crate) kind: TryKind,
    pub(crate) time: TryTime,
}

/// Asks the first endpoint and, when it has not answered after the route's delay, a second one. Notes both.
pub(crate) async fn run(exchange: &mut Exchange, entry: Entry<'_>) -> Tried {
    let routed = entry.routed;
    let worker = Rc::clone(&exchange.worker);
    let began = worker.now();
    let delay = routed.policy.hedge.and_then(|hedge| hedge.delay(routed.state.latency(), began));
    let mut first = Runner::new(&worker, &entry, entry.target, entry.kind, entry.time);
    let alone = match delay {
        None => Some(first.run.as_mut().await),
        Some(Duration::ZERO) => None,
        Some(delay) => tokio::time::timeout(delay, first.run.as_mut()).await.ok(),
    };
    if let Some(result) = alone {
        return Tried { counted: first.note(exchange, &result), result };
    }
    let Some(mut second) = hedge(exchange, &worker, &entry, began) else {
        let result = first.run.as_mut().await;
        return Tried { counted: first.note(exchange, &result), result };
    };
    let (result, ended, mut other) = tokio::select! {
        biased;
        result = first.run.as_mut() => (result, first, second),
        result = second.run.as_mut() => (result, second, first),
    };
    if result.as_ref().is_ok_and(|answer| !tries::is_unwanted(routed, answer)) {
        exchange.tried(other.target(), other.kind, other.began, Outcome::Cancelled);
        let counted = ended.note(exchange, &result);
        other.go_on_alone(entry.time.deadline);
        return Tried { counted, result };
    }
    let counted = ended.note(exchange, &result);
    let last = other.run.as_mut().await;
    let counted = counted + other.note(exchange, &last);
    let result = match (last, result) {
        (Err(_), Ok(answer)) => Ok(answer),
        (last, _) => last,
    };
    Tried { counted, result }
}

/// The second try, if there is an endpoint that was not asked yet, the upstream is at ease, and its budget bears it.
fn hedge(exchange: &mut Exchange, worker: &Rc<Worker>, entry: &Entry<'_>, began: Mono) -> Option<Runner> {
    let upstream = &entry.routed.upstream;
    let targets = &upstream.targets;
    let now = worker.now();
    let asked = |one: &Target| exchange.has_tried(one) || std::ptr::eq(one, &raw const targets[entry.target]);
    let at_ease = entry.routed.state.breaker.at_rest() && !upstream.state.under_pressure(now);
    if !at_ease || !entry.outbound.is_shareable() || !pick::another(targets, asked, now) {
        return None;
    }
    let Pick::Target(target) = pick::pick(
        upstream.among(Choice { may_probe: false, ..exchange.taken.choice }),
        asked,
        now,
        &mut worker.rng.borrow_mut(),
    ) else {
        return None;
    };
    if !upstream.state.budget.spend(&upstream.policy.budget, now) {
        exchange.note(What::BudgetDenied(TryKind::Hedge));
        return None;
    }
    let left = entry.time.deadline.saturating_sub(now.since(began));
    let fault = tries::strike(exchange, entry.routed, &targets[target]);
    let time = TryTime { head: left, deadline: left, fault };
    Some(Runner::new(worker, entry, target, TryKind::Hedge, time))
}

/// A try that owns what it needs, so that it can outlive its request.
struct Runner {
    worker: Rc<Worker>,
    routed: Routed,
    target: usize,
    kind: TryKind,
    began: Mono,
    run: Pin<Box<dyn Future<Output = Result<Answer, Outcome>>>>,
}

impl Runner {
    fn new(worker: &Rc<Worker>, entry: &Entry<'_>, target: usize, kind: TryKind, time: TryTime) -> Runner {
        let (routed, began) = (entry.routed.clone(), worker.now());
        let run = one_try(Rc::clone(worker), routed.clone(), Rc::clone(entry.outbound), target, time);
        Runner { worker: Rc::clone(worker), routed, target, kind, began, run: Box::pin(run) }
    }

    fn target(&self) -> &Target {
        &self.routed.upstream.targets[self.target]
    }

    /// Notes how the try ended; how many of the route's tries it was.
    fn note(&self, exchange: &mut Exchange, result: &Result<Answer, Outcome>) -> u32 {
        tries::note(exchange, self.target(), self.kind, self.began, result)
    }

    /// It was overtaken. Cutting it would cost its connection, so it goes on for as long as its request had, if there is
    /// room for one more such.
    fn go_on_alone(self, limit: Duration) {
        let Runner { worker, routed, began, run, .. } = self;
        match spare::Seat::take(&worker) {
            Some(seat) => spare::finish(worker, seat, run, limit),
            None => observe(&routed, &worker, began),
        }
    }
}

async fn one_try(
    worker: Rc<Worker>,
    routed: Routed,
    outbound: Rc<Outbound>,
    target: usize,
    time: TryTime,
) -> Result<Answer, Outcome> {
    let began = worker.now();
    let tried = forward::one_try(&worker, &routed.upstream.targets[target], &outbound, time).await;
    if tried.as_ref().is_ok_and(|answer| !answer.response.status().is_server_error()) {
        observe(&routed, &worker, began);
    }
    tried
}

/// A try has answered after this time, or at least has not answered before it.
fn observe(routed: &Routed, worker: &Worker, began: Mono) {
    let now = worker.now();
    if let Some(latency) = routed.state.latency() {
        latency.observe(now, now.since(began));
    }
}
