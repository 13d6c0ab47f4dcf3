//! The thread that writes and removes, one thing after the other; it looks the folder through first.

use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use stdx::io::{Io, OpenMode};

use super::format::{self, Unread};
use super::index::Name;
use super::tier::{Tier, Write, facts};

/// The file of what is being written.
const WRITING: &str = "writing";
/// The folder's lock.
const LOCK: &str = "LOCK";
/// Files that are looked at in one turn: what is purged meanwhile goes between.
const LOOKED_AT: usize = 16;
/// How often a disk that is left alone is thought of.
const PAUSE_LOOK: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Scribe<I> {
    tier: Arc<Tier>,
    io: I,
    folder: PathBuf,
    /// Files that have not been looked at; `None`: it is not known which there are.
    unseen: Option<Vec<String>>,
}

impl<I: Io> Scribe<I> {
    pub(super) fn new(tier: Arc<Tier>, io: I, folder: PathBuf) -> Scribe<I> {
        Scribe { tier, io, folder, unseen: None }
    }

    /// Until the end.
    pub(super) fn run(mut self) {
        while self.rest() {
            self.turn();
        }
    }

    /// Waits for work; `false` at the end.
    fn rest(&self) -> bool {
        let mut inner = self.tier.lock();
        loop {
            if inner.ended {
                return false;
            }
            let unsettled = inner.purges > *self.tier.settled.borrow();
            let work = inner.early.is_some() || unsettled || inner.index.has_doomed() || !inner.writes.is_empty();
            if work && !inner.is_paused(self.tier.clock.mono()) {
                return true;
            }
            // Woken or not, it looks again.
            let waited = self.tier.work.wait_timeout(inner, PAUSE_LOOK);
            inner = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
    }

    /// One turn: what is doomed goes first, then some of the folder is looked at, or one answer is written.
    pub(super) fn turn(&mut self) {
        let (doomed, purges, scans) = {
            let mut inner = self.tier.lock();
            (inner.index.take_doomed(), inner.purges, inner.early.is_some())
        };
        if let Err(error) = self.remove(doomed) {
            return self.tier.failed("remove what it is to forget", &error);
        }
        if scans {
            return self.look_through();
        }
        if purges > *self.tier.settled.borrow() {
            // Another purge may have come since; it finds its own turn.
            match self.io.sync_dir(&self.folder) {
                Ok(()) => drop(self.tier.settled.send_replace(purges)),
                Err(error) => return self.tier.failed("make a purge last", &error),
            }
        }
        let write = self.tier.lock().writes.pop_front();
        if let Some(write) = write {
            self.write(&write);
        }
    }

    /// Removes files; those that are left after a failure stay doomed.
    fn remove(&self, doomed: Vec<Name>) -> io::Result<()> {
        let mut left = doomed.into_iter();
        while let Some(name) = left.next() {
            if let Err(error) = self.unlink(&name.to_string()) {
                let mut inner = self.tier.lock();
                std::iter::once(name).chain(left).for_each(|name| inner.index.doom(name));
                return Err(error);
            }
        }
        Ok(())
    }

    fn unlink(&self, name: &str) -> io::Result<()> {
        match self.io.unlink(&self.folder.join(name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn look_through(&mut self) {
        if self.unseen.is_none() {
            match self.io.list(&self.folder) {
                Ok(names) => self.unseen = Some(names),
                Err(error) => return self.tier.failed("be looked through", &error),
            }
        }
        let unseen = self.unseen.get_or_insert_default();
        let some = unseen.split_off(unseen.len().saturating_sub(LOOKED_AT));
        let last = unseen.is_empty();
        for name in some.iter().filter(|name| *name != LOCK) {
            if let Err(error) = self.look_at(name) {
                // It is looked through anew when it is thought of again.
                self.unseen = None;
                return self.tier.failed("be looked through", &error);
            }
        }
        if last {
            let mut inner = self.tier.lock();
            inner.early = None;
            let (entries, bytes) = (inner.index.len(), inner.index.bytes());
            drop(inner);
            tracing::info!(entries, bytes, "the cache has looked through its disk");
        }
    }

    /// Takes in a file, or removes it: it is torn, of another version, no longer of use, or none of ours.
    fn look_at(&self, name: &str) -> io::Result<()> {
        let head = match Name::parse(name) {
            None => return self.unlink(name),
            Some(name) => format::read_head(&self.io, &self.folder.join(name.to_string())).map(|head| (name, head)),
        };
        let (name, head) = match head {
            Ok(found) => found,
            Err(Unread::Foreign) => return self.unlink(name),
            Err(Unread::Io(error)) => {
                // One bad place is no reason to do without the rest: a disk that fails does not remove anything either.
                self.tier.figures.errors.fetch_add(1, Relaxed);
                tracing::debug!(%error, name, "a file on the disk of the cache cannot be read; it is removed");
                return self.unlink(name);
            }
        };
        let (now, key) = (self.tier.now(), head.key);
        let stored = head.stored.no_younger_than(head.written, now);
        let facts = facts(&stored, name, head.file_bytes, head.written, true);
        let fits = format::name_of(&key, &stored) == name
            && stored.usable_left_s(now) > 0
            && stored.body_bytes() <= self.tier.body_bytes_max;
        let mut inner = self.tier.lock();
        if inner.index.has(&key, name) {
            return Ok(());
        }
        let purged = inner.early.as_ref().is_some_and(|early| early.means(&key, &facts.tags));
        if !fits || purged || inner.index.add(&key, facts).is_none() {
            inner.index.doom(name);
        }
        Ok(())
    }

    fn write(&self, write: &Write) {
        if !self.tier.holds(&write.key, write.seq) {
            return;
        }
        match self.put(write) {
            // Forgotten meanwhile, it is doomed already.
            Ok(()) => self.tier.lock().index.is_there(&write.key, write.seq),
            Err(error) => {
                self.tier.lock().index.forget(&write.key, write.seq);
                self.tier.failed("be written to", &error);
                if let Err(error) = self.unlink(WRITING) {
                    tracing::debug!(%error, "a piece of an answer stays on the disk of the cache for now");
                }
            }
        }
    }

    fn put(&self, write: &Write) -> io::Result<()> {
        let writing = self.folder.join(WRITING);
        self.unlink(WRITING)?;
        let file = self.io.open(&writing, OpenMode::CreateNew)?;
        let front = format::front(&write.head, &write.chunks, write.written);
        self.io.write_all_at(&file, &front, 0)?;
        let mut at = front.len() as u64;
        for chunk in &*write.chunks {
            self.io.write_all_at(&file, chunk, at)?;
            at += chunk.len() as u64;
        }
        self.io.rename(&writing, &self.folder.join(write.name.to_string()))
    }
}
