//! One request's way past its route's breaker.

use std::rc::Rc;
use std::time::Duration;

use http::StatusCode;

use crate::access::Outcome;
use crate::capacity::breaker::{Closure, Ended, Pass, Verdict};
use crate::capacity::retry_after;
use crate::forward::Answer;
use crate::rescue::Failure;
use crate::route::Routed;
use crate::worker::Worker;

/// A request that the breaker let through. When it is dropped unsettled, because the client has left, a probe's turn goes
/// back.
#[derive(Debug)]
pub(super) struct Passage {
    worker: Rc<Worker>,
    routed: Routed,
    pass: Option<Pass>,
}

impl Passage {
    /// Asks the route's breaker.
    ///
    /// # Errors
    /// When it lets nothing through.
    pub(super) fn ask(worker: Rc<Worker>, routed: Routed) -> Result<Passage, Failure> {
        let now = worker.now();
        match routed.state.breaker.admit(routed.breaker_config(), now) {
            Ok(pass) => Ok(Passage { worker, routed, pass: Some(pass) }),
            Err(Closure::Tripped) => Err(Failure::Tripped),
            Err(Closure::Open { until }) => {
                let wait = until.map_or(Duration::ZERO, |until| until.since(now));
                Err(Failure::Broken { probe_in_s: u32::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX) })
            }
        }
    }

    pub(super) fn is_probe(&self) -> bool {
        self.pass == Some(Pass::Probe)
    }

    /// Tells the breaker what became of the request.
    pub(super) fn settle(mut self, result: &Result<Answer, Failure>) {
        let (Some(pass), Some(config)) = (self.pass, self.routed.breaker_config()) else { return };
        self.pass = None;
        let now = self.worker.now();
        let jitter = self.worker.rng.borrow_mut().f64();
        let retry_after = result.as_ref().ok().and_then(|answer| asked(&self.worker, answer));
        let ended = Ended { now, verdict: verdict(result), retry_after, jitter };
        self.routed.state.breaker.settle(config, pass, ended);
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        if self.is_probe() {
            self.routed.state.breaker.give_back(self.worker.now());
        }
    }
}

/// The pause that a reply asks for.
fn asked(worker: &Worker, answer: &Answer) -> Option<Duration> {
    let status = answer.response.status();
    let asks = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    asks.then(|| retry_after::of(answer.response.headers(), || worker.clock.wall())).flatten()
}

fn verdict(result: &Result<Answer, Failure>) -> Option<Verdict> {
    match result {
        Ok(answer) => Some(Verdict::of_status(answer.response.status().as_u16())),
        Err(Failure::NobodyUp | Failure::Deadline) => Some(Verdict::Bad),
        Err(Failure::NoReply(outcome)) => (*outcome != Outcome::Abandoned).then_some(Verdict::Bad),
        // The client's doing, or the router's own.
        Err(_) => None,
    }
}
