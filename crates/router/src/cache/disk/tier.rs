//! What requests and the threads of the disk share, behind a lock that is never held while a disk is asked.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_cache::{Evicted, Key, Outline, Stored, UnixMs, tags};
use stdx::clock::{Mono, SharedClock};
use tokio::sync::watch;

use super::format::{self, Loaded};
use super::index::{Facts, Found, Index, Name};
use crate::config::Config;

/// How long a disk that has failed, or is full, is left alone.
const PAUSE: Duration = Duration::from_secs(60);
/// How long nothing is read after a read that took too long: one request waits, not all of them.
const SLOW_REST: Duration = Duration::from_secs(1);
/// Reads that wait for a thread; beyond it the application is asked.
const READS_MAX: usize = 64;
/// Resources, and purges, that are remembered until the folder has been looked through; beyond it all that is not looked
/// through is removed.
const EARLY_MAX: usize = 10_000;

/// Which are meant, by key and surrogate keys.
pub(in crate::cache) type Means = Arc<dyn Fn(&str, &[Box<str>]) -> bool + Send + Sync>;

/// What became of a read: `None` until it is known.
pub(super) type Told = Option<Option<Arc<Held>>>;

/// An answer that was read, and its part of what may be on the way.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) loaded: Loaded,
    _moving: Moving,
}

#[derive(Debug)]
pub(super) struct Write {
    pub(super) key: Key,
    pub(super) seq: u64,
    pub(super) name: Name,
    pub(super) head: Vec<u8>,
    pub(super) chunks: Arc<[Bytes]>,
    pub(super) written: UnixMs,
    _moving: Moving,
}

#[derive(Debug)]
pub(super) struct Read {
    pub(super) key: Key,
    pub(super) found: Found,
    pub(super) tell: watch::Sender<Told>,
    moving: Moving,
}

impl Read {
    /// Tells whoever waits.
    pub(super) fn done(self, loaded: Option<Loaded>) {
        let Read { tell, moving, .. } = self;
        tell.send_replace(Some(loaded.map(|loaded| Arc::new(Held { loaded, _moving: moving }))));
    }
}

/// Counted since the start.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) hits: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) errors: AtomicU64,
    pub(super) slow: AtomicU64,
}

/// Bytes on their way to the disk or back.
#[derive(Debug)]
struct Moving {
    all: Arc<AtomicU64>,
    bytes: u64,
}

impl Drop for Moving {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Relaxed);
    }
}

pub(in crate::cache) struct Tier {
    inner: Mutex<Inner>,
    pub(super) work: Condvar,
    pub(super) reading: Condvar,
    /// The newest purge that is on disk.
    pub(super) settled: watch::Sender<u64>,
    pub(super) figures: Figures,
    moving: Arc<AtomicU64>,
    moving_bytes_max: u64,
    pub(super) body_bytes_max: u64,
    pub(super) clock: SharedClock,
}

pub(super) struct Inner {
    pub(super) index: Index,
    pub(super) writes: VecDeque<Write>,
    pub(super) reads: VecDeque<Read>,
    under_way: HashMap<u64, watch::Receiver<Told>>,
    /// What was purged before the folder has been looked through; `None` once it has.
    pub(super) early: Option<Early>,
    paused_until: Option<Mono>,
    slow_until: Option<Mono>,
    /// Purges that are to be on disk.
    pub(super) purges: u64,
    pub(super) ended: bool,
}

/// What must not be taken in when it is found on disk.
#[derive(Default)]
pub(super) struct Early {
    keys: HashSet<Key>,
    purges: Vec<Means>,
    all: bool,
}

impl Early {
    fn key(&mut self, key: &Key) {
        self.all |= self.keys.len() >= EARLY_MAX;
        if !self.all {
            self.keys.insert(key.clone());
        }
    }

    pub(super) fn means(&self, key: &str, tags: &[Box<str>]) -> bool {
        self.all || self.keys.contains(key) || self.purges.iter().any(|means| means(key, tags))
    }
}

impl std::fmt::Debug for Tier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tier").finish_non_exhaustive()
    }
}

impl Tier {
    pub(super) fn new(config: &Config, clock: SharedClock) -> Tier {
        let index = Index::new(config.cache_disk_bytes_max, config.cache_disk_index_bytes_max);
        Tier {
            inner: Mutex::new(Inner {
                index,
                writes: VecDeque::new(),
                reads: VecDeque::new(),
                under_way: HashMap::new(),
                early: Some(Early::default()),
                paused_until: None,
                slow_until: None,
                purges: 0,
                ended: false,
            }),
            work: Condvar::new(),
            reading: Condvar::new(),
            settled: watch::Sender::new(0),
            figures: Figures::default(),
            moving: Arc::default(),
            moving_bytes_max: config.cache_disk_moving_bytes_max,
            body_bytes_max: config.cache_object_bytes_max,
            clock,
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> UnixMs {
        UnixMs(self.clock.wall().millis())
    }

    fn take_moving(&self, bytes: u64) -> Option<Moving> {
        let more = |all: u64| all.checked_add(bytes).filter(|all| *all <= self.moving_bytes_max);
        self.moving.fetch_update(Relaxed, Relaxed, more).ok()?;
        Some(Moving { all: Arc::clone(&self.moving), bytes })
    }

    /// Takes what had to leave memory, if there is room on the way. The cache's lock is held: nobody finds it neither in
    /// memory nor here, and no purge misses it.
    pub(in crate::cache) fn offer(&self, evicted: Evicted<Arc<[Bytes]>>) {
        let Evicted { key, stored, body } = evicted;
        let name = format::name_of(&key, &stored);
        let now = self.now();
        let mut inner = self.lock();
        // What is there is the same: it is forgotten as soon as memory has anything newer.
        if stored.usable_left_s(now) <= 0 || inner.index.has(&key, name) {
            return;
        }
        let ready = inner.early.is_none() && !inner.is_paused(self.clock.mono());
        let head = format::head_of(&key, &stored);
        let file_bytes = format::file_bytes(&head, stored.body_bytes());
        let moving = self.take_moving(file_bytes).filter(|_| ready);
        let facts = facts(&stored, name, file_bytes, now, false);
        let taken = moving.and_then(|moving| Some((inner.index.add(&key, facts)?, moving)));
        let Some((seq, moving)) = taken else {
            self.figures.refused.fetch_add(1, Relaxed);
            return;
        };
        inner.writes.push_back(Write { key, seq, name, head, chunks: body, written: now, _moving: moving });
        self.work.notify_one();
    }

    /// Memory has something newer for what selects as `stored` does.
    pub(in crate::cache) fn outdated(&self, key: &Key, stored: &Stored) {
        let mut inner = self.lock();
        if let Some(early) = &mut inner.early {
            early.key(key);
        }
        if inner.index.knows(key) {
            inner.index.forget_variant(key, format::name_of(key, stored));
            self.work.notify_one();
        }
    }

    /// A resource has changed.
    pub(in crate::cache) fn forget(&self, key: &Key) {
        let mut inner = self.lock();
        if let Some(early) = &mut inner.early {
            early.key(key);
        }
        inner.index.forget_key(key);
        self.work.notify_one();
    }

    /// Purges; how many of those that `counts`. It is on disk once [`Tier::settled`] has come to what this has begun.
    pub(in crate::cache) fn purge(&self, means: &Means, counts: impl Fn(&str, &Outline) -> bool) -> usize {
        let mut inner = self.lock();
        if let Some(early) = &mut inner.early {
            early.all |= early.purges.len() >= EARLY_MAX;
            early.purges.push(Arc::clone(means));
        }
        inner.purges += 1;
        let purged = inner.index.purge(&**means, counts);
        self.work.notify_one();
        purged
    }

    /// Waits until all purges so far are on disk, at most `limit`; whether they are.
    pub(in crate::cache) async fn settled(&self, limit: Duration) -> bool {
        let (mut settled, purges) = (self.settled.subscribe(), self.lock().purges);
        let settled = settled.wait_for(|settled| *settled >= purges);
        matches!(tokio::time::timeout(limit, settled).await, Ok(Ok(_)))
    }

    /// Asks for a file that pleases, once however many ask.
    pub(super) fn ask(&self, key: &Key, which: impl Fn(&Outline) -> bool) -> Option<(u64, watch::Receiver<Told>)> {
        let mut inner = self.lock();
        let found = inner.index.find(key, which)?;
        let now = self.clock.mono();
        if inner.is_paused(now) || inner.slow_until.is_some_and(|until| now < until) {
            return None;
        }
        if let Some(told) = inner.under_way.get(&found.seq) {
            return Some((found.seq, told.clone()));
        }
        if inner.reads.len() >= READS_MAX {
            return None;
        }
        let moving = self.take_moving(found.file_bytes)?;
        let (tell, told) = watch::channel(None);
        inner.under_way.insert(found.seq, told.clone());
        inner.reads.push_back(Read { key: key.clone(), found, tell, moving });
        self.reading.notify_one();
        Some((found.seq, told))
    }

    /// Whether a file that was read is still the newest of its answer.
    pub(super) fn holds(&self, key: &str, seq: u64) -> bool {
        self.lock().index.holds(key, seq)
    }

    /// A read took too long.
    pub(super) fn slow(&self) {
        self.figures.slow.fetch_add(1, Relaxed);
        self.lock().slow_until = Some(self.clock.mono() + SLOW_REST);
    }

    /// The disk has failed.
    pub(super) fn failed(&self, what: &str, error: &std::io::Error) {
        self.figures.errors.fetch_add(1, Relaxed);
        let mut inner = self.lock();
        inner.paused_until = Some(self.clock.mono() + PAUSE);
        for write in std::mem::take(&mut inner.writes) {
            inner.index.forget(&write.key, write.seq);
        }
        drop(inner);
        tracing::warn!(%error, pause_s = PAUSE.as_secs(), "the disk of the cache cannot {what}; it is left alone");
    }
}

impl Inner {
    pub(super) fn is_paused(&self, now: Mono) -> bool {
        self.paused_until.is_some_and(|until| now < until)
    }

    /// A read has come to its end.
    pub(super) fn over(&mut self, seq: u64) {
        self.under_way.remove(&seq);
    }
}

/// What is known of a file of `stored`.
pub(super) fn facts(stored: &Stored, name: Name, file_bytes: u64, written: UnixMs, is_there: bool) -> Facts {
    let tags = tags(stored.headers());
    Facts { name, outline: stored.outline(), tags, file_bytes, written, is_there }
}
