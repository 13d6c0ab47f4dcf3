//! Answers on their way out: written when the command is carried out, sent when what they depend on is on disk.

use stdx::io::Io;
use wal::Lsn;

use super::Broker;
use crate::engine::ClientId;
use crate::proto::reply::Reply;

impl<D: Io> Broker<D> {
    /// Writes an answer that may leave once `lsn` is durable.
    pub(super) fn answer(&mut self, id: ClientId, reply: Reply<'_>, lsn: Lsn) {
        let durable = self.journal.durable();
        let conn = &mut self.conns[id.0 as usize];
        let before = conn.outbox.len();
        let waits = conn.outbox.push(&reply, lsn, durable);
        self.output_bytes += conn.outbox.len() - before;
        if waits {
            self.journal.want(lsn);
            self.pulse.waits(self.engine.now.mono);
            if !std::mem::replace(&mut conn.is_awaiting, true) {
                self.awaiting.push(id);
            }
        } else if !std::mem::replace(&mut conn.is_dirty, true) {
            self.dirty.push(id);
        }
    }

    /// Connections that may send output now; each is named once.
    pub(crate) fn take_dirty(&mut self) -> Vec<ClientId> {
        let dirty = std::mem::take(&mut self.dirty);
        for &id in &dirty {
            self.conns[id.0 as usize].is_dirty = false;
        }
        dirty
    }

    /// Gives back the list for reuse.
    pub(crate) fn recycle_dirty(&mut self, mut list: Vec<ClientId>) {
        if self.dirty.is_empty() {
            list.clear();
            self.dirty = list;
        }
    }

    /// What the connection may be sent now.
    pub(crate) fn output(&self, id: ClientId) -> &[u8] {
        self.conns[id.0 as usize].outbox.ready()
    }

    /// So many bytes of the output were sent.
    pub(crate) fn sent(&mut self, id: ClientId, bytes: usize) {
        self.conns[id.0 as usize].outbox.sent(bytes);
        self.output_bytes -= bytes;
    }

    /// Bytes of answers that the connection has not taken yet, durable or not.
    pub(crate) fn output_len(&self, id: ClientId) -> usize {
        self.conns[id.0 as usize].outbox.len()
    }
}
