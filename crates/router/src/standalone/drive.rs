//! The task that asks names and endpoints, and publishes what follows.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use health::{Answer, Failure, Health, HealthCache, Memory, Verdict, probe};
use net::dns::{DnsError, Found, Resolver, Servers, ServersError};
use stdx::clock::{Mono, SharedClock};
use stdx::ids::Scope;
use stdx::io::Disk;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::ask::look_up;
use super::desk::{self, Desk, Key};
use super::lookup::{Member, Said};
use super::plan::{Origin, Plan};
use crate::config::DnsConfig;
use crate::handle::Handle;
use crate::health_source::{Dependency, HealthSource};
use crate::routing::{EndpointSource, EndpointSpec, Routing, UpstreamName};

/// Checks under way at once; the others wait for their turn.
const CHECKS_MAX: usize = 256;
/// How often verdicts are written, when nothing changes; a change is written after a tenth of it.
const SAVE_EVERY: Duration = Duration::from_secs(30);

/// A router alone that is about to run: its routing is there, nobody has been asked yet.
pub struct Alone {
    desk: Desk,
    routing: watch::Sender<Arc<Routing>>,
    resolver: Resolver,
    clock: SharedClock,
    memory: Option<PathBuf>,
}

impl std::fmt::Debug for Alone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Alone").field("desk", &self.desk).finish_non_exhaustive()
    }
}

impl Alone {
    /// Takes a plan. `memory`: the file in which verdicts outlive the process; one that cannot be read is said and replaced.
    ///
    /// # Errors
    /// When names have to be looked up, and the system's list of name servers is there and cannot be read.
    pub fn new(plan: Plan, dns: DnsConfig, memory: Option<PathBuf>, clock: SharedClock) -> Result<Alone, ServersError> {
        let servers = servers(&plan, &dns)?;
        let resolver = Resolver::new(servers, dns.timeout());
        let remembered = match memory.as_deref().map(Memory::read) {
            Some(Ok(remembered)) => remembered,
            Some(Err(error)) => {
                tracing::warn!(%error, "what was known of endpoints before the restart cannot be read; they are new");
                Memory::default()
            }
            None => Memory::default(),
        };
        let desk = Desk::new(plan, dns, remembered, clock.mono(), clock.wall(), desk::rng());
        let routing = watch::Sender::new(Arc::new(desk.routing()));
        Ok(Alone { desk, routing, resolver, clock, memory })
    }

    /// What the router routes by.
    pub fn source(&self) -> Arc<dyn EndpointSource> {
        Arc::new(Published(self.routing.clone()))
    }

    /// What the router tells those who ask how an upstream is.
    pub fn health(&self) -> Arc<dyn HealthSource> {
        Arc::new(Verdicts(self.desk.cache.clone()))
    }

    /// Begins to ask, for this router.
    pub fn drive(self, router: Handle) -> Driving {
        let (orders, mailbox) = mpsc::channel(4);
        let Alone { desk, routing, resolver, clock, memory } = self;
        let save_at = clock.mono() + SAVE_EVERY;
        let driver = Driver {
            desk,
            routing,
            resolver,
            clock,
            memory,
            router,
            checks: Arc::new(Semaphore::new(CHECKS_MAX)),
            asked: JoinSet::new(),
            saving: JoinSet::new(),
            save_at,
        };
        tokio::spawn(driver.run(mailbox));
        Driving(orders)
    }
}

/// Whom to ask for names. A router that has none to look up does not need to know; should a new plan have some, the
/// resolver of this machine is asked.
fn servers(plan: &Plan, dns: &DnsConfig) -> Result<Servers, ServersError> {
    let found = match dns.servers.is_empty() {
        true => Servers::of_system(),
        false => Servers::named(dns.servers.clone()),
    };
    match found {
        Err(error) if plan.upstreams.iter().all(|one| matches!(one.origin, Origin::Fixed(_))) => {
            tracing::warn!(%error, "the system's name servers are not known; no upstream needs them");
            Ok(Servers::without_files(dns.servers.clone()))
        }
        found => found,
    }
}

/// The running task; it ends when this is dropped.
#[derive(Debug)]
pub struct Driving(mpsc::Sender<Order>);

impl Driving {
    /// Goes on with another plan. Requests are not lost by it, and what is known of endpoints stays.
    pub async fn replace(&self, plan: Plan) {
        if self.0.send(Order::Replace(plan)).await.is_err() {
            tracing::error!("the task that checks endpoints has ended; the routes stay as they were");
        }
    }

    /// Writes what is known now, for a process that is about to begin.
    pub async fn save(&self) {
        let (answer, answered) = oneshot::channel();
        if self.0.send(Order::Save(answer)).await.is_err() || answered.await.is_err() {
            tracing::error!("the task that checks endpoints has ended before");
        }
    }

    /// Ends without writing: another process does.
    pub async fn leave(&self) {
        if self.0.send(Order::Leave).await.is_err() {
            tracing::error!("the task that checks endpoints has ended before");
        }
    }

    /// Ends, when what is known has been written.
    pub async fn stop(&self) {
        let (answer, answered) = oneshot::channel();
        if self.0.send(Order::Stop(answer)).await.is_err() || answered.await.is_err() {
            tracing::error!("the task that checks endpoints has ended before");
        }
    }
}

#[derive(Debug)]
enum Order {
    Replace(Plan),
    Save(oneshot::Sender<()>),
    Leave,
    Stop(oneshot::Sender<()>),
}

struct Published(watch::Sender<Arc<Routing>>);

impl EndpointSource for Published {
    fn routing(&self) -> watch::Receiver<Arc<Routing>> {
        self.0.subscribe()
    }
}

#[derive(Debug)]
struct Verdicts(HealthCache<Key>);

impl HealthSource for Verdicts {
    fn verdict(&self, upstream: &UpstreamName, endpoint: &EndpointSpec) -> Option<Verdict> {
        self.0.get(&(upstream.clone(), endpoint.addr))
    }

    fn dependencies(&self, _: &Scope) -> Vec<Dependency> {
        Vec::new()
    }
}

/// What was asked, and the answer.
enum Heard {
    Endpoint(Key, Result<Answer, Failure>),
    Name(UpstreamName, Origin, Result<Found<Member>, DnsError>),
}

struct Driver {
    desk: Desk,
    routing: watch::Sender<Arc<Routing>>,
    resolver: Resolver,
    clock: SharedClock,
    memory: Option<PathBuf>,
    router: Handle,
    checks: Arc<Semaphore>,
    asked: JoinSet<Heard>,
    saving: JoinSet<std::io::Result<()>>,
    save_at: Mono,
}

impl Driver {
    async fn run(mut self, mut mailbox: mpsc::Receiver<Order>) {
        loop {
            let now = self.clock.mono();
            self.ask_due(now);
            self.save_due(now);
            let due = self.desk.due_at().map_or(self.save_at, |due| due.min(self.save_at));
            tokio::select! {
                order = mailbox.recv() => match order {
                    Some(Order::Replace(plan)) => {
                        self.desk.replace(plan, self.clock.mono(), self.clock.wall());
                        self.publish();
                    }
                    Some(Order::Save(answer)) => {
                        self.save_last().await;
                        // Who asked may be gone; what was to be written is.
                        answer.send(()).ok();
                    }
                    Some(Order::Leave) => return,
                    Some(Order::Stop(answer)) => {
                        self.save_last().await;
                        // Who asked may be gone; what was to be written is.
                        answer.send(()).ok();
                        return;
                    }
                    None => return,
                },
                Some(heard) = self.asked.join_next() => match heard {
                    Ok(Heard::Endpoint(key, answer)) => self.on_endpoint(&key, answer),
                    Ok(Heard::Name(upstream, origin, answer)) => self.on_name(upstream, origin, answer),
                    Err(error) => tracing::error!(%error, "a check was lost"),
                },
                Some(saved) = self.saving.join_next() => match saved {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::warn!(%error, "what is known of endpoints cannot be written"),
                    Err(error) => tracing::error!(%error, "what is known of endpoints was not written"),
                },
                suspects = self.router.suspected() => {
                    let now = self.clock.mono();
                    let keys: Vec<Key> = suspects.into_iter().flat_map(|addr| self.desk.at(addr)).collect();
                    for key in keys {
                        self.desk.board.suspect(now, &key);
                    }
                }
                () = tokio::time::sleep(due.since(now)) => {}
            }
        }
    }

    fn ask_due(&mut self, now: Mono) {
        for key in self.desk.board.due(now) {
            let Some((question, approach, settings)) = self.desk.question(&key) else { continue };
            let checks = Arc::clone(&self.checks);
            self.asked.spawn(async move {
                // Never closed; its time counts from its turn.
                let _turn = checks.acquire().await.ok();
                let answer = probe(key.1, &question, &approach, settings.timeout).await;
                Heard::Endpoint(key, answer)
            });
        }
        for (upstream, origin) in self.desk.lookups_due(now) {
            let resolver = self.resolver.clone();
            self.asked.spawn(async move {
                let answer = look_up(&resolver, &origin).await;
                Heard::Name(upstream, origin, answer)
            });
        }
    }

    fn on_endpoint(&mut self, key: &Key, answer: Result<Answer, Failure>) {
        let now = self.clock.mono();
        let changed = self.desk.board.on_answer(now, key, answer);
        self.desk.show(key);
        if let Some(verdict) = self.desk.board.verdict(key).filter(|verdict| !verdict.positions.is_empty()) {
            self.router.set_positions(key.1, &verdict.positions);
        }
        let Some(change) = changed.health else { return };
        let (upstream, addr, from) = (&key.0, key.1, change.from);
        match (change.to, change.reason) {
            (Health::Healthy, _) => tracing::info!(%upstream, %addr, %from, "the endpoint is healthy"),
            (_, Some(reason)) => tracing::warn!(%upstream, %addr, %from, %reason, "the endpoint is unhealthy"),
            (_, None) => {}
        }
        self.publish();
    }

    fn on_name(&mut self, upstream: UpstreamName, origin: Origin, answer: Result<Found<Member>, DnsError>) {
        let (now, wall) = (self.clock.mono(), self.clock.wall());
        match self.desk.on_lookup((upstream.clone(), origin), answer, now, wall) {
            Said::Same => {}
            Said::Failing(reason) => {
                tracing::warn!(%upstream, reason, "the name cannot be looked up; the endpoints that were known stay");
            }
            Said::Changed { left_out } => {
                tracing::info!(%upstream, left_out, "the name stands for other endpoints");
                self.publish();
            }
        }
    }

    /// A change also is soon written.
    fn publish(&mut self) {
        let routing = Arc::new(self.desk.routing());
        self.routing.send_if_modified(|present| {
            let differs = **present != *routing;
            if differs {
                *present = routing;
            }
            differs
        });
        self.save_at = self.save_at.min(self.clock.mono() + SAVE_EVERY / 10);
    }

    fn save_due(&mut self, now: Mono) {
        if now < self.save_at || !self.saving.is_empty() {
            return;
        }
        self.save_at = now + SAVE_EVERY;
        self.save();
    }

    fn save(&mut self) {
        let Some(path) = self.memory.clone() else { return };
        let memory = self.desk.remember(self.clock.mono(), self.clock.wall());
        self.saving.spawn_blocking(move || memory.write(&Disk, &path));
    }

    async fn save_last(&mut self) {
        // The one that may be under way knows less; they write to the same place.
        while self.saving.join_next().await.is_some() {}
        self.save();
        if let Some(Ok(Err(error))) = self.saving.join_next().await {
            tracing::warn!(%error, "what is known of endpoints cannot be written");
        }
    }
}
