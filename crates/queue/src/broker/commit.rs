//! What is on its way to the disk, what has arrived, and what happens when it never will.

use std::sync::Arc;

use stdx::io::Io;
use wal::{Batch, Committed, Lsn, Reserve};

use super::Broker;
use crate::engine::ClientId;
use crate::proto::reply::Reply;

/// Records that nobody waits for are committed when there are so many bytes of them, or when somebody calls for it.
const LAZY_BYTES_MAX: usize = 256 << 10;

impl<D: Io> Broker<D> {
    /// The next batch for the committer, if somebody waits for one.
    pub(crate) fn next_batch(&mut self) -> Option<Batch> {
        if !self.has_batch() {
            return None;
        }
        self.journal.take_batch()
    }

    /// The next batch, whether somebody waits for it or not.
    pub(crate) fn next_batch_now(&mut self) -> Option<Batch> {
        if self.failed.is_some() { None } else { self.journal.take_batch() }
    }

    /// Whether somebody waits for a batch that is not yet on its way.
    pub(crate) fn has_batch(&self) -> bool {
        self.failed.is_none() && (self.journal.is_wanted() || self.journal.pending_bytes() >= LAZY_BYTES_MAX)
    }

    /// Whether everything that was appended is on its way to the disk, or never will be.
    pub(crate) fn is_drained(&self) -> bool {
        self.failed.is_some() || self.journal.pending_bytes() == 0
    }

    /// So much is appended already that connections should not be read until the next batch is on disk.
    pub(crate) fn is_behind(&self) -> bool {
        self.journal.pending_bytes() > self.behind_bytes
    }

    /// A batch is on disk: answers and events that waited for it may leave, and what has to be done now and then is done.
    pub(crate) fn committed(&mut self, committed: Committed) {
        self.written(committed);
        self.compact();
        self.take_checkpoint_if_due();
    }

    /// A batch is on disk.
    pub(crate) fn written(&mut self, committed: Committed) {
        self.intake.disk_full = false;
        self.intake.reserve_spent = committed.reserve == Reserve::Spent;
        self.journal.committed(committed.durable, committed.buffer);
        let durable = self.journal.durable();
        self.release(durable);
        self.bodies.trim(durable);
    }

    /// How many connections were answered since the last call.
    pub(crate) fn take_answered(&mut self) -> u64 {
        std::mem::take(&mut self.answered)
    }

    fn release(&mut self, durable: Lsn) {
        let mut awaiting = std::mem::take(&mut self.awaiting);
        let mut answered = 0;
        awaiting.retain(|&id| {
            let conn = &mut self.conns[id.0 as usize];
            let released = conn.outbox.release(durable);
            answered += u64::from(released.some);
            if released.some && !std::mem::replace(&mut conn.is_dirty, true) {
                self.dirty.push(id);
            }
            conn.is_awaiting = released.more;
            released.more
        });
        self.awaiting = awaiting;
        self.answered += answered;
        self.events.release(durable);
    }

    /// The log is at its end: nothing is acknowledged any more, and every command is answered INTERNAL_ERROR.
    pub(crate) fn fail(&mut self, reason: &str) {
        if self.failed.is_some() {
            return;
        }
        self.failed = Some(Arc::from(reason));
        self.events.fail();
        for ix in 0..self.conns.len() {
            if !self.conns[ix].is_open {
                continue;
            }
            let id = ClientId(ix as u32);
            let conn = &mut self.conns[ix];
            self.output_bytes -= conn.outbox.len();
            conn.outbox.fail();
            self.output_bytes += conn.outbox.len();
            conn.is_awaiting = false;
            if !std::mem::replace(&mut conn.is_dirty, true) {
                self.dirty.push(id);
            }
            let waited_for_room = self.unpark(id);
            if self.engine.stop_waiting(id) || waited_for_room {
                self.answer(id, Reply::InternalError, Lsn(0));
                self.resumed.push(id);
            }
        }
        self.awaiting.clear();
    }
}
