//! What all workers and the handle share: atomics per endpoint, the newest routing, counters, the way to the end.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};

use control::plane::PlaneStatus;
use health::Position;
use stdx::clock::Mono;
use tokio::sync::{Notify, Semaphore, watch};

use crate::cache::Cache;
use crate::capacity::Manual;
use crate::config::Config;
use crate::edge::Edge;
use crate::endpoint::{Endpoint, EndpointKey};
use crate::fragments;
use crate::health_source::HealthSource;
use crate::idempotency::Answers;
use crate::overrides::Overrides;
use crate::own_writes::Signer;
use crate::passwords::Passwords;
use crate::peers::TrustedPeers;
use crate::room::Room;
use crate::routing::Routing;
use crate::snapshot::Snapshot;
use crate::suspects::Suspects;
use crate::upstream::States;

/// How far the router's life has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Connections wait in the kernel's queue: the routing is not known yet.
    Closed,
    Serving,
    /// No new connections. A request on an old one is answered, and the answer is the connection's last.
    Leaving,
    /// Connections that no request is in flight on are closed; what is in flight goes on.
    Draining,
    /// What is in flight is cut.
    Cut,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) trusted: TrustedPeers,
    pub(crate) edge: Arc<Edge>,
    pub(crate) status: PlaneStatus,
    pub(crate) workers: Box<[WorkerCell]>,
    pub(crate) phase: watch::Sender<Phase>,
    /// Seats for client connections.
    pub(crate) connections: Arc<Semaphore>,
    /// Seats for connections with HTTP/2, and for requests on them.
    pub(crate) http2_connections: Semaphore,
    pub(crate) http2_requests: Arc<Semaphore>,
    /// Passwords of routes' users.
    pub(crate) passwords: Passwords,
    /// Room for replies that are compressed.
    pub(crate) compressions: Arc<Semaphore>,
    /// Room for fragments, in units of [`fragments::UNIT_BYTES`].
    pub(crate) fragments: Arc<Semaphore>,
    pub(crate) adopted: Notify,
    /// Workers whose thread has not ended.
    pub(crate) running: watch::Sender<usize>,
    /// Room for content that is kept for another try.
    pub(crate) room: Arc<Room>,
    /// First answers to requests with a key.
    pub(crate) answers: Answers,
    pub(crate) signer: Signer,
    /// What routes with a cache keep, and what they fetch.
    pub(crate) cache: Cache,
    held: AtomicU32,
    endpoints: Mutex<HashMap<EndpointKey, Arc<Endpoint>>>,
    pub(crate) states: States,
    pub(crate) suspects: Suspects,
    pub(crate) health: Arc<dyn HealthSource>,
    pub(crate) overrides: Overrides,
    newest: Mutex<Arc<Snapshot>>,
    /// The settings that hold now; `config` has those of the start.
    pub(crate) live: watch::Sender<Arc<Config>>,
}

/// Who else has a say: the hand and the checks; and what is kept.
pub(crate) struct By {
    pub(crate) overrides: Overrides,
    pub(crate) health: Arc<dyn HealthSource>,
    pub(crate) stores: Stores,
    pub(crate) edge: Edge,
    /// It does not accept yet.
    pub(crate) closed: bool,
}

/// What the router keeps beyond one request.
#[derive(Debug)]
pub(crate) struct Stores {
    pub(crate) room: Room,
    pub(crate) answers: Answers,
    pub(crate) signer: Signer,
    pub(crate) cache: Cache,
}

/// What one worker tells the others; written by it alone.
#[derive(Debug, Default)]
pub(crate) struct WorkerCell {
    version: AtomicU64,
    pub(crate) requests: AtomicU64,
    pub(crate) records_dropped: AtomicU64,
    pub(crate) pool_idle: AtomicU64,
}

impl Shared {
    pub(crate) fn new(
        config: Config,
        trusted: TrustedPeers,
        workers: usize,
        routing: Arc<Routing>,
        by: By,
        now: Mono,
    ) -> Shared {
        let By { overrides, health, stores, edge, closed } = by;
        let endpoints = Mutex::default();
        let states = States::default();
        let first = compile(&endpoints, &states, routing, 1, &config, now);
        overrides.apply(&states);
        Shared {
            trusted,
            edge: Arc::new(edge),
            status: PlaneStatus::running("router"),
            workers: (0..workers).map(|_| WorkerCell::default()).collect(),
            phase: watch::Sender::new(if closed { Phase::Closed } else { Phase::Serving }),
            connections: Arc::new(Semaphore::new(config.connections_max as usize)),
            http2_connections: Semaphore::new(config.http2.connections_max as usize),
            http2_requests: Arc::new(Semaphore::new(config.http2.requests_max as usize)),
            passwords: Passwords::new(&config),
            fragments: Arc::new(Semaphore::new(fragments::permits(config.fragments_bytes_max))),
            compressions: Arc::new(Semaphore::new(config.compressions_max as usize)),
            adopted: Notify::new(),
            running: watch::Sender::new(workers),
            room: Arc::new(stores.room),
            answers: stores.answers,
            signer: stores.signer,
            cache: stores.cache,
            held: AtomicU32::new(0),
            endpoints,
            states,
            suspects: Suspects::default(),
            health,
            overrides,
            newest: Mutex::new(Arc::new(first)),
            live: watch::Sender::new(Arc::new(config.clone())),
            config,
        }
    }

    /// The newest snapshot. Whichever worker sees a new routing first compiles it for all. The source is read under the
    /// lock, so that no worker can bring back an older routing after a newer one.
    pub(crate) fn newest(&self, source: &mut watch::Receiver<Arc<Routing>>, now: Mono) -> Arc<Snapshot> {
        let mut newest = lock(&self.newest);
        let routing = Arc::clone(&source.borrow_and_update());
        if !Arc::ptr_eq(&newest.source, &routing) {
            let version = newest.version + 1;
            *newest = Arc::new(compile(&self.endpoints, &self.states, routing, version, &self.settings(), now));
            self.overrides.apply(&self.states);
        }
        Arc::clone(&newest)
    }

    /// The settings that hold now.
    pub(crate) fn settings(&self) -> Arc<Config> {
        Arc::clone(&self.live.borrow())
    }

    /// Goes on with other settings: the routing is compiled again with them, and every worker takes both.
    pub(crate) fn reconfigure(&self, config: Config, now: Mono) {
        let config = Arc::new(config);
        let mut newest = lock(&self.newest);
        let (routing, version) = (Arc::clone(&newest.source), newest.version + 1);
        *newest = Arc::new(compile(&self.endpoints, &self.states, routing, version, &config, now));
        self.live.send_replace(config);
    }

    /// The snapshot that a worker begins with.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&lock(&self.newest))
    }

    /// A worker has taken a version into force.
    pub(crate) fn applied(&self, worker: usize, version: u64) {
        self.workers[worker].version.store(version, SeqCst);
        self.adopted.notify_waiters();
    }

    /// Whether `routing` is compiled and every worker routes by it or by a later one.
    pub(crate) fn is_applied(&self, routing: &Arc<Routing>) -> bool {
        let newest = self.snapshot();
        let adopted = |worker: &WorkerCell| worker.version.load(SeqCst) >= newest.version;
        Arc::ptr_eq(&newest.source, routing) && self.workers.iter().all(adopted)
    }

    /// Requests that an address has in hand, over all workers and releases.
    pub(crate) fn in_flight(&self, addr: SocketAddr) -> u64 {
        let endpoints = lock(&self.endpoints);
        endpoints.values().filter(|one| one.key.addr == addr).map(|one| u64::from(one.in_flight())).sum()
    }

    /// Notes how far the copies of databases at an address have come.
    pub(crate) fn set_positions(&self, addr: SocketAddr, positions: &Arc<[Position]>) {
        let endpoints = lock(&self.endpoints);
        endpoints.values().filter(|one| one.key.addr == addr).for_each(|one| one.set_positions(positions));
    }

    /// How far the copies of databases at an address have come.
    pub(crate) fn positions(&self, addr: SocketAddr) -> Arc<[Position]> {
        let endpoints = lock(&self.endpoints);
        let all = endpoints.values().filter(|one| one.key.addr == addr).map(|one| one.positions());
        all.max_by_key(|positions| positions.len()).unwrap_or_default()
    }

    /// Client connections open, of `seats` in all.
    pub(crate) fn connections_open(&self, seats: usize) -> u64 {
        seats.saturating_sub(self.connections.available_permits()) as u64
    }

    pub(crate) fn held(&self) -> u32 {
        self.held.load(Relaxed)
    }
}

fn compile(
    endpoints: &Mutex<HashMap<EndpointKey, Arc<Endpoint>>>,
    states: &States,
    routing: Arc<Routing>,
    version: u64,
    config: &Config,
    now: Mono,
) -> Snapshot {
    let mut endpoints = lock(endpoints);
    // Only this map holds what no snapshot and no request holds any more.
    endpoints.retain(|_, endpoint| Arc::strong_count(endpoint) > 1);
    states.upstreams.sweep(|_| false);
    states.apps.sweep(|_| false);
    // What was set by hand waits for its route to come back.
    states.routes.sweep(|route| route.breaker.by_hand().at(now) != Manual::Auto);
    let snapshot = Snapshot::compile(routing, version, config, states, |key| {
        Arc::clone(endpoints.entry(key).or_insert_with(|| Arc::new(Endpoint::new(key, now))))
    });
    for target in snapshot.routes.iter().flat_map(|route| &route.upstream.targets) {
        target.endpoint.is_up(target.in_rotation, now);
    }
    snapshot
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One of the places for requests that wait until somebody is up.
#[derive(Debug)]
pub(crate) struct HeldSeat(Arc<Shared>);

impl HeldSeat {
    /// A place, `None` when all are taken.
    pub(crate) fn take(shared: &Arc<Shared>) -> Option<HeldSeat> {
        let most = shared.live.borrow().held_max;
        let taken = shared.held.fetch_update(Relaxed, Relaxed, |held| (held < most).then_some(held + 1));
        taken.is_ok().then(|| HeldSeat(Arc::clone(shared)))
    }
}

impl Drop for HeldSeat {
    fn drop(&mut self) {
        self.0.held.fetch_sub(1, Relaxed);
    }
}

/// Says how a worker's thread ended, however it ended.
#[derive(Debug)]
pub(crate) struct LastWords {
    pub(crate) shared: Arc<Shared>,
    pub(crate) worker: usize,
}

impl Drop for LastWords {
    fn drop(&mut self) {
        if *self.shared.phase.borrow() <= Phase::Serving {
            self.shared.status.fail(format!("worker {} ended", self.worker));
        }
        // Nobody waits for a routing to reach a worker that is gone.
        self.shared.applied(self.worker, u64::MAX);
        self.shared.running.send_modify(|running| *running -= 1);
    }
}
