//! One tube's runner: takes jobs at the pace that the target bears, posts them, and settles them by the answers.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::HeaderName;
use stdx::clock::SharedClock;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::pace::{Pace, Verdict, verdict};
use super::target::{NoAnswer, Target};
use super::{PushError, PushSpec, Told};
use crate::door::{JobAndBody, Lease, Settle, Wanted};
use crate::engine::cut_reason;
use crate::handle::Handle;
use crate::names::{JobId, Namespace, TubeName};

/// How long one wait for jobs lasts.
const WAIT_S: u32 = 60;

/// After the queue refused to give jobs.
const REFUSED_PAUSE: Duration = Duration::from_secs(1);

/// A tube and its target.
pub(crate) struct Runner {
    queue: Handle,
    namespace: Namespace,
    tube: TubeName,
    target: Target,
    /// What it is called where attempts at a job are told.
    worker: Box<str>,
    clock: SharedClock,
    timeout: Duration,
    pace: RefCell<Pace>,
    /// A post has ended.
    room: Notify,
    told: Arc<Mutex<Told>>,
}

impl Runner {
    pub(crate) fn new(
        queue: Handle,
        namespace: Namespace,
        tube: TubeName,
        spec: &PushSpec,
        clock: SharedClock,
        told: Arc<Mutex<Told>>,
    ) -> Result<Runner, PushError> {
        let (target, timeout) = (Target::new(spec)?, Duration::from_millis(spec.timeout_ms.into()));
        let pace = RefCell::new(Pace::new(spec.concurrency_max));
        let worker = cut_reason(&format!("push {}", spec.url)).into();
        Ok(Runner { queue, namespace, tube, target, worker, clock, timeout, pace, room: Notify::new(), told })
    }

    /// Runs until `stop` turns true; posts under way are waited for.
    pub(crate) async fn run(self: Rc<Self>, mut stop: watch::Receiver<bool>) {
        let mut posts: JoinSet<()> = JoinSet::new();
        // Kept from turn to turn.
        let mut taking = None;
        while !*stop.borrow() {
            let take = taking.get_or_insert_with(|| Box::pin(self.clone().take()));
            tokio::select! {
                jobs = take => {
                    taking = None;
                    for job in jobs {
                        self.pace.borrow_mut().begin();
                        posts.spawn_local(self.clone().deliver(job));
                    }
                }
                Some(ended) = posts.join_next() => {
                    if let Err(error) = ended {
                        // Its job is ready again when its time runs out.
                        tracing::error!(%error, "a post of a pushed job failed");
                        self.end(Verdict::Failed);
                    }
                    if !self.pace.borrow().quiet_for(self.clock.mono()).is_zero() {
                        // No more jobs for a target that rests.
                        taking = None;
                    }
                }
                changed = stop.changed() => if changed.is_err() { return },
            }
        }
        while posts.join_next().await.is_some() {}
    }

    fn end(&self, verdict: Verdict) {
        self.pace.borrow_mut().end(verdict, self.clock.mono());
        self.room.notify_one();
    }

    /// The next jobs, when there are some and the pace allows it.
    async fn take(self: Rc<Self>) -> Vec<JobAndBody> {
        let now = self.clock.mono();
        let room = self.pace.borrow().room(now);
        if room == 0 {
            let quiet = self.pace.borrow().quiet_for(now);
            if quiet.is_zero() {
                self.room.notified().await;
            } else {
                tokio::time::sleep(quiet).await;
            }
            return Vec::new();
        }
        if self.pace.borrow().is_unreached() && !self.target.knock().await {
            self.pace.borrow_mut().not_reached(self.clock.mono());
            return Vec::new();
        }
        let worker = self.worker.clone();
        let wanted = Wanted { tubes: vec![self.tube.clone()], wait_s: WAIT_S, jobs_max: room.into(), worker };
        match self.queue.reserve(&self.namespace, wanted).await {
            Ok(jobs) => jobs,
            Err(error) => {
                tracing::debug!(%error, tube = %self.tube, "a pushed tube gives no jobs");
                tokio::time::sleep(REFUSED_PAUSE).await;
                Vec::new()
            }
        }
    }

    async fn deliver(self: Rc<Self>, job: JobAndBody) {
        let lease = lease_of(&job);
        let (verdict, why) = tokio::select! {
            verdict = self.post(&job) => verdict,
            never = self.keep_alive(lease, job.row.ttr_s) => match never {},
        };
        let how = match verdict {
            Verdict::Done => Settle::Finish,
            Verdict::Failed => Settle::Fail { reason: why.clone(), delay_s: None },
            Verdict::SlowDown(_) | Verdict::Unreachable => Settle::Release { pri: None, delay_s: 0 },
        };
        // A target that rests must be known to rest before its job is ready again.
        self.end(verdict);
        self.tell(verdict, &why);
        self.settle(&job, how).await;
    }

    async fn settle(&self, job: &JobAndBody, how: Settle) {
        let lease = lease_of(job);
        if let Err(error) = self.queue.settle(&self.namespace, lease, how).await {
            tracing::warn!(job = lease.id.0, tube = %self.tube, %error, "a pushed job could not be settled; it comes again");
        }
    }

    async fn post(&self, job: &JobAndBody) -> (Verdict, String) {
        let field = HeaderName::from_static;
        let mut fields = vec![
            (field("forebay-job"), job.row.id.to_string()),
            (field("forebay-tube"), self.tube.to_string()),
            (field("forebay-attempt"), job.row.reserves.to_string()),
        ];
        fields.extend(job.row.traceparent.clone().map(|trace| (field("traceparent"), trace)));
        let post = self.target.post(&fields, job.body.clone(), self.clock.wall());
        match tokio::time::timeout(self.timeout, post).await {
            Ok(Ok(answer)) => (verdict(answer.status, answer.retry_after), format!("answered {}", answer.status)),
            Ok(Err(NoAnswer::Unreachable(why))) => (Verdict::Unreachable, why),
            Ok(Err(NoAnswer::Broken(why))) => (Verdict::Failed, why),
            Err(_) => (Verdict::Failed, format!("no answer within {} ms", self.timeout.as_millis())),
        }
    }

    /// Renews the reservation before it runs out, for as long as the answer may take.
    async fn keep_alive(&self, lease: Lease, ttr_s: u32) -> std::convert::Infallible {
        loop {
            tokio::time::sleep(Duration::from_secs(ttr_s.into()) / 2).await;
            if let Err(error) = self.queue.settle(&self.namespace, lease, Settle::Touch).await {
                tracing::warn!(job = lease.id.0, tube = %self.tube, %error, "a pushed job's reservation was not renewed");
            }
        }
    }

    fn tell(&self, verdict: Verdict, why: &str) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.under_way = self.pace.borrow().under_way();
        let state = match verdict {
            Verdict::Done => {
                told.delivered += 1;
                "delivers".into()
            }
            Verdict::Failed => {
                told.failed += 1;
                format!("failed: {why}")
            }
            Verdict::SlowDown(_) => {
                told.slowed += 1;
                format!("slowed down: {why}")
            }
            Verdict::Unreachable => {
                told.unreached += 1;
                format!("unreachable: {why}")
            }
        };
        if told.state != state {
            tracing::info!(tube = %self.tube, namespace = %self.namespace, state, "a pushed tube");
            told.state = state;
        }
    }
}

fn lease_of(job: &JobAndBody) -> Lease {
    Lease { id: JobId(job.row.id), number: job.row.reserves }
}
