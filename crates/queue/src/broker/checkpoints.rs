//! When a checkpoint of the index is due, and what becomes of it.

use std::io;
use std::path::PathBuf;

use stdx::io::Io;

use super::Broker;
use crate::log::checkpoint::{Checkpoint, Written};

/// Where checkpoints stand.
pub(super) struct Checkpoints {
    folder: PathBuf,
    /// `bytes_written` of the journal when the last one was taken; less if the start had much to read.
    since: i128,
    /// Bytes of the last one.
    last_bytes: u64,
    state: State,
}

/// Far jobs that memory remembers to be so no more before a checkpoint is worth it for that alone.
const STALE_MAX: usize = 1 << 16;

enum State {
    Idle,
    /// Taken; to be written once its last record is on disk.
    Taken(Box<Checkpoint>),
    /// Somebody writes it.
    Written,
}

/// A checkpoint to be written, on any thread.
pub(crate) struct Due<D: Io> {
    io: D,
    folder: PathBuf,
    pub(crate) checkpoint: Box<Checkpoint>,
}

impl<D: Io> Due<D> {
    /// Writes it and removes those before the last one.
    ///
    /// # Errors
    /// What the disk says. The log is not touched: the queue goes on and tries again later.
    pub(crate) fn write(&self) -> io::Result<Written<D>> {
        self.checkpoint.write(&self.io, &self.folder)
    }
}

impl Checkpoints {
    /// `unread` are the bytes of log that no checkpoint knows of.
    pub(super) fn new(folder: PathBuf, unread: u64) -> Checkpoints {
        Checkpoints { folder, since: -i128::from(unread), last_bytes: 0, state: State::Idle }
    }
}

impl<D: Io> Broker<D> {
    /// Takes a checkpoint if enough was written since the last one: so much as is configured, and no less than a checkpoint
    /// itself is long, or they would be most of what is written.
    pub(super) fn take_checkpoint_if_due(&mut self) {
        let written = i128::from(self.journal.bytes_written);
        let enough = i128::from(self.config.checkpoint_log_bytes.max(self.checkpoints.last_bytes));
        // It is a shortcut: where space is short, the log needs it more.
        let has_space = !self.intake.lacks_space();
        let is_idle = matches!(self.checkpoints.state, State::Idle) && !self.far.is_sending();
        // What memory keeps of far jobs that came back or went is given up with the next one.
        let is_stale = self.far.stale() > STALE_MAX && self.far.stale() as u64 > self.engine.far_len() / 4;
        if has_space && is_idle && (written - self.checkpoints.since >= enough || is_stale) {
            let next_id = self.ids_below();
            let far_ms = self.engine.now.wall.millis().saturating_add(self.config.horizon_ms);
            let segments = self.journal.segments().iter();
            let log = (self.reader.log(), self.journal.last());
            let taken = Checkpoint::take((&mut self.engine, &mut self.far, far_ms), next_id, segments, log);
            self.checkpoints.since = written;
            self.checkpoints.state = State::Taken(Box::new(taken));
        }
    }

    /// The checkpoint that waits to be written, if what it tells of is on disk. [`Broker::checkpoint_written`] follows.
    pub(crate) fn due_checkpoint(&mut self) -> Option<Due<D>> {
        let durable = self.journal.durable();
        if self.failed.is_some() {
            return None;
        }
        match std::mem::replace(&mut self.checkpoints.state, State::Idle) {
            State::Taken(checkpoint) if checkpoint.lsn <= durable => {
                self.checkpoints.state = State::Written;
                Some(Due { io: self.io.clone(), folder: self.checkpoints.folder.clone(), checkpoint })
            }
            other => {
                self.checkpoints.state = other;
                None
            }
        }
    }

    /// What became of it. A failure is told and does no harm: the next start reads more of the log.
    pub(crate) fn checkpoint_written(&mut self, result: io::Result<Written<D>>) {
        self.checkpoints.state = State::Idle;
        match result {
            Ok(Written { bytes, far, leaving }) => {
                self.checkpoints.last_bytes = bytes;
                self.far.take_over(&mut self.engine, far, leaving);
            }
            Err(cause) => {
                self.far.keep_on(&mut self.engine);
                tracing::warn!(%cause, "a checkpoint of the queue's index could not be written");
            }
        }
    }
}
