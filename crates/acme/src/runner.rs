//! The task that carries the plan out.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use net::tls::Certificate;
use stdx::clock::SharedClock;
use stdx::lock::{FolderLock, LockError};
use stdx::rng;
use tokio::task::{Id, JoinError, JoinHandle, JoinSet};

use crate::account::Accounts;
use crate::advice::Advice;
use crate::config::{AcmeConfig, is_host};
use crate::desk::{Desk, HostRow};
use crate::error::AcmeError;
use crate::folder::Folder;
use crate::http::Reach;
use crate::order::Orders;
use crate::plan::{Failure, Plan, Remembered, Wanted};

/// How often it is looked which hosts are wanted, and which are due.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What it needs of those who serve with the certificates.
pub trait Front: 'static {
    /// The hosts that certificates are wanted for.
    fn hosts(&self) -> BTreeSet<String>;
    /// Serves with these from the next handshake on, and with no others of the authority's.
    fn serve(&self, certificates: Vec<Certificate>);
}

/// The certificates of `folder` that are still good, for listeners that begin before [`run`] does.
///
/// # Errors
/// When the folder cannot be read or made.
pub fn kept(config: &AcmeConfig, folder: &Path, clock: &SharedClock) -> Result<Vec<Certificate>, AcmeError> {
    let kept = Folder::open(folder, &config.directory)?.certificates(clock.wall())?;
    Ok(kept.into_iter().map(|(_, certificate)| certificate).collect())
}

/// The running task; dropped, it ends, and orders under way are taken up again by the next.
#[derive(Debug)]
pub struct Running(JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Asks for the certificates that `front` wants, from now on. Runs on a `LocalSet`.
///
/// # Errors
/// When the folder or a file that `config` names cannot be used.
pub fn run(
    config: AcmeConfig,
    folder: &Path,
    desk: Arc<Desk>,
    front: impl Front,
    clock: SharedClock,
) -> Result<Running, AcmeError> {
    let folder = Folder::open(folder, &config.directory)?;
    let reach = Reach::new(&config)?;
    Ok(Running(tokio::task::spawn_local(async move {
        let _lock = lock(&folder).await;
        let accounts = Accounts::new(config.clone(), folder.clone(), reach.clone());
        let orders = Orders { config, folder, desk, accounts };
        match Runner::new(orders, reach, front, clock) {
            Ok(runner) => runner.run().await,
            Err(error) => tracing::error!(%error, "no certificates are asked for"),
        }
    })))
}

/// Takes the folder; while another process has it, as during an upgrade, that one asks.
async fn lock(folder: &Folder) -> Option<FolderLock> {
    let mut said = false;
    loop {
        match FolderLock::take(folder.path(), "forebay") {
            Ok(lock) => return Some(lock),
            Err(error @ LockError::Held { .. }) => {
                if !said {
                    tracing::info!(%error, "another process asks for certificates; this one waits until it ends");
                    said = true;
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
            Err(error) => {
                tracing::warn!(%error, "nothing keeps another process from asking for the same certificates");
                return None;
            }
        }
    }
}

struct Runner<F> {
    orders: Rc<Orders>,
    reach: Reach,
    front: F,
    clock: SharedClock,
    plan: Plan,
    certificates: BTreeMap<String, Certificate>,
    under_way: JoinSet<Result<Certificate, AcmeError>>,
    hosts_of: HashMap<Id, String>,
    /// Questions under way about when to renew.
    advising: JoinSet<(String, Advice)>,
    /// When each host's next one is due, in milliseconds since 1970.
    advice_due_ms: BTreeMap<String, u64>,
    remembered: Remembered,
    left_out: usize,
}

impl<F: Front> Runner<F> {
    fn new(orders: Orders, reach: Reach, front: F, clock: SharedClock) -> Result<Runner<F>, AcmeError> {
        let certificates: BTreeMap<_, _> = orders.folder.certificates(clock.wall())?.into_iter().collect();
        let remembered = orders.folder.remembered().unwrap_or_else(|error| {
            tracing::warn!(%error, "which hosts failed before is not known");
            Remembered::default()
        });
        let plan = Plan::new(orders.config.clone(), remembered.clone(), rng::from_kernel());
        let runner = Runner {
            orders: Rc::new(orders),
            reach,
            front,
            clock,
            plan,
            certificates,
            under_way: JoinSet::new(),
            hosts_of: HashMap::new(),
            advising: JoinSet::new(),
            advice_due_ms: BTreeMap::new(),
            remembered,
            left_out: 0,
        };
        runner.serve();
        Ok(runner)
    }

    async fn run(mut self) {
        loop {
            self.begin();
            self.ask_for_advice();
            self.show();
            tokio::select! {
                Some(ended) = self.under_way.join_next_with_id() => self.end(ended),
                Some(told) = self.advising.join_next() => self.advised(told),
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Asks when to renew what there is, one host at a time.
    fn ask_for_advice(&mut self) {
        let now_ms = self.clock.wall().millis();
        self.advice_due_ms.retain(|host, _| self.certificates.contains_key(host));
        let is_due = |host: &str| self.advice_due_ms.get(host).is_none_or(|due_ms| *due_ms <= now_ms);
        let due =
            self.plan.hosts().map(|(host, _)| host).find(|host| is_due(host) && self.certificates.contains_key(*host));
        let Some((host, certificate)) = due.and_then(|host| self.certificates.get_key_value(host)) else { return };
        if !self.advising.is_empty() {
            return;
        }
        let (orders, host, certificate) = (Rc::clone(&self.orders), host.clone(), certificate.clone());
        self.advising.spawn_local(async move {
            let told = orders.advice(&certificate).await.unwrap_or_else(|error| {
                tracing::debug!(host, %error, "the authority gives no advice when to renew");
                Advice::UNHEARD
            });
            (host, told)
        });
    }

    fn advised(&mut self, told: Result<(String, Advice), JoinError>) {
        let (host, advice) = match told {
            Ok(told) => told,
            Err(error) => return tracing::error!(%error, "a question about a renewal was lost"),
        };
        let holds_ms = u64::try_from(advice.holds.as_millis()).unwrap_or(u64::MAX);
        self.advice_due_ms.insert(host.clone(), self.clock.wall().millis().saturating_add(holds_ms));
        if let Some(window_ms) = advice.window_ms {
            self.plan.advised(&host, window_ms);
        }
    }

    /// Looks which hosts are wanted and begins the orders that are due.
    fn begin(&mut self) {
        let now = self.clock.wall();
        let hosts: BTreeSet<String> = self.front.hosts().into_iter().filter(|host| is_host(host)).collect();
        let left_out = hosts.len().saturating_sub(self.orders.config.hosts_max as usize);
        if left_out > self.left_out {
            tracing::error!(left_out, "there are more hosts than tls.acme.hosts_max: some get no certificate");
        }
        self.left_out = left_out;
        let certificates = &self.certificates;
        self.plan.want(&hosts, now, |host| certificates.get(host).map(Certificate::validity));
        while let Some((host, failures)) = self.plan.begin(now) {
            tracing::info!(host, failures, "a certificate is asked for");
            let (orders, of) = (Rc::clone(&self.orders), host.clone());
            let task = self.under_way.spawn_local(async move { orders.obtain(&of, failures).await });
            self.hosts_of.insert(task.id(), host);
        }
    }

    fn end(&mut self, ended: Result<(Id, Result<Certificate, AcmeError>), JoinError>) {
        let (id, outcome) = match ended {
            Ok((id, outcome)) => (id, outcome.map_err(|error| (error.is_limit(), error.to_string()))),
            Err(error) => (error.id(), Err((false, format!("the order was lost: {error}")))),
        };
        let Some(host) = self.hosts_of.remove(&id) else { return };
        let now = self.clock.wall();
        match outcome {
            Ok(certificate) => {
                self.orders.desk.obtained.fetch_add(1, Relaxed);
                self.plan.obtained(&host, certificate.validity(), now);
                tracing::info!(host, until_s = certificate.validity().until_s, "a certificate was obtained");
                self.advice_due_ms.remove(&host);
                self.certificates.insert(host, certificate);
                self.serve();
            }
            Err((is_limit, reason)) => {
                self.orders.desk.failed.fetch_add(1, Relaxed);
                let away = self.reach.take_turned_away();
                let is_limit = is_limit || away.is_some_and(|away| away.is_limit);
                let retry_after = away.and_then(|away| away.retry_after);
                let now_s = now.millis() / 1_000;
                self.plan.failed(&host, Failure { reason: reason.clone(), is_limit, retry_after }, now);
                let in_trouble = self.rows().iter().any(|row| row.host == host && row.is_in_trouble(now_s));
                if in_trouble && self.certificates.contains_key(&host) {
                    tracing::error!(host, reason, "no certificate was obtained, and the one in use nears its end");
                } else {
                    tracing::warn!(host, reason, "no certificate was obtained; it is tried again later");
                }
            }
        }
        self.remember();
    }

    /// Hands over what is good and takes away what is over.
    fn serve(&self) {
        self.front.serve(self.certificates.values().cloned().collect());
    }

    fn remember(&mut self) {
        let remembered = self.plan.to_remember();
        if remembered == self.remembered {
            return;
        }
        if let Err(error) = self.orders.folder.remember(&remembered) {
            tracing::warn!(%error, "which hosts failed is not kept over a restart");
        }
        self.remembered = remembered;
    }

    /// The hosts that are wanted, and those that are not and have a certificate still, by name.
    fn rows(&self) -> Vec<HostRow> {
        let row = |host: &str, wanted: Option<&Wanted>| HostRow {
            host: host.to_string(),
            validity: self.certificates.get(host).map(Certificate::validity),
            is_ordering: wanted.is_some_and(|wanted| wanted.under_way),
            next_ms: wanted.map(|wanted| self.plan.next_ms(wanted)),
            failures: wanted.map_or(0, |wanted| wanted.failures),
            last_error: wanted.and_then(|wanted| wanted.reason.clone()),
        };
        let kept = self.certificates.keys().map(|host| (host.as_str(), row(host, None)));
        let mut rows: BTreeMap<&str, HostRow> = kept.collect();
        rows.extend(self.plan.hosts().map(|(host, wanted)| (host, row(host, Some(wanted)))));
        rows.into_values().collect()
    }

    fn show(&self) {
        self.orders.desk.show(self.rows());
    }
}
