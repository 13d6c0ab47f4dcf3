//! The cache's second place: what memory has no room for and what is still of use goes to a folder, and comes back when it is
//! asked for.
//!
//! `index` knows what is there, `tier` is what requests and threads share, `scribe` is the one thread that writes and
//! removes, `format` is a file; a few threads read. Requests never ask the disk: who misses in memory what the index knows
//! waits a moment for a reader, puts what it read into memory as if it had been fetched, with its own times, and looks
//! again. So all else (variants, ranges, conditions, staleness, shared fetches) is the memory's.
//!
//! A file is a copy of what memory last had: whatever memory learns anew of a variant removes the file of it. What is found
//! on disk is believed only whole, with all sums right. Content is not synced; a torn file is no file. The bytes of all
//! files, in whole blocks, never exceed their limit: the oldest go before a new one is written. A disk that is full or
//! fails is left alone for a minute.
//!
//! What is purged by hand is not found from the moment of the purge on, and is not there after a crash or a power cut once
//! the purge is acknowledged: the files' names are removed and the folder is synced before. A soft purge removes it here,
//! too. What requests invalidate is not found from that moment on; its file is removed at the next turn of the scribe, so that
//! a process killed before that, or a power cut while the name still waits for the file system, can bring it back.
//!
//! One process has the folder. Another one, in the time of an upgrade, does without until the first lets go of it.

mod format;
mod index;
mod promote;
mod scribe;
#[cfg(test)]
mod tests;
mod tier;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use stdx::clock::SharedClock;
use stdx::io::{Disk, Io};
use stdx::lock::{FolderLock, LockError};

use self::format::Unread;
pub(super) use self::promote::may_help;
use self::scribe::Scribe;
pub(super) use self::tier::{Means, Tier};
use crate::config::Config;

/// Threads that read. A disk that hangs keeps no more of them.
const READERS: usize = 4;
/// How often a folder that another process has is tried.
const LOCK_LOOK: Duration = Duration::from_secs(2);

/// The tier with its threads; they end when it is dropped.
#[derive(Debug)]
pub(super) struct OnDisk(pub(super) Arc<Tier>);

/// What it has and has done.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DiskFigures {
    pub(crate) bytes: u64,
    pub(crate) entries: usize,
    pub(crate) hits: u64,
    pub(crate) refused: u64,
    pub(crate) errors: u64,
    pub(crate) slow: u64,
}

impl OnDisk {
    /// Starts the threads; what is in `data`'s folder `cache` is looked through by and by.
    pub(super) fn start(config: &Config, data: &Path, clock: &SharedClock) -> io::Result<OnDisk> {
        let tier = Arc::new(Tier::new(config, Arc::clone(clock)));
        let on_disk = OnDisk(Arc::clone(&tier));
        let folder = data.join("cache");
        for number in 0..READERS {
            let (tier, folder) = (Arc::clone(&tier), folder.clone());
            let thread = std::thread::Builder::new().name(format!("cache-read-{number}"));
            drop(thread.spawn(move || read(&tier, &Disk, &folder))?);
        }
        drop(std::thread::Builder::new().name("cache-write".into()).spawn(move || write(tier, folder))?);
        Ok(on_disk)
    }

    pub(super) fn figures(&self) -> DiskFigures {
        let tier = &self.0;
        let inner = tier.lock();
        DiskFigures {
            bytes: inner.index.bytes(),
            entries: inner.index.len(),
            hits: tier.figures.hits.load(Relaxed),
            refused: tier.figures.refused.load(Relaxed),
            errors: tier.figures.errors.load(Relaxed),
            slow: tier.figures.slow.load(Relaxed),
        }
    }
}

impl Drop for OnDisk {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.work.notify_all();
        self.0.reading.notify_all();
    }
}

/// The life of the thread that writes: it waits for the folder.
fn write(tier: Arc<Tier>, folder: PathBuf) {
    let mut said = false;
    let lock = loop {
        match FolderLock::take(&folder, "cache") {
            Ok(lock) => break lock,
            Err(LockError::Held { holder, .. }) if !said => {
                tracing::info!(folder = %folder.display(), holder, "the cache does without its disk for now");
                said = true;
            }
            Err(LockError::Held { .. }) => {}
            Err(LockError::Io { source, .. }) if !said => {
                tier.failed("be opened", &source);
                said = true;
            }
            Err(LockError::Io { .. }) => {}
        }
        let inner = tier.lock();
        let waited = tier.work.wait_timeout_while(inner, LOCK_LOOK, |inner| !inner.ended);
        if waited.unwrap_or_else(PoisonError::into_inner).0.ended {
            return;
        }
    };
    Scribe::new(tier, Disk, folder).run();
    drop(lock);
}

/// The life of a thread that reads.
fn read<I: Io>(tier: &Tier, io: &I, folder: &Path) {
    loop {
        let inner = tier.lock();
        let waited = tier.reading.wait_while(inner, |inner| !inner.ended && inner.reads.is_empty());
        let mut inner = waited.unwrap_or_else(PoisonError::into_inner);
        if inner.ended {
            return;
        }
        let Some(read) = inner.reads.pop_front() else { continue };
        drop(inner);
        let found = read.found;
        let loaded = format::read(io, &folder.join(found.name.to_string()), &read.key, tier.body_bytes_max);
        let loaded = match loaded {
            Ok(loaded) => Some(loaded),
            Err(why) => {
                tier.figures.errors.fetch_add(1, Relaxed);
                tier.lock().index.forget(&read.key, found.seq);
                tier.work.notify_one();
                if let Unread::Io(error) = why {
                    tier.failed("be read", &error);
                }
                None
            }
        };
        tier.lock().over(found.seq);
        read.done(loaded);
    }
}
