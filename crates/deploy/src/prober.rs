//! Asks one instance over and over whether it can take requests, and tells its side when the answer changes.

use std::net::SocketAddr;
use std::time::Duration;

use health::{Checker, Failure, Health, HealthCache, Settings, Verdict};
use stdx::clock::SharedClock;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::config::HealthConfig;
use crate::rollout::Serial;
use crate::run::{News, Report};

/// A process without a check counts as healthy when it has run this long.
const SETTLED: Duration = Duration::from_millis(500);

/// How the health of an instance is told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Check {
    /// By what it answers on a path.
    Http(SocketAddr, HealthConfig),
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
    let mut rng = stdx::rng::from_kernel();
    let now = around.clock.mono();
    let mut checker = match known {
        Health::Unknown => Checker::new(check.settings(), now),
        known => Checker::resume(check.settings(), known, now, &mut rng),
    };
    loop {
        let due = checker.due_at().unwrap_or_default();
        tokio::time::sleep(due.since(around.clock.mono())).await;
        checker.begin();
        let answer = check.once().await;
        let now = around.clock.mono();
        let changed = checker.on_answer(now, answer.clone(), &mut rng);
        around.cache.put(serial, Verdict { health: checker.health(), failure: answer.err(), checked: now });
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
    /// The address and how often it is asked.
    fn settings(&self) -> Settings {
        let config = match self {
            Check::Http(_, config) => config.clone(),
            Check::Connect(_) | Check::Settled => HealthConfig::default(),
        };
        Settings { interval: Duration::from_millis(config.interval_ms.into()), rise: config.rise, fall: config.fall }
    }

    async fn once(&self) -> Result<(), Failure> {
        match self {
            Check::Http(addr, config) => {
                let timeout = Duration::from_millis(config.timeout_ms.into());
                health::probe::probe(*addr, &addr.to_string(), &config.path, timeout).await
            }
            Check::Connect(addr) => connect(*addr).await,
            Check::Settled => Ok(()),
        }
    }

    /// The rule that failed, in words.
    pub(crate) fn describe(&self, failure: &Failure) -> String {
        match self {
            Check::Http(addr, config) => format!("GET {} on port {}: {failure}", config.path, addr.port()),
            Check::Connect(addr) => format!("connection to port {}: {failure}", addr.port()),
            Check::Settled => failure.to_string(),
        }
    }
}

async fn connect(addr: SocketAddr) -> Result<(), Failure> {
    let timeout = Duration::from_secs(1);
    match tokio::time::timeout(timeout, TcpStream::connect(addr)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(e)) if e.kind() == std::io::ErrorKind::ConnectionRefused => Err(Failure::Refused),
        Ok(Err(e)) => Err(Failure::Io(e.to_string())),
        Err(_) => Err(Failure::Timeout(1_000)),
    }
}
