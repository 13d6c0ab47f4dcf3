//! The last ticks of periodic jobs.

use std::collections::BTreeSet;

use control::wire::CronRow;
use stdx::io::Io;
use wal::{AppendError, Lsn};

use super::Broker;
use crate::engine::{ClientId, Now, TubeIx};
use crate::log::record::{Record, TickRecord};

impl<D: Io> Broker<D> {
    /// These are the lines of the client's namespace from now on: their last ticks, which for a new one is now. Answered `OK`
    /// when that is on disk.
    pub(crate) fn take_ticks(&mut self, client: ClientId, names: &[String], now: Now) -> Vec<u64> {
        self.engine.now = now;
        let space = self.space_of(client);
        let asked: BTreeSet<&String> = names.iter().collect();
        let wall_ms = self.wall_clock(now).millis();
        let known = &self.engine.space(space).ticks;
        let gone = known.keys().filter(|name| !asked.contains(name)).map(|name| (name.clone(), 0));
        let new = asked.iter().filter(|name| !known.contains_key(**name)).map(|name| ((*name).clone(), wall_ms));
        for (name, tick_ms) in gone.chain(new).collect::<Vec<_>>() {
            if let Err(cause) = self.set_tick(client, &name, tick_ms) {
                self.not_appended(client, &cause);
                return Vec::new();
            }
        }
        self.await_state(client);
        let known = &self.engine.space(space).ticks;
        names.iter().map(|name| known.get(name).copied().unwrap_or(0)).collect()
    }

    fn set_tick(&mut self, client: ClientId, name: &str, tick_ms: u64) -> Result<(), AppendError> {
        let space = self.space_of(client);
        let text = &self.engine.space(space).text;
        self.journal.append(&Record::Ticked(TickRecord { space: text, name, tick_ms }))?;
        self.engine.set_tick(space, name, tick_ms);
        Ok(())
    }

    /// The last tick of a line in the client's namespace.
    pub(crate) fn last_tick(&self, client: ClientId, name: &str) -> Option<u64> {
        self.engine.space(self.space_of(client)).ticks.get(name).copied()
    }

    /// The last ticks of the client's namespace.
    pub(crate) fn last_ticks(&self, client: ClientId) -> Vec<CronRow> {
        let ticks = self.engine.space(self.space_of(client)).ticks.iter();
        ticks.map(|(name, &last_ms)| CronRow { name: name.clone(), last_ms }).collect()
    }

    /// The client's next `put` is for this tick.
    pub(crate) fn set_next_tick(&mut self, client: ClientId, name: String, tick_ms: u64) {
        self.conns[client.0 as usize].aside.tick = Some((name, tick_ms));
    }

    /// A job for a tick has no record: the tick needs one of its own.
    pub(super) fn log_tick(&mut self, tube: TubeIx, (name, tick_ms): (&str, u64)) -> Result<Lsn, AppendError> {
        let space = &self.engine.space(self.engine.tube(tube).space).text;
        self.journal.append_lazily(&Record::Ticked(TickRecord { space, name, tick_ms }))
    }

    /// All last ticks again, when the records that said them are about to go.
    pub(super) fn write_ticks(&mut self) -> Result<(), AppendError> {
        for space in self.engine.spaces() {
            for (name, &tick_ms) in &space.ticks {
                self.journal.append_lazily(&Record::Ticked(TickRecord { space: &space.text, name, tick_ms }))?;
            }
        }
        Ok(())
    }
}
