//! The queue's time and the wall clock, which may have been set.

use stdx::clock::Wall;
use stdx::io::Io;

use super::Broker;
use crate::engine::{Attempt, Now};
use crate::log::record::Record;
use crate::steady::on_the_wall;

impl<D: Io> Broker<D> {
    /// How far the wall clock is ahead of the queue's time, as the log knows it.
    pub(crate) fn clock_ahead_ms(&self) -> i64 {
        self.engine.clock_ahead_ms
    }

    /// The wall clock was set, and is so much ahead from now on. What is due stays due when it was: a start must know.
    pub(crate) fn clock_was_set(&mut self, ahead_ms: i64) {
        tracing::warn!(ahead_ms, "the wall clock was set: delays and pauses go on as they were");
        self.engine.clock_ahead_ms = ahead_ms;
        match self.journal.append_lazily(&Record::ClockSet { ahead_ms }) {
            Ok(lsn) => self.journal.want(lsn),
            Err(cause) => tracing::warn!(%cause, "that the clock was set is not in the log"),
        }
    }

    /// The wall clock now.
    pub(super) fn wall_clock(&self, now: Now) -> Wall {
        let ahead = std::time::Duration::from_millis(self.engine.clock_ahead_ms.unsigned_abs());
        if self.engine.clock_ahead_ms < 0 { now.wall - ahead } else { now.wall + ahead }
    }

    /// What the wall clock says of a point of the queue's time.
    pub(super) fn on_the_wall(&self, ms: u64) -> u64 {
        on_the_wall(ms, self.engine.clock_ahead_ms)
    }

    /// An attempt as it is told.
    pub(super) fn told(&self, attempt: &Attempt) -> Attempt {
        Attempt { at_ms: self.on_the_wall(attempt.at_ms), ..attempt.clone() }
    }
}
