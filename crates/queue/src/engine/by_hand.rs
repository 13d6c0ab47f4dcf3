//! What only callers within the process do: look at the jobs of a tube, pass a reservation on,
//! remember ticks.

use super::{ClientId, Engine, Job, JobState, SpaceIx, TubeIx};
use crate::names::JobId;

/// The four states by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateName {
    /// Waiting for somebody to reserve it.
    Ready,
    /// Waiting for its time.
    Delayed,
    /// Held by somebody.
    Reserved,
    /// Put aside.
    Buried,
}

impl StateName {
    /// All of them.
    pub const ALL: [StateName; 4] = [StateName::Ready, StateName::Delayed, StateName::Reserved, StateName::Buried];

    /// The word of `stats-job`.
    pub fn word(self) -> &'static str {
        match self {
            StateName::Ready => "ready",
            StateName::Delayed => "delayed",
            StateName::Reserved => "reserved",
            StateName::Buried => "buried",
        }
    }

    /// The state that a word names.
    pub fn from_word(word: &str) -> Option<StateName> {
        StateName::ALL.into_iter().find(|state| state.word() == word)
    }
}

impl Engine {
    /// A job was put into the tube for this tick, or for none.
    pub(crate) fn note_tick(&mut self, tube: TubeIx, tick: Option<(&str, u64)>) {
        if let Some((name, tick_ms)) = tick {
            self.set_tick(self.tube(tube).space, name, tick_ms);
        }
    }

    /// The last tick of a periodic job; 0 forgets it.
    pub(crate) fn set_tick(&mut self, space: SpaceIx, name: &str, tick_ms: u64) {
        let ticks = &mut self.space_mut(space).ticks;
        if tick_ms == 0 {
            ticks.remove(name);
        } else {
            ticks.insert(name.to_owned(), tick_ms);
        }
    }

    /// The first `n` jobs of a tube in one state, in the order in which they leave it.
    pub(crate) fn list(&self, tube: TubeIx, state: StateName, n: usize) -> Vec<JobId> {
        let orders = self.tube(tube);
        match state {
            StateName::Ready => orders.ready.iter().take(n).map(|key| key.id()).collect(),
            StateName::Delayed => orders.delayed.iter().take(n).map(|&(_, id)| id).collect(),
            StateName::Buried => orders.buried.iter().take(n).map(|&(_, id)| id).collect(),
            StateName::Reserved => {
                let of_tube = |id: &JobId| self.job(*id).is_some_and(|job| job.tube == tube);
                self.leases.iter().map(|&(_, id)| id).filter(of_tube).take(n).collect()
            }
        }
    }

    /// The job if this client holds it under its `lease`th reservation.
    pub(crate) fn held_under(&self, client: ClientId, id: JobId, lease: u32) -> Option<Job> {
        let held = |job: &Job| matches!(job.state, JobState::Reserved { by, .. } if by == client);
        self.job(id).filter(held).filter(|_| self.counts(id).reserves == lease)
    }

    /// Another client holds the job from now on, until the same time. Says whether `from` held it.
    pub(crate) fn pass_on(&mut self, id: JobId, from: ClientId, to: ClientId) -> bool {
        let Some(JobState::Reserved { by, deadline }) = self.job(id).map(|job| job.state) else { return false };
        if by != from {
            return false;
        }
        self.jobs.update(id, |job| job.state = JobState::Reserved { by: to, deadline });
        self.client_mut(from).held.remove(&(deadline, id));
        self.client_mut(to).held.insert((deadline, id));
        true
    }
}
