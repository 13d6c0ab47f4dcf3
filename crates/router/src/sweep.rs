//! The worker's coarse clock: one timer for all waits on clients, instead of one per request.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use slab::Slab;
use tokio::sync::Notify;

use crate::alarm::Alarms;
use crate::config::Config;
use crate::conn::{Conn, Expiry, Patience, Tick};
use crate::worker::Worker;

/// The longest and the shortest time between two looks.
const TICK_MAX: Duration = Duration::from_millis(100);
const TICK_MIN: Duration = Duration::from_millis(5);

/// How long a reply may stand still for a client that has closed its side.
const HALF_CLOSED_MS: u32 = 1_000;

/// All open connections of a worker.
#[derive(Debug)]
pub(crate) struct Sweep {
    now: Rc<Cell<Tick>>,
    tick: Duration,
    patience: Cell<Patience>,
    conns: RefCell<Slab<Rc<Conn>>>,
    /// Deadlines that are far away.
    pub(crate) alarms: RefCell<Alarms>,
    awake: Notify,
    /// Connections that were accepted and have not ended.
    begun: Cell<usize>,
    empty: Notify,
}

impl Sweep {
    pub(crate) fn new(config: &Config) -> Sweep {
        let ms = |ms: u32| Duration::from_millis(u64::from(ms));
        let waits = [
            config.idle_timeout_ms,
            config.header_timeout_ms,
            config.body_timeout_ms,
            config.reply_idle_timeout_ms,
            config.write_timeout_ms,
        ];
        let shortest = ms(waits.into_iter().min().unwrap_or_default());
        let tick = (shortest / 8).clamp(TICK_MIN, TICK_MAX);
        Sweep {
            now: Rc::default(),
            tick,
            patience: Cell::new(patience(config, tick)),
            conns: RefCell::default(),
            alarms: RefCell::default(),
            awake: Notify::new(),
            begun: Cell::new(0),
            empty: Notify::new(),
        }
    }

    /// Goes on with other times. A look is as long after the last as at the start, so times that are much shorter than the
    /// shortest then are kept less exactly.
    pub(crate) fn take(&self, config: &Config) {
        self.patience.set(patience(config, self.tick));
    }

    /// The clock that connections read.
    pub(crate) fn clock(&self) -> Rc<Cell<Tick>> {
        Rc::clone(&self.now)
    }

    /// Watches a connection until the guard is dropped.
    pub(crate) fn watch(worker: &Rc<Worker>, conn: Rc<Conn>) -> Watched {
        let key = worker.sweep.conns.borrow_mut().insert(conn);
        worker.sweep.awake.notify_one();
        Watched { worker: Rc::clone(worker), key }
    }

    /// What is this far away or farther is looked at in time by the sweep itself.
    pub(crate) fn horizon(&self) -> Duration {
        self.tick * 2
    }

    /// There is something to look at.
    pub(crate) fn wake(&self) {
        self.awake.notify_one();
    }

    pub(crate) fn len(&self) -> usize {
        self.conns.borrow().len()
    }

    /// Counts a connection from when it was accepted until the guard is dropped.
    pub(crate) fn begin(worker: &Rc<Worker>) -> Begun {
        worker.sweep.begun.update(|begun| begun + 1);
        Begun(Rc::clone(worker))
    }

    /// Waits until no connection is open.
    pub(crate) async fn emptied(&self) {
        while self.begun.get() > 0 {
            self.empty.notified().await;
        }
    }

    /// Makes every connection look at the world again.
    pub(crate) fn wake_all(&self) {
        for (_, conn) in self.conns.borrow().iter() {
            conn.wake();
        }
    }

    /// Ends every connection.
    pub(crate) fn cut_all(&self) {
        for (_, conn) in self.conns.borrow().iter() {
            conn.expire(Expiry::Cut);
        }
    }

    /// Looks at all connections once a tick; sleeps while there is nothing to look at.
    pub(crate) async fn run(worker: &Worker) {
        let sweep = &worker.sweep;
        loop {
            if sweep.len() == 0 && worker.pool.is_empty() && sweep.alarms.borrow().is_empty() {
                sweep.awake.notified().await;
            }
            tokio::time::sleep(sweep.tick).await;
            sweep.now.set(sweep.now.get().wrapping_add(1));
            worker.wall();
            let patience = sweep.patience.get();
            for (_, conn) in sweep.conns.borrow().iter() {
                conn.sweep(&patience);
            }
            let now = worker.now();
            sweep.alarms.borrow().ring(now + sweep.horizon());
            worker.pool.sweep(now);
            worker.shared.workers[worker.index].pool_idle.store(worker.pool.idle() as u64, Relaxed);
        }
    }
}

/// What clients are given, in looks.
fn patience(config: &Config, tick: Duration) -> Patience {
    let ms = |ms: u32| Duration::from_millis(u64::from(ms));
    let ticks = |wait: u32| Tick::try_from(ms(wait).as_millis() / tick.as_millis()).unwrap_or(Tick::MAX).max(1);
    Patience {
        idle: ticks(config.idle_timeout_ms),
        head: ticks(config.header_timeout_ms),
        content: ticks(config.body_timeout_ms),
        reply: ticks(config.reply_idle_timeout_ms),
        write: ticks(config.write_timeout_ms),
        half_closed: ticks(HALF_CLOSED_MS),
    }
}

/// A connection that the sweep looks at.
#[derive(Debug)]
pub(crate) struct Watched {
    worker: Rc<Worker>,
    key: usize,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.worker.sweep.conns.borrow_mut().remove(self.key);
    }
}

/// A connection that has not ended.
#[derive(Debug)]
pub(crate) struct Begun(Rc<Worker>);

impl Drop for Begun {
    fn drop(&mut self) {
        let sweep = &self.0.sweep;
        sweep.begun.update(|begun| begun - 1);
        if sweep.begun.get() == 0 {
            sweep.empty.notify_one();
        }
    }
}
