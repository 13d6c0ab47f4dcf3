//! Room in a tube, and how it comes to be.

use stdx::io::Io;
use wal::{AppendError, Lsn};

use super::Broker;
use crate::config::WhenFull;
use crate::engine::{Job, Now, Refused, TubeIx};
use crate::event::JobChange;
use crate::log::record::Record;

impl<D: Io> Broker<D> {
    /// Whether the tube has room, which it may get by dropping its oldest ready jobs.
    pub(super) fn make_room(&mut self, tube: TubeIx, bytes: u64, now: Now) -> Result<(), Refused> {
        /// Jobs dropped for one.
        const DROPS_MAX: usize = 1_000;
        if bytes > self.engine.tube(tube).config.bytes_max {
            return Err(Refused::Tube);
        }
        for _ in 0..DROPS_MAX {
            let refused = match self.engine.has_room(tube, bytes, now) {
                Err(Refused::Tube) if self.engine.tube(tube).config.when_full == WhenFull::DropOldest => Refused::Tube,
                other => return other,
            };
            let oldest = self.engine.tube(tube).oldest_ready().and_then(|oldest| self.engine.job(oldest));
            let Some(oldest) = oldest else { return Err(refused) };
            if self.remove(&oldest, JobChange::Dropped, now).is_err() {
                return Err(refused);
            }
        }
        Err(Refused::Tube)
    }

    /// Takes a job away for good; returns what an answer that says so waits for.
    pub(super) fn remove(&mut self, job: &Job, what: JobChange, now: Now) -> Result<Lsn, AppendError> {
        let id = job.id;
        let lsn = self.note(job, &Record::Deleted { id })?.lsn;
        self.engine.count_delete(job.tube);
        if let Some((job, facts)) = self.engine.remove(id) {
            self.journal.let_go(job.at);
            self.bodies.forget(id);
            self.tell(&job, &facts, what, lsn, now);
        }
        Ok(lsn)
    }
}
