//! The writer's thread: the inbox in, batches to the committer, and what a full or broken disk means.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use control::plane::PlaneState;
use stdx::clock::Mono;
use stdx::io::Io;
use stdx::lock::FolderLock;
use wal::{Batch, CommitError, CommitThread, Committed, Lsn, SubmitError};

use crate::checkpoint;
use crate::error::NotDurable;
use crate::inbox::{Closed, Work};
use crate::pace::Due;
use crate::shared::Shared;
use crate::store::Store;

/// How often a full disk is looked at again, and the least time between two reports of drops.
const SECOND: Duration = Duration::from_secs(1);

pub(crate) struct Writer<D: Io> {
    pub(crate) shared: Arc<Shared>,
    pub(crate) store: Store,
    pub(crate) committer: CommitThread,
    pub(crate) disk: D,
    pub(crate) folder: PathBuf,
    pub(crate) disk_state: DiskState,
    pub(crate) drops_said: Option<Mono>,
    /// Held until the last byte is written.
    pub(crate) _lock: Option<FolderLock>,
}

/// What the committer is at.
pub(crate) enum DiskState {
    Idle,
    /// A batch is under way.
    Busy,
    /// The disk is full; to be tried again at that time, with the batch that it refused, if it was one.
    Full {
        retry: Mono,
        batch: Option<Batch>,
    },
}

/// Why the loop ends.
enum End {
    /// It was asked to, and all is on disk.
    Stopped,
    /// It was asked to, and the disk is full.
    StoppedFull,
    Failed(String),
}

/// Runs the plane's writer until it is stopped or has failed. A panic is a failure.
pub(crate) fn run<D: Io>(mut writer: Writer<D>) {
    let shared = Arc::clone(&writer.shared);
    let end = catch_unwind(AssertUnwindSafe(|| writer.turns()))
        .unwrap_or_else(|panic| End::Failed(format!("its writer panicked: {}", panic_text(&*panic))));
    match end {
        End::Stopped => shared.inbox.set_closed(Some(Closed::Stopped)),
        End::StoppedFull => {
            let bytes = shared.inbox.stats().pending;
            if bytes > 0 {
                tracing::error!(target: "logs", bytes, "stopped with a full disk: what waited for it is lost");
            }
        }
        End::Failed(reason) => {
            shared.inbox.set_closed(Some(Closed::Failed));
            shared.status.fail(reason);
        }
    }
    writer.store.disappoint(NotDurable::Failed);
    // Those that came between the last turn and the closing of the door.
    drop(shared.inbox.wait(Some(Duration::ZERO)));
    shared.live().end_tails();
    drop(writer);
    shared.status.set(PlaneState::Stopped);
    shared.ended.send_replace(true);
}

impl<D: Io> Writer<D> {
    fn turns(&mut self) -> End {
        loop {
            let limit = self.sleep_limit(self.shared.clock.mono());
            let work = self.shared.inbox.wait(limit);
            if let Some(end) = self.turn(work, self.shared.clock.mono()) {
                return end;
            }
        }
    }

    /// One turn, in the order in which things may depend on each other: results of the disk, new records, the next batch.
    fn turn(&mut self, work: Work, now: Mono) -> Option<End> {
        for result in work.commits {
            if let Err(reason) = self.settle(result, now) {
                return Some(End::Failed(reason));
            }
        }
        let mut stored = self.store.take(work.incoming, now);
        if self.may_say_drops(now, work.stopping) {
            self.drops_said = Some(now);
            stored = stored.and_then(|()| self.store.say_drops(now, self.shared.clock.wall()));
        }
        if let Err(cause) = stored {
            return Some(End::Failed(cause.to_string()));
        }
        match self.commit(now, work.stopping) {
            Ok(()) if !work.stopping => None,
            Ok(()) => self.end_of_stopping(),
            Err(reason) => Some(End::Failed(reason)),
        }
    }

    fn settle(&mut self, result: Result<Committed, CommitError>, now: Mono) -> Result<(), String> {
        match result {
            Ok(done) => {
                self.disk_state = DiskState::Idle;
                let durable = done.durable;
                self.store.committed(done);
                self.store.retire();
                self.checkpoint(durable, false);
                Ok(())
            }
            Err(CommitError::DiskFull { batch, cause }) => {
                tracing::error!(target: "logs", %cause, "the disk is full: log records are refused until there is space");
                self.disk_state = DiskState::Full { retry: now + SECOND, batch: Some(batch) };
                self.close_full("its disk is full");
                Ok(())
            }
            Err(CommitError::Poisoned(cause)) => Err(cause.to_string()),
        }
    }

    /// Writes a checkpoint if one is due. A failure does no harm: the next start reads more of the log.
    fn checkpoint(&mut self, durable: Lsn, is_end: bool) {
        if let Some(bytes) = self.store.checkpoint(durable, is_end)
            && let Err(cause) = checkpoint::write(&self.disk, &self.folder, &bytes)
        {
            tracing::warn!(target: "logs", %cause, "a checkpoint could not be written");
        }
    }

    /// Submits the next batch when it is due, the committer is idle, and there is space.
    fn commit(&mut self, now: Mono, stopping: bool) -> Result<(), String> {
        let held = match &mut self.disk_state {
            DiskState::Busy => return Ok(()),
            DiskState::Full { retry, .. } if *retry > now => {
                self.store.disappoint(NotDurable::DiskFull);
                return Ok(());
            }
            DiskState::Full { batch, .. } => batch.take(),
            DiskState::Idle => None,
        };
        let was_full = matches!(self.disk_state, DiskState::Full { .. });
        if !was_full && !stopping && self.store.due(now) != Due::Now {
            return Ok(());
        }
        if !self.has_space()? {
            if !was_full {
                tracing::error!(target: "logs", "less than logs.disk_reserve_bytes is free: log records are refused");
            }
            self.disk_state = DiskState::Full { retry: now + SECOND, batch: held };
            self.close_full("less than logs.disk_reserve_bytes is free");
            self.store.disappoint(NotDurable::DiskFull);
            return Ok(());
        }
        let batch = held.or_else(|| self.store.batch(now));
        self.disk_state = DiskState::Idle;
        if was_full {
            tracing::info!(target: "logs", "there is space again: log records are taken");
            self.shared.inbox.set_closed(None);
            self.shared.status.has_room();
        }
        match batch.map(|batch| self.committer.submit(batch)) {
            None => Ok(()),
            Some(Ok(())) => {
                self.disk_state = DiskState::Busy;
                Ok(())
            }
            Some(Err(e @ (SubmitError::Busy(_) | SubmitError::Stopped(_)))) => Err(e.to_string()),
        }
    }

    fn close_full(&self, what: &str) {
        self.shared.inbox.set_closed(Some(Closed::DiskFull));
        self.shared.status.fill(format!("{what}: records are dropped and counted until there is space"));
    }

    fn has_space(&self) -> Result<bool, String> {
        let reserve = self.shared.config().disk_reserve_bytes;
        let free = self.disk.free_bytes(&self.folder);
        free.map(|free| free >= reserve).map_err(|e| format!("cannot measure {}: {e}", self.folder.display()))
    }

    /// While the disk is full nothing more is said: it could not be stored.
    fn may_say_drops(&self, now: Mono, stopping: bool) -> bool {
        let is_time = self.drops_said.is_none_or(|said| now.since(said) >= SECOND);
        !matches!(self.disk_state, DiskState::Full { .. }) && (is_time || stopping) && self.shared.inbox.has_drops()
    }

    fn end_of_stopping(&mut self) -> Option<End> {
        match self.disk_state {
            DiskState::Busy => None,
            DiskState::Idle => {
                self.checkpoint(Lsn(u64::MAX), true);
                Some(End::Stopped)
            }
            DiskState::Full { .. } => Some(End::StoppedFull),
        }
    }

    /// How long there is nothing to do unless something comes.
    fn sleep_limit(&self, now: Mono) -> Option<Duration> {
        let commit = match &self.disk_state {
            DiskState::Busy => None,
            DiskState::Full { retry, .. } => Some(retry.since(now)),
            DiskState::Idle => match self.store.due(now) {
                Due::Now => Some(Duration::ZERO),
                Due::At(at) => Some(at.since(now)),
                Due::Never => None,
            },
        };
        let said = self.drops_said.filter(|_| self.shared.inbox.has_drops());
        let report = said.map(|said| (said + SECOND).since(now));
        commit.into_iter().chain(report).min()
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
