//! Starting the router, and what others may ask of it.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use control::plane::{PlaneState, PlaneStatus};
use net::listen::Bound;
use net::sockets::Sockets;
use stdx::clock::SharedClock;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_local};

use crate::access::{AccessRing, AccessSink};
use crate::cache::Cache;
use crate::config::Config;
use crate::edge::{Edge, Speaks};
use crate::health_source::{HealthSource, NoHealth};
use crate::idempotency::Answers;
use crate::live;
use crate::overrides::Overrides;
use crate::own_writes::Signer;
use crate::peers::TrustedPeers;
use crate::room::Room;
use crate::routing::{EndpointSource, Routing};
use crate::serve;
use crate::shared::{By, LastWords, Phase, Shared, Stores};
use crate::silence;
use crate::start_error::StartError;
use crate::sweep::Sweep;
use crate::worker::Worker;

/// How often a wait for requests in flight looks again.
const DRAIN_LOOK: Duration = Duration::from_millis(10);
/// How long workers get to end after what was in flight has been cut.
const CUT_TIME: Duration = Duration::from_secs(1);

/// A running router, as the rest of the process sees it. Clones are the same router.
#[derive(Clone)]
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
    pub(crate) clock: SharedClock,
    bound: Arc<[SocketAddr]>,
    pub(crate) source: watch::Receiver<Arc<Routing>>,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("bound", &self.bound).finish_non_exhaustive()
    }
}

/// What the router needs of others.
pub struct Deps {
    /// Where it learns its routing from.
    pub source: Arc<dyn EndpointSource>,
    /// Where access records go.
    pub sink: Arc<dyn AccessSink>,
    /// What tells the time.
    pub clock: SharedClock,
    /// What is set by hand.
    pub overrides: Overrides,
    /// What checks have found.
    pub health: Arc<dyn HealthSource>,
    /// Where it keeps what goes to disk; `None`: nowhere.
    pub data: Option<PathBuf>,
    /// The process's listening sockets.
    pub sockets: Sockets,
    /// Another process has not done yet with requests that have an `Idempotency-Key`: until [`Handle::open_answers`] such
    /// requests wait, and the journal of first answers is left to it.
    pub keys_wait: bool,
    /// Connections wait until [`Handle::open`]: what is routed is not known before.
    pub closed: bool,
}

impl Deps {
    /// With nothing set by hand, nothing kept of what will be, and nobody who checks.
    pub fn new(source: Arc<dyn EndpointSource>, sink: Arc<dyn AccessSink>, clock: SharedClock) -> Deps {
        Deps {
            source,
            sink,
            clock,
            overrides: Overrides::in_memory(),
            health: Arc::new(NoHealth),
            data: None,
            sockets: Sockets::default(),
            keys_wait: false,
            closed: false,
        }
    }
}

/// What the router is busy with, over all workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests answered since the start, the router's own answers among them.
    pub requests: u64,
    /// Client connections open.
    pub connections: u64,
    /// Requests waiting until somebody is up.
    pub held: u64,
    /// Access records that found their ring full.
    pub records_dropped: u64,
    /// Idle connections to endpoints, over all workers.
    pub pool_idle: u64,
}

/// What became of a route's requests since it was first there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteCounts {
    /// The route's name.
    pub route: String,
    /// Requests by the first digit of the status of their reply; the first place counts all others.
    pub answered: [u64; 6],
}

/// Binds, and starts the workers. When it returns, connections are taken.
///
/// # Errors
/// When an address, a trusted peer or a thread cannot be had; then nothing is left bound.
pub fn start(config: Config, deps: Deps) -> Result<Handle, StartError> {
    let Deps { source, sink, clock, overrides, health, data, sockets: opened, keys_wait, closed } = deps;
    let trusted = TrustedPeers::parse(&config.trusted_peers)?;
    let workers = match config.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        some => usize::from(some),
    };
    let proxies = TrustedPeers::parse(&config.proxy_protocol_from).map_err(StartError::Proxy)?;
    let plain = opened.bind_all(Speaks::Plain.name(), &config.listen, workers)?;
    let secure = opened.bind_all(Speaks::Tls.name(), &config.tls.listen, workers).map_err(StartError::ListenTls)?;
    let bound = plain.iter().map(|one| one.addr).collect();
    let bound_tls = secure.iter().map(|one| one.addr).collect();
    let edge = Edge::open(&config, proxies, bound_tls, data.as_deref(), &clock)?;
    let mut source = source.routing();
    let routing = Arc::clone(&source.borrow_and_update());
    let answers = Answers::new(&config, data.as_deref());
    if !keys_wait {
        answers.open()?;
    }
    let signer = Signer::open(data.as_deref()).map_err(StartError::Key)?;
    let cache = Cache::open(&config, data.as_deref(), &clock)?;
    let stores = Stores { room: Room::new(&config, data.as_deref()), answers, signer, cache };
    let shared =
        Shared::new(config, trusted, workers, routing, By { overrides, health, stores, edge, closed }, clock.mono());
    let shared = Arc::new(shared);
    let mut sockets: Vec<Vec<(TcpListener, Speaks)>> = (0..workers).map(|_| Vec::new()).collect();
    let speaking = |bound: Vec<Bound>, speaks| bound.into_iter().map(move |one| (one, speaks));
    for (address, speaks) in speaking(plain, Speaks::Plain).chain(speaking(secure, Speaks::Tls)) {
        for (turn, socket) in address.sockets.into_iter().enumerate() {
            sockets[turn % workers].push((socket, speaks));
        }
    }
    for (index, sockets) in sockets.into_iter().enumerate() {
        let ring = sink.ring(index);
        let start =
            Start { index, sockets, opened: opened.clone(), ring, clock: clock.clone(), source: source.clone() };
        spawn(start, &shared)?;
    }
    Ok(Handle { shared, clock, bound, source })
}

/// What a worker's thread begins with.
struct Start {
    index: usize,
    sockets: Vec<(TcpListener, Speaks)>,
    opened: Sockets,
    ring: Option<Box<dyn AccessRing>>,
    clock: SharedClock,
    source: watch::Receiver<Arc<Routing>>,
}

/// Starts a worker's thread. Its runtime knows of no other thread, not even of the one that starts it.
fn spawn(start: Start, shared: &Arc<Shared>) -> Result<(), StartError> {
    let shared = Arc::clone(shared);
    let (report, built) = mpsc::sync_channel(1);
    std::thread::Builder::new().name(format!("router-{}", start.index)).spawn(move || {
        let _last_words = LastWords { shared: Arc::clone(&shared), worker: start.index };
        let (runtime, outcome) = match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
            Ok(runtime) => (Some(runtime), Ok(())),
            Err(error) => (None, Err(error)),
        };
        let heard = report.send(outcome).is_ok();
        if let Some(runtime) = runtime.filter(|_| heard) {
            runtime.block_on(work(start, shared));
        }
    })?;
    Ok(built.recv().map_err(io::Error::other)??)
}

/// A worker's life.
async fn work(start: Start, shared: Arc<Shared>) {
    let mut phase = shared.phase.subscribe();
    let worker = Rc::new(Worker::new(start.index, Arc::clone(&shared), start.clock, start.ring));
    vital(&worker, "following the routing", live::follow(Rc::clone(&worker), start.source));
    let sweeping = Rc::clone(&worker);
    vital(&worker, "keeping time", async move { Sweep::run(&sweeping).await });
    if start.index == 0 {
        let keeping = Rc::clone(&worker);
        vital(&worker, "keeping what is set by hand", async move {
            keeping.shared.overrides.keep(&keeping.shared.states, &keeping.clock).await;
        });
        let watching = Rc::clone(&worker);
        vital(&worker, "watching the checks", async move { silence::watch(&watching).await });
    }
    let mut accepting = Vec::new();
    for (socket, speaks) in start.sockets {
        match tokio::net::TcpListener::from_std(socket) {
            Ok(listener) => {
                let listener = Arc::new(listener);
                start.opened.keep(speaks.name(), &listener);
                accepting.push(vital(&worker, "accepting", serve::accept(Rc::clone(&worker), listener, speaks)));
            }
            Err(error) => shared.status.fail(format!("worker {} cannot accept: {error}", start.index)),
        }
    }
    // The sender lives in `shared`, so these waits end by their condition only.
    let drains = phase.wait_for(|phase| *phase > Phase::Serving).await.is_ok();
    worker.phase.set(Phase::Leaving);
    for one in accepting {
        if one.await.is_err() {
            tracing::error!(worker = start.index, "an accept loop was lost");
        }
    }
    for (next, end) in [(Phase::Draining, Sweep::wake_all as fn(&Sweep)), (Phase::Cut, Sweep::cut_all)] {
        tokio::select! {
            () = worker.sweep.emptied() => break,
            _ = phase.wait_for(|phase| *phase >= next) => {
                worker.phase.set(next);
                end(&worker.sweep);
            }
        }
    }
    tracing::debug!(worker = start.index, drains, "worker ends");
}

/// Runs a part that the worker cannot do without: if it panics the plane has failed, though the worker serves on.
fn vital(worker: &Rc<Worker>, what: &'static str, part: impl Future<Output = ()> + 'static) -> JoinHandle<()> {
    let worker = Rc::clone(worker);
    spawn_local(async move {
        if spawn_local(part).await.is_err() {
            worker.shared.status.fail(format!("worker {}: {what} panicked", worker.index));
        }
    })
}

impl Handle {
    /// The addresses that are served without TLS, with the real port where 0 was asked for.
    pub fn bound(&self) -> Vec<SocketAddr> {
        self.bound.to_vec()
    }

    /// Whether it runs.
    pub fn status(&self) -> PlaneStatus {
        self.shared.status.clone()
    }

    /// What it is busy with.
    pub fn counts(&self) -> Counts {
        let shared = &self.shared;
        let sum = |cell: fn(&crate::shared::WorkerCell) -> u64| shared.workers.iter().map(cell).sum();
        let seats = shared.config.connections_max as usize;
        Counts {
            requests: sum(|worker| worker.requests.load(Relaxed)),
            connections: shared.connections_open(seats),
            held: u64::from(shared.held()),
            records_dropped: sum(|worker| worker.records_dropped.load(Relaxed)),
            pool_idle: sum(|worker| worker.pool_idle.load(Relaxed)),
        }
    }

    /// What became of each route's requests, by name.
    pub fn route_counts(&self) -> Vec<RouteCounts> {
        let routes = self.shared.states.routes.all();
        let mut counts: Vec<RouteCounts> =
            routes.into_iter().map(|(route, state)| RouteCounts { route, answered: state.counts() }).collect();
        counts.sort_by(|a, b| a.route.cmp(&b.route));
        counts
    }

    /// Requests that the endpoint at `addr` has in hand, over all workers and releases.
    pub fn in_flight(&self, addr: SocketAddr) -> u64 {
        self.shared.in_flight(addr)
    }

    /// Waits until none of `addrs` has a request in hand, at most `limit`; whether that came true. Take them out of the
    /// routing and await [`applied`](Handle::applied) first, or new ones may come.
    pub async fn drained(&self, addrs: &[SocketAddr], limit: Duration) -> bool {
        let drained = async {
            while addrs.iter().any(|addr| self.in_flight(*addr) > 0) {
                tokio::time::sleep(DRAIN_LOOK).await;
            }
        };
        tokio::time::timeout(limit, drained).await.is_ok()
    }

    /// Waits until all workers route by the newest routing of the source: no request picks by an older one any more,
    /// though some that did may be in flight.
    pub async fn applied(&self) {
        loop {
            let adopted = self.shared.adopted.notified();
            let newest = Arc::clone(&self.source.borrow());
            if self.shared.is_applied(&newest) {
                return;
            }
            adopted.await;
        }
    }

    /// Ends the router: no new connections; those that idle get a moment for one more request, whose answer says that it
    /// is the last, and are closed then; requests in flight finish within `limit` and are cut then. Whether nothing had to
    /// be cut.
    pub async fn drain(&self, limit: Duration) -> bool {
        self.shared.status.set(PlaneState::Draining);
        let grace = Duration::from_millis(self.shared.settings().drain_idle_ms.into()).min(limit);
        self.enter(Phase::Leaving);
        let mut in_time = tokio::time::timeout(grace, self.ended()).await.is_ok();
        if !in_time {
            self.enter(Phase::Draining);
            in_time = tokio::time::timeout(limit - grace, self.ended()).await.is_ok();
        }
        self.enter(Phase::Cut);
        if tokio::time::timeout(CUT_TIME, self.ended()).await.is_err() {
            tracing::error!("a worker of the router does not end");
        }
        self.shared.status.set(PlaneState::Stopped);
        in_time
    }

    /// Goes on to a phase; never back.
    pub(crate) fn enter(&self, next: Phase) {
        self.shared.phase.send_if_modified(|phase| {
            let later = *phase < next;
            *phase = next.max(*phase);
            later
        });
    }

    /// Waits until every worker's thread has ended.
    async fn ended(&self) {
        let mut running = self.shared.running.subscribe();
        if running.wait_for(|running| *running == 0).await.is_err() {
            tracing::debug!("nobody counts workers any more");
        }
    }
}
