//! What one worker has for itself. Not `Send`: its pool, its generator, its ring and its view of the routing are used
//! without locks.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, UNIX_EPOCH};

use stdx::clock::{Mono, SharedClock, Wall};
use stdx::rng::{self, Rng};
use tokio::sync::Notify;

use crate::access::{AccessRecord, AccessRing};
use crate::body::Meter;
use crate::gate;
use crate::h1::front::HeadLimits;
use crate::pool::Pool;
use crate::shared::{Phase, Shared};
use crate::snapshot::{Snapshot, View};
use crate::sweep::Sweep;
use crate::way::Way;

/// A date as HTTP says it (RFC 9110, 5.6.7), in bytes.
pub(crate) type HttpDate = [u8; 29];

pub(crate) struct Worker {
    pub(crate) index: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) clock: SharedClock,
    pub(crate) pool: Pool,
    pub(crate) rng: RefCell<Rng>,
    pub(crate) sweep: Sweep,
    pub(crate) limits: gate::Limits,
    pub(crate) head_limits: HeadLimits,
    /// What all requests without content share.
    pub(crate) no_content: Rc<Meter>,
    /// Woken when the routing has changed: requests that are held look again.
    pub(crate) rerouted: Notify,
    /// How far the router's life has come, as this worker knows.
    pub(crate) phase: Cell<Phase>,
    /// Tries that a hedge has overtaken and that go on to their end.
    pub(crate) overtaken: Cell<u16>,
    turn: Cell<Option<Mono>>,
    /// The second that it is, and that second as a date.
    second: Cell<u64>,
    date: Cell<(u64, HttpDate)>,
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
            head_limits: HeadLimits {
                bytes_max: config.header_bytes_max as usize,
                fields_max: usize::from(config.header_fields_max),
            },
            limits: gate::Limits {
                target_bytes_max: config.target_bytes_max as usize,
                header_fields_max: usize::from(config.header_fields_max),
            },
            no_content: Rc::default(),
            rerouted: Notify::new(),
            phase: Cell::new(Phase::Serving),
            overtaken: Cell::new(0),
            turn: Cell::new(None),
            second: Cell::new(0),
            date: Cell::new((0, http_date(0))),
            snapshot: RefCell::new(snapshot),
            wants_agents: ring.as_ref().is_some_and(|ring| ring.wants_agents()),
            ring: RefCell::new(ring),
            shared,
        }
    }

    /// Now. Within one turn of a connection's task time stands still: it was read when the turn began.
    pub(crate) fn now(&self) -> Mono {
        self.turn.get().unwrap_or_else(|| self.clock.mono())
    }

    /// One turn of a task, which ends when it has to wait.
    pub(crate) fn turn<T>(&self, run: impl FnOnce() -> T) -> T {
        struct Turn<'a>(&'a Cell<Option<Mono>>);
        impl Drop for Turn<'_> {
            fn drop(&mut self) {
                self.0.set(None);
            }
        }
        self.turn.set(Some(self.clock.mono()));
        let _turn = Turn(&self.turn);
        run()
    }

    /// What the wall clock says.
    pub(crate) fn wall(&self) -> Wall {
        let wall = self.clock.wall();
        self.second.set(wall.0 / 1_000_000_000);
        wall
    }

    /// The date, which is at most a tick of the sweep old while there are connections.
    pub(crate) fn date(&self) -> HttpDate {
        let second = self.second.get();
        let (of, date) = self.date.get();
        if of == second {
            return date;
        }
        let date = http_date(second);
        self.date.set((second, date));
        date
    }

    /// The time for a request's head.
    pub(crate) fn header_time(&self) -> Duration {
        Duration::from_millis(self.shared.config.header_timeout_ms.into())
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
            .map(|target| Way::place_of(target.endpoint.key, target.reach.as_deref()))
            .collect();
        self.pool.retain(|way| present.contains(&way.place()));
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

/// A second since 1970 as a date.
fn http_date(second: u64) -> HttpDate {
    let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second));
    let mut date = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    if text.len() == date.len() {
        date.copy_from_slice(text.as_bytes());
    }
    date
}
