//! One try at an endpoint, as the endpoint's breaker sees it.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use stdx::clock::Mono;

use crate::access::Outcome;
use crate::capacity::breaker::{Ended, Pass, Verdict};
use crate::capacity::retry_after;
use crate::config::BreakerConfig;
use crate::endpoint::Endpoint;
use crate::snapshot::Target;
use crate::worker::Worker;

/// A try at an endpoint that is left alone when it fails. When it is dropped without an end a probe's turn goes back.
#[derive(Debug)]
pub(crate) struct Visit {
    endpoint: Arc<Endpoint>,
    config: Arc<BreakerConfig>,
    pass: Option<Pass>,
    began: Mono,
}

impl Visit {
    /// Begins a try; `None` when the endpoint is never left alone.
    pub(crate) fn begin(target: &Target, now: Mono) -> Option<Visit> {
        let config = Arc::clone(target.ejection.as_ref()?);
        // One that is shut gets requests all the same when too many are: they say nothing.
        let pass = target.endpoint.breaker.admit(Some(&config), now).ok();
        Some(Visit { endpoint: Arc::clone(&target.endpoint), config, pass, began: now })
    }

    /// Tells the endpoint's breaker how it went.
    pub(crate) fn ends(mut self, worker: &Worker, outcome: Outcome, headers: Option<&HeaderMap>) {
        let Some(pass) = self.pass.take() else { return };
        let now = worker.now();
        let verdict = match outcome {
            Outcome::Answered(status) => Some(Verdict::of_status(status)),
            Outcome::Abandoned | Outcome::Cancelled => None,
            _ => Some(Verdict::Bad),
        };
        let jitter = worker.rng.borrow_mut().f64();
        let ended = Ended { now, verdict, retry_after: headers.and_then(|fields| asked(worker, fields)), jitter };
        self.endpoint.breaker.settle(&self.config, pass, ended);
        if pass == Pass::Probe && verdict == Some(Verdict::Good) {
            self.endpoint.begins_anew(now, now.since(self.began));
        }
    }
}

/// What an answer says about its endpoint's latency: an error is not fast, whenever it comes.
pub(crate) fn answered(worker: &Worker, endpoint: &Endpoint, status: StatusCode, fields: &HeaderMap, began: Mono) {
    let now = worker.now();
    match Verdict::of_status(status.as_u16()) {
        Verdict::Good => endpoint.answered(now, now.since(began)),
        Verdict::Throttled | Verdict::Bad => endpoint.answered_badly(now, asked(worker, fields)),
    }
}

fn asked(worker: &Worker, fields: &HeaderMap) -> Option<Duration> {
    retry_after::of(fields, || worker.clock.wall())
}

impl Drop for Visit {
    fn drop(&mut self) {
        if self.pass == Some(Pass::Probe) {
            self.endpoint.breaker.give_back(self.began);
        }
    }
}
