//! One number for all memory that grows with what clients do: `queue.memory_bytes_max`. Beyond it puts are refused, and far
//! jobs stay where they are while their tubes have others to hand out.
//!
//! What is counted is asked of whoever has it, at each put; nobody goes through anything for it. Sessions with TLS and the
//! HTTP door have budgets of their own.

use stdx::io::Io;

use super::Broker;
use crate::names::TubeName;

/// What a connection has beside its answers and its body: its place in several tables, its line, its socket.
const CONNECTION_BYTES: u64 = 4 << 10;

/// What a tube has beside its jobs: itself, its name twice, its places in two tables.
const TUBE_BYTES: u64 = 768 + TubeName::BYTES_MAX as u64;

/// What one job may make a table grow by.
pub(super) const STEP_BYTES: u64 = 32 << 10;

impl<D: Io> Broker<D> {
    /// What is in memory, in bytes and rather too much than too little.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let engine = &self.engine;
        let jobs = engine.index_bytes() + engine.beside_bytes() + self.far.bytes();
        let bodies = self.bodies.bytes() + (self.parked.bytes() + self.input_bytes) as u64;
        let answers = (self.output_bytes + self.journal.pending_bytes()) as u64;
        let tables = engine.clients_len() * CONNECTION_BYTES + engine.tubes_len() as u64 * TUBE_BYTES;
        jobs + bodies + answers + tables
    }

    /// Whether `bytes` more are too many.
    pub(super) fn lacks_memory_for(&self, bytes: u64) -> bool {
        self.memory_bytes() + bytes > self.config.memory_bytes_max
    }

    /// So many bytes of bodies are set aside for connections that are sending them.
    pub(crate) fn set_input_bytes(&mut self, bytes: usize) {
        self.input_bytes = bytes;
    }
}
