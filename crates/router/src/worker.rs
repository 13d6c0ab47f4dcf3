//! What one worker has for itself. Not `Send`: its pool, its generator, its ring and its view of the routing are used
//! without locks.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use stdx::clock::{Mono, SharedClock};
use stdx::rng::{self, Rng};
use tokio::sync::Notify;

use crate::access::{AccessRecord, AccessRing};
use crate::body::Meter;
use crate::config::Config;
use crate::gate;
use crate::pool::Pool;
use crate::shared::{Phase, Shared};
use crate::snapshot::{Snapshot, View};
use crate::sweep::Sweep;

/// Bytes of a client connection's read buffer, unless a header block may be larger.
const BUFFER_BYTES_MAX: usize = 64 << 10;

/// Header fields that hyper takes unless told otherwise. It parses so many on its stack; any number that it is told, even
/// this one, costs it two allocations per message.
const HYPER_FIELDS_MAX: usize = 100;

pub(crate) struct Worker {
    pub(crate) index: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) clock: SharedClock,
    pub(crate) pool: Pool,
    pub(crate) rng: RefCell<Rng>,
    pub(crate) sweep: Sweep,
    pub(crate) http: http1::Builder,
    pub(crate) limits: gate::Limits,
    /// What all requests without content share.
    pub(crate) no_content: Rc<Meter>,
    /// Woken when the routing has changed: requests that are held look again.
    pub(crate) rerouted: Notify,
    /// How far the router's life has come, as this worker knows.
    pub(crate) phase: Cell<Phase>,
    /// Tries that a hedge has overtaken and that go on to their end.
    pub(crate) overtaken: Cell<u16>,
    snapshot: RefCell<Rc<View>>,
    ring: RefCell<Option<Box<dyn AccessRing>>>,
    /// Access records say what the request said of its agent.
    pub(crate) wants_agents: bool,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("index", &self.index).finish_non_exhaustive()
    }
}

impl Worker {
    pub(crate) fn new(
        index: usize,
        shared: Arc<Shared>,
        clock: SharedClock,
        ring: Option<Box<dyn AccessRing>>,
    ) -> Worker {
        let config = &shared.config;
        let snapshot = Rc::new(View(shared.snapshot()));
        Worker {
            index,
            clock,
            pool: Pool::new(config),
            rng: RefCell::new(rng::from_kernel()),
            sweep: Sweep::new(config),
            http: server(config),
            limits: gate::Limits {
                target_bytes_max: config.target_bytes_max as usize,
                header_fields_max: usize::from(config.header_fields_max),
            },
            no_content: Rc::default(),
            rerouted: Notify::new(),
            phase: Cell::new(Phase::Serving),
            overtaken: Cell::new(0),
            snapshot: RefCell::new(snapshot),
            wants_agents: ring.as_ref().is_some_and(|ring| ring.wants_agents()),
            ring: RefCell::new(ring),
            shared,
        }
    }

    pub(crate) fn now(&self) -> Mono {
        self.clock.mono()
    }

    /// The routing in force.
    pub(crate) fn snapshot(&self) -> Rc<View> {
        Rc::clone(&self.snapshot.borrow())
    }

    /// Takes a new routing into force: from here on no request of this worker picks by an older one.
    pub(crate) fn adopt(&self, snapshot: Arc<Snapshot>) {
        let version = snapshot.version;
        let present: std::collections::HashSet<_> = snapshot
            .routes
            .iter()
            .flat_map(|route| &route.upstream.targets)
            .map(|target| target.endpoint.key)
            .collect();
        self.pool.retain(|key| present.contains(key));
        *self.snapshot.borrow_mut() = Rc::new(View(snapshot));
        self.rerouted.notify_waiters();
        self.shared.applied(self.index, version);
    }

    /// Hands a record on.
    pub(crate) fn record(&self, record: AccessRecord) {
        let cell = &self.shared.workers[self.index];
        cell.requests.fetch_add(1, Relaxed);
        // Taken out while it works: a ring that panics is not used again.
        let Some(mut ring) = self.ring.borrow_mut().take() else { return };
        if !ring.push(record) {
            cell.records_dropped.fetch_add(1, Relaxed);
        }
        *self.ring.borrow_mut() = Some(ring);
    }
}

/// How hyper serves: its own head timer is off because the sweep keeps that time.
fn server(config: &Config) -> http1::Builder {
    let mut http = http1::Builder::new();
    let head_bytes = config.header_bytes_max as usize;
    http.timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_header_size(head_bytes)
        .max_buf_size(BUFFER_BYTES_MAX.max(head_bytes + (8 << 10)));
    let fields_max = usize::from(config.header_fields_max);
    if fields_max != HYPER_FIELDS_MAX {
        http.max_headers(fields_max);
    }
    http
}
