//! Jobs that are tried no more, and what brings them back.

use super::{AttemptEnd, Dead, Engine, JobState, TubeIx};
use crate::names::JobId;

impl Engine {
    /// The job is tried no more: it is handed out in the dead-letter tube from now on, or stays buried where it is.
    pub(crate) fn die(&mut self, id: JobId, dead: Dead, to: Option<TubeIx>) {
        let Some(tube) = self.job(id).map(|job| job.tube) else { return };
        let space = self.tube(tube).space;
        // A release after the last attempt has no record of its own.
        let is_released = dead.end == AttemptEnd::Released;
        if is_released {
            self.count_release(tube);
        }
        let Some(mut facts) = self.facts_mut(id) else { return };
        facts.counts.releases += u32::from(is_released);
        let reserves = facts.counts.reserves;
        let more = facts.more.get_or_insert_default();
        more.dead = Some(dead);
        // In the other tube it begins anew.
        more.forgiven = if to.is_some() { reserves } else { more.forgiven };
        let unique = more.terms.unique.clone();
        drop(facts);
        if let Some(key) = unique {
            self.keys.let_go(space, &key, id);
        }
        self.dead.insert(id);
        if let Some(to) = to {
            self.move_job(id, to, JobState::Ready);
        }
    }

    /// The job is alive again: it is ready in `to`, and has all its attempts before it.
    pub(crate) fn replay(&mut self, id: JobId, to: TubeIx) {
        if !self.dead.remove(&id) {
            return;
        }
        if let Some(mut facts) = self.facts_mut(id) {
            let reserves = facts.counts.reserves;
            let more = facts.more.get_or_insert_default();
            more.dead = None;
            more.forgiven = reserves;
        }
        self.move_job(id, to, JobState::Ready);
    }

    /// The dead jobs by id.
    pub(crate) fn dead(&self) -> impl Iterator<Item = JobId> {
        self.dead.iter().copied()
    }
}
