//! Far jobs come back into memory before anybody looks at them ([`crate::log::checkpoint::Far`]).

use std::collections::VecDeque;

use stdx::io::Io;

use super::Broker;
use crate::engine::{ClientId, TubeIx};
use crate::log::checkpoint::Unusable;
use crate::names::JobId;
use crate::proto::command::Command;

/// Buckets that come back, and jobs that leave, before somebody else has a turn.
const BUCKETS_AT_ONCE: usize = 8;
const JOBS_AT_ONCE: usize = 1024;

/// When it is looked again whether there is memory for a bucket.
const LATER_MS: u64 = 1_000;

/// Tubes whose next bucket is near, in the order in which it was noticed.
pub(super) type Near = VecDeque<TubeIx>;

impl<D: Io> Broker<D> {
    /// Has in memory what a command is about.
    pub(super) fn bring_for(&mut self, client: ClientId, command: &Command<'_>) {
        if self.engine.far_len() == 0 {
            return;
        }
        match *command {
            Command::ReserveJob { id }
            | Command::Delete { id }
            | Command::KickJob { id }
            | Command::Peek { id }
            | Command::StatsJob { id }
            | Command::JobTrace { id } => self.bring(id),
            Command::PeekDelayed => self.bring_first(self.engine.client(client).used, 1),
            // The others are about jobs that somebody holds or may hold, and those are in memory.
            _ => {}
        }
    }

    /// Has a job in memory, if there is one with this id.
    pub(super) fn bring(&mut self, id: JobId) {
        let brought = self.far.bring(&mut self.engine, id);
        self.must_have(brought.map(|_| ()));
    }

    /// Has the first `n` delayed jobs of a tube in memory.
    pub(super) fn bring_first(&mut self, tube: TubeIx, n: usize) {
        let brought = self.far.bring_first(&mut self.engine, tube, n);
        self.must_have(brought);
    }

    /// Has the jobs in memory whose body is in the segment.
    pub(super) fn bring_jobs_in(&mut self, segment: u64) {
        let brought = self.far.bring_those(&mut self.engine, |job| job.at.segment == segment);
        self.must_have(brought);
    }

    /// Has all jobs in memory.
    #[cfg(test)]
    pub(crate) fn bring_all(&mut self) {
        let brought = self.far.bring_all(&mut self.engine);
        self.must_have(brought);
    }

    /// Has some of the buckets in memory that are near; says whether there are more.
    pub(super) fn bring_near(&mut self) -> bool {
        for _ in 0..BUCKETS_AT_ONCE {
            let Some(tube) = self.near.pop_front() else { return false };
            if self.lacks_memory_for(0) && self.engine.has_ready(tube) {
                // It has others to hand out; they make room.
                let later = self.engine.now.wall.millis() + LATER_MS;
                self.engine.set_far_alarm(tube, Some(later));
                continue;
            }
            let brought = self.far.bring_bucket(&mut self.engine, tube);
            self.must_have(brought);
        }
        !self.near.is_empty()
    }

    /// Lets some of the jobs go that the last checkpoint has as far ones; says whether there are more.
    pub(crate) fn send_far(&mut self) -> bool {
        self.failed.is_none() && self.far.send_some(&mut self.engine, JOBS_AT_ONCE)
    }

    /// What is not known is not answered. The log has it, and the next start reads that.
    pub(super) fn must_have(&mut self, had: Result<(), Unusable>) {
        if let Err(cause) = had {
            tracing::error!(%cause, "far jobs cannot be read; the queue stops, and its next start reads the log");
            self.fail(&format!("the far jobs of a checkpoint: {cause}"));
        }
    }

    /// How often a job has left memory.
    #[cfg(test)]
    pub(crate) fn sent_far(&self) -> u64 {
        self.far.sent
    }

    /// A bug: what changed while a checkpoint was written is forgotten.
    #[cfg(test)]
    pub(crate) fn forget_what_came_back(&mut self) {
        self.far.forget_holes(&mut self.engine);
    }
}
