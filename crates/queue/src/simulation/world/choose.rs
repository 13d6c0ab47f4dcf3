//! What clients say.

use stdx::io::Io;

use super::{TTR_S, World};
use crate::simulation::client::{TRIES, TUBES};
use crate::simulation::keys::Asks;
use crate::simulation::memory::{Asked, Known};

impl<D: Io> World<D> {
    pub(super) fn choose(&mut self, who: usize) -> Option<(Asked, String)> {
        let pri = self.rng.u32(..5);
        let delayed = self.rng.u32(..4) == 0;
        // Some are near soon, and some for as long as a run takes.
        let delay = if delayed { [50, 5_000][self.rng.usize(..2)] } else { 0 };
        let held = self.memory.jobs.iter().find(|(_, job)| job.holder == Some(who));
        let held = held.map(|(body, job)| (body.clone(), job.id.unwrap_or_default()));
        let puts = if self.fills { 5 } else { 1 };
        Some(match (self.rng.u32(..12), held) {
            (n, _) if n < puts => {
                self.puts += 1;
                let body = format!("job-{}-{}", self.puts, "x".repeat(self.rng.usize(..400)));
                let (tube, class) = TUBES[who % TUBES.len()];
                let asks = self.choose_asks(tube);
                let words = asks.words();
                let verb = if words.is_empty() { "put" } else { "put-with" };
                let line = format!("{verb} {pri} {delay} {TTR_S} {}{words}\r\n{body}\r\n", body.len());
                (Asked::Put { body, pri, delayed, class, tube, asks }, line)
            }
            (5, _) => (Asked::Kick, format!("kick {}\r\n", self.rng.u32(1..4))),
            (8 | 9, None) if self.rng.bool() => return self.choose_by_id(),
            (_, None) => (Asked::Reserve, format!("reserve-with-timeout {}\r\n", self.rng.u32(..2) * 5)),
            (6, Some((body, id))) if delayed || pri == 0 => {
                (Asked::Release { body, pri, delayed }, format!("release {id} {pri} {delay}\r\n"))
            }
            (6, Some((body, id))) => (Asked::Bury { body, pri }, format!("bury {id} {pri}\r\n")),
            (7, Some((body, id))) => (Asked::Touch { body }, format!("touch {id}\r\n")),
            (8, Some((body, id))) if pri < 3 => (Asked::Fail { body }, format!("fail {id} no luck\r\n")),
            (_, Some((body, id))) => (Asked::Delete { body }, format!("delete {id}\r\n")),
        })
    }

    /// Keys change over time, so that those of which nobody knows what became of them do not stay for ever.
    fn choose_asks(&mut self, tube: &str) -> Asks {
        let key = self.puts / 40 * 4 + self.rng.u64(..3);
        match self.rng.u32(..8) {
            0 => Asks { key: Some((key, [1, 60, 50_000][self.rng.usize(..3)])), ..Asks::default() },
            1 if tube != TRIES => Asks { unique: Some(key), ..Asks::default() },
            2 if tube != TRIES => Asks { order: Some(key), ..Asks::default() },
            _ => Asks::default(),
        }
    }

    /// A command about a job that this client knows the id of and nobody holds.
    fn choose_by_id(&mut self) -> Option<(Asked, String)> {
        let known = |job: &Known| job.holder.is_none() && !job.is_deleted && !job.put.is_nowhere;
        let all = || self.memory.jobs.iter().filter(|(_, job)| known(job) && job.id.is_some());
        let at = self.rng.usize(..all().count().max(1));
        let (body, id, must) = all().nth(at).map(|(body, job)| (body.clone(), job.id, job.must_be_there()))?;
        let id = id.unwrap_or_default();
        Some(match self.rng.u32(..4) {
            0 => (Asked::Delete { body }, format!("delete {id}\r\n")),
            1 => (Asked::KickJob { body }, format!("kick-job {id}\r\n")),
            _ => (Asked::Peek { body, must }, format!("peek {id}\r\n")),
        })
    }
}
