//! A pause: nobody gets a job of the tube for a while.

use stdx::io::Io;

use super::Broker;
use super::commands::due_ms;
use crate::engine::{ClientId, Now, Pause, PauseNote};
use crate::log::record::{Record, TubeRef};
use crate::proto::reply::Reply;

impl<D: Io> Broker<D> {
    /// `pause-tube` of the protocol: it is known who, not why.
    pub(super) fn pause_tube(&mut self, client: ClientId, name: &str, delay_s: u32, now: Now) {
        let by = std::mem::take(&mut self.conns[client.0 as usize].worker);
        self.pause(client, name, delay_s, &PauseNote::new(&by, ""), now);
        self.conns[client.0 as usize].worker = by;
    }

    /// The same, by somebody who says why; answered as `pause-tube`.
    pub(crate) fn pause(&mut self, client: ClientId, name: &str, delay_s: u32, note: &PauseNote, now: Now) {
        self.engine.now = now;
        let Some(ix) = self.engine.find_tube(self.space_of(client), name) else {
            return self.tell_state(client, Reply::NotFound);
        };
        let tube = self.engine.tube(ix);
        let space = &self.engine.space(tube.space).text;
        let asked_ms = u64::from(delay_s) * 1000;
        // A pause of 0 seconds is over with the next tick.
        let until_ms = if delay_s == 0 { now.wall.millis() } else { due_ms(now.wall, delay_s) };
        let at = TubeRef { space, tube: name };
        match self.journal.append(&Record::Paused { at, asked_ms, until_ms, by: &note.by, why: &note.why }) {
            Ok(lsn) => {
                self.engine.pause(ix, Pause { asked_ms, until_ms, note: note.clone() });
                self.engine.tube_mut(ix).totals.pauses += 1;
                self.answer(client, Reply::Paused, lsn);
            }
            Err(cause) => self.not_appended(client, &cause),
        }
    }
}
