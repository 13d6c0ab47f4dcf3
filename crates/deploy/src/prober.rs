//! Asks one instance over and over whether it can take requests, and tells its side when the answer changes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use health::{Approach, Checker, Failure, Health, HealthCache, Position, Question, Settings, Verdict};
use stdx::clock::SharedClock;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::config::HealthConfig;
use crate::rollout::Serial;
use crate::run::{News, Report};
use crate::seams::Traffic;
use crate::suspicion::Suspicions;

/// A process without a check counts as healthy when it has run this long.
const SETTLED: Duration = Duration::from_millis(500);

/// How the health of an instance is told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Check {
    /// By what it answers on a path, or to the health protocol of gRPC.
    Http(SocketAddr, Approach, HealthConfig),
    /// By whether it takes connections: a routed process whose manifest names no path.
    Connect(SocketAddr),
    /// By whether it still runs after a moment.
    Settled,
}

/// A running prober; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Prober(AbortHandle);

impl Drop for Prober {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What a prober needs besides its check.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) clock: SharedClock,
    pub(crate) cache: HealthCache<Serial>,
    pub(crate) news: mpsc::Sender<News>,
    pub(crate) suspicions: Suspicions,
    pub(crate) traffic: Arc<dyn Traffic>,
}

/// Begins to ask. `known`: what was believed before a restart of the node.
pub(crate) fn spawn(serial: Serial, check: Check, known: Health, around: Surroundings) -> Prober {
    let task = async move {
        match check {
            Check::Settled => settle(serial, known, &around).await,
            Check::Http(..) | Check::Connect(_) => ask(serial, &check, known, &around).await,
        }
    };
    Prober(tokio::spawn(task).abort_handle())
}

async fn settle(serial: Serial, known: Health, around: &Surroundings) {
    if known != Health::Healthy {
        tokio::time::sleep(SETTLED).await;
        report(around, serial, Report::Healthy).await;
    }
}

async fn ask(serial: Serial, check: &Check, known: Health, around: &Surroundings) {
    let Some((addr, question, approach, settings)) = check.asked() else { return };
    let mut rng = stdx::rng::from_kernel();
    let now = around.clock.mono();
    let timeout = settings.timeout;
    let silence_max = settings.silence_max();
    let mut checker = match known {
        Health::Unknown => Checker::new(settings, now),
        known => Checker::resume(settings, known, now, &mut rng),
    };
    let suspicion = around.suspicions.watch(addr);
    let mut positions: Arc<[Position]> = Arc::default();
    let verdict = |checker: &Checker, failure, checked, positions: &Arc<[Position]>| Verdict {
        health: checker.health(),
        failure,
        checked,
        before: Duration::ZERO,
        silence_max,
        positions: Arc::clone(positions),
    };
    around.cache.put(serial, verdict(&checker, None, now, &positions));
    loop {
        let due = checker.due_at().unwrap_or_default();
        tokio::select! {
            () = tokio::time::sleep(due.since(around.clock.mono())) => {}
            () = suspicion.raised() => {
                checker.suspect(around.clock.mono(), &mut rng);
                continue;
            }
        }
        checker.begin();
        let answer = health::probe(addr, &question, &approach, timeout).await;
        let now = around.clock.mono();
        let (answer, reported) = match answer {
            Ok(answer) => (Ok(()), Some(answer.positions)),
            Err(failure) => (Err(failure), None),
        };
        let changed = checker.on_answer(now, answer.clone(), &mut rng);
        if let Some(reported) = reported {
            health::position::newest(&mut positions, reported);
            // Each time: the router may have learned of the instance only now.
            if !positions.is_empty() {
                around.traffic.positions(addr, &positions);
            }
        }
        around.cache.put(serial, verdict(&checker, answer.err(), now, &positions));
        match changed.map(|change| (change.to, change.reason)) {
            Some((Health::Healthy, _)) => report(around, serial, Report::Healthy).await,
            Some((_, reason)) => {
                let reason = reason.map_or_else(String::new, |failure| check.describe(&failure));
                report(around, serial, Report::Unhealthy { reason }).await;
            }
            None => {}
        }
    }
}

async fn report(around: &Surroundings, serial: Serial, report: Report) {
    // A side that has gone needs no reports; this task ends with its instance.
    around.news.send(News::Run(serial, report)).await.ok();
}

impl Check {
    /// Whom it asks, what, and how often; `None` for a process that is not asked.
    fn asked(&self) -> Option<(SocketAddr, Question, Approach, Settings)> {
        let (addr, question, approach, config) = match self {
            Check::Http(addr, approach, config) => {
                let host = addr.to_string();
                let question = match &config.grpc {
                    Some(service) => Question::Grpc { host, service: service.clone() },
                    None => Question::Http { host, path: config.path.clone() },
                };
                (*addr, question, approach.clone(), config.clone())
            }
            Check::Connect(addr) => (*addr, Question::Connect, Approach::default(), HealthConfig::default()),
            Check::Settled => return None,
        };
        let ms = |ms: u32| Duration::from_millis(ms.into());
        let HealthConfig { interval_ms, timeout_ms, rise, fall, .. } = config;
        Some((addr, question, approach, Settings { interval: ms(interval_ms), timeout: ms(timeout_ms), rise, fall }))
    }

    /// The rule that failed, in words.
    pub(crate) fn describe(&self, failure: &Failure) -> String {
        match self {
            Check::Http(addr, _, config) => match &config.grpc {
                Some(service) => format!("gRPC health check of `{service}` on port {}: {failure}", addr.port()),
                None => format!("GET {} on port {}: {failure}", config.path, addr.port()),
            },
            Check::Connect(addr) => format!("connection to port {}: {failure}", addr.port()),
            Check::Settled => failure.to_string(),
        }
    }
}
