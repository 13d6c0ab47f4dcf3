//! What the writer, the queries and the handles of one plane share.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use control::plane::PlaneStatus;
use stdx::clock::SharedClock;
use stdx::io::Io;
use tokio::sync::watch;
use wal::{Damage, Found, Position, ReadError, Segment};

use crate::config::Config;
use crate::inbox::{Closed, Inbox};
use crate::live::Live;
use crate::origins::Origins;
use crate::queries::Running;
use crate::stats::Stats;

pub(crate) struct Shared {
    config: RwLock<Arc<Config>>,
    pub(crate) clock: SharedClock,
    pub(crate) status: PlaneStatus,
    pub(crate) inbox: Inbox,
    pub(crate) disk: Box<dyn Segments>,
    pub(crate) counters: Counters,
    damaged: Arc<Damaged>,
    pub(crate) running: Running,
    pub(crate) tails: Arc<Slots>,
    /// Says `true` once the writer has ended.
    pub(crate) ended: watch::Sender<bool>,
    live: Mutex<Live>,
    origins: Mutex<Origins>,
}

/// The committed segments, whatever disk they are on.
pub(crate) trait Segments: Send + Sync {
    /// Those that are part of the log, oldest first.
    fn list(&self) -> Vec<Segment>;
    /// Hands the records of one to `visit`, in order, until it breaks.
    fn scan(&self, number: u64, visit: &mut dyn FnMut(Found<'_>) -> ControlFlow<()>) -> Result<(), ReadError>;
    /// Reads one record.
    fn read(&self, at: Position, into: &mut Vec<u8>) -> Result<(), ReadError>;
}

/// The segments on a disk, and what is damaged in them.
pub(crate) struct OnDisk<D: Io> {
    pub(crate) reader: wal::Reader<D>,
    pub(crate) damaged: Arc<Damaged>,
}

/// Counts stretches of records that cannot be read, when they are met first: at the start, or by a query in what the start
/// did not have to read.
#[derive(Default)]
pub(crate) struct Damaged {
    stretches: AtomicU64,
    known_segments: Mutex<BTreeSet<u64>>,
}

impl Damaged {
    /// All that was found in one reading of some segments.
    pub(crate) fn note(&self, found: &[Damage]) {
        let mut known = self.known_segments.lock().unwrap_or_else(PoisonError::into_inner);
        let new = found.iter().filter(|damage| !known.contains(&damage.segment)).count();
        known.extend(found.iter().map(|damage| damage.segment));
        Counters::add(&self.stretches, new as u64);
    }

    fn count(&self) -> u64 {
        self.stretches.load(Ordering::Relaxed)
    }
}

impl<D: Io> Segments for OnDisk<D> {
    fn list(&self) -> Vec<Segment> {
        self.reader.segments()
    }

    fn scan(&self, number: u64, visit: &mut dyn FnMut(Found<'_>) -> ControlFlow<()>) -> Result<(), ReadError> {
        let damage = self.reader.scan_segment(number, visit)?;
        for damage in &damage {
            tracing::warn!(target: "logs", %damage, "records could not be read");
        }
        if !damage.is_empty() {
            self.damaged.note(&damage);
        }
        Ok(())
    }

    fn read(&self, at: Position, into: &mut Vec<u8>) -> Result<(), ReadError> {
        self.reader.read(at, into).map(|_kind| ())
    }
}

/// Counts since the start, written by the writer.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) records: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) repeated: AtomicU64,
    pub(crate) commits: AtomicU64,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }
}

/// So many of something at once.
#[derive(Default)]
pub(crate) struct Slots {
    used: AtomicU16,
}

/// One of them; dropping it gives it back.
pub(crate) struct Slot(Arc<Slots>);

impl Slots {
    pub(crate) fn used(&self) -> u16 {
        self.used.load(Ordering::Relaxed)
    }

    /// One more, if then there are no more than `max`.
    pub(crate) fn take(self: &Arc<Slots>, max: u16) -> Option<Slot> {
        let take = |used: u16| (used < max).then(|| used + 1);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).ok()?;
        Some(Slot(Arc::clone(self)))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.used.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shared {
    pub(crate) fn new(
        config: Config,
        clock: SharedClock,
        (disk, damaged): (Box<dyn Segments>, Arc<Damaged>),
        live: Live,
        origins: Origins,
    ) -> Shared {
        Shared {
            clock,
            status: PlaneStatus::running("logs"),
            inbox: Inbox::new(config.pending_bytes_max),
            disk,
            counters: Counters::default(),
            damaged,
            running: Running::default(),
            tails: Arc::default(),
            ended: watch::Sender::new(false),
            live: Mutex::new(live),
            origins: Mutex::new(origins),
            config: RwLock::new(Arc::new(config)),
        }
    }

    /// The settings that hold now.
    pub(crate) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Goes on with other settings, as far as they count while the store runs.
    pub(crate) fn reconfigure(&self, new: &Config) {
        let mut config = Config::clone(&self.config());
        config.retention_bytes = new.retention_bytes;
        config.disk_reserve_bytes = new.disk_reserve_bytes;
        config.queries_max = new.queries_max;
        config.tails_max = new.tails_max;
        config.tail_records_max = new.tail_records_max;
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    /// No panic can leave these half changed in a way that matters to a reader, so their locks are taken all the same.
    pub(crate) fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn origins(&self) -> MutexGuard<'_, Origins> {
        self.origins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stats(&self) -> Stats {
        let inbox = self.inbox.stats();
        let segments = self.disk.list();
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            records: read(&self.counters.records),
            bytes: read(&self.counters.bytes),
            dropped: inbox.dropped,
            refused: inbox.refused,
            repeated: read(&self.counters.repeated),
            commits: read(&self.counters.commits),
            pending_bytes: inbox.pending,
            segments: segments.len() as u64,
            disk_bytes: segments.iter().map(|segment| u64::from(segment.bytes)).sum(),
            oldest: self.live().index.oldest(),
            is_full: inbox.closed == Some(Closed::DiskFull),
            damaged: self.damaged.count(),
            queries: self.running.count(),
            tails: self.tails.used(),
        }
    }
}
