//! Ordering keys: of the jobs of a tube with the same key only the oldest can be handed out, whatever state it is in.
//!
//! So a job that is reserved, delayed or buried holds back those behind it. They count as ready, but stand in no order of
//! ready jobs until it is their turn.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::{Engine, JobState, ReadyKey, TubeIx};
use crate::names::JobId;

/// The jobs of each key, by id.
#[derive(Default)]
pub(super) struct Groups(HashMap<(TubeIx, Arc<str>), BTreeSet<JobId>>);

impl Groups {
    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Engine {
    /// Whether a job with an ordering key has to wait for another one.
    pub(crate) fn is_held_back(&self, id: JobId, tube: TubeIx) -> bool {
        if self.groups.0.is_empty() {
            return false;
        }
        self.order_key(id).is_some_and(|key| self.head(tube, key) != Some(id))
    }

    /// The job joins the others of its key.
    pub(super) fn join_group(&mut self, id: JobId, tube: TubeIx) {
        let Some(key) = self.order_key(id) else { return };
        let before = self.head(tube, key.clone());
        self.groups.0.entry((tube, key.clone())).or_default().insert(id);
        let is_first = self.head(tube, key) == Some(id);
        // Of it and the one that was first until now, the younger has to wait.
        let waits = if is_first { before.filter(|before| *before != id) } else { Some(id) };
        if let Some(job) = waits.and_then(|waits| self.job(waits)).filter(|job| job.state == JobState::Ready) {
            self.tube_mut(tube).ready.remove(&ReadyKey::new(job.pri, job.id));
        }
    }

    /// The job leaves the others of its key, after it has left its place; the next one's turn comes.
    pub(super) fn leave_group(&mut self, id: JobId, tube: TubeIx, key: Arc<str>) {
        let group = (tube, key);
        let Some(members) = self.groups.0.get_mut(&group) else { return };
        let was_first = members.first() == Some(&id);
        members.remove(&id);
        let next = members.first().copied();
        if members.is_empty() {
            self.groups.0.remove(&group);
        }
        if !was_first {
            return;
        }
        let ready = next.and_then(|next| self.job(next)).filter(|job| job.state == JobState::Ready);
        if let Some(job) = ready {
            self.tube_mut(tube).ready.insert(ReadyKey::new(job.pri, job.id));
            self.offer(tube);
        }
    }

    pub(super) fn order_key(&self, id: JobId) -> Option<Arc<str>> {
        self.facts(id)?.more.as_ref()?.terms.order.clone()
    }

    fn head(&self, tube: TubeIx, key: Arc<str>) -> Option<JobId> {
        self.groups.0.get(&(tube, key))?.first().copied()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wal::{Lsn, Position};

    use super::*;
    use crate::config::Config;
    use crate::engine::{Facts, Job, Limits, More, PutTerms, SpaceIx};

    fn job(id: u64, pri: u32, tube: TubeIx, state: JobState) -> Job {
        let at = Position { segment: 1, offset: 0, len: 1 };
        let id = JobId(id);
        Job { id, created_ms: 0, lsn: Lsn(1), at, body_len: 1, pri, ttr_s: 1, delay_s: 0, tube, state }
    }

    proptest! {
        #[test]
        fn only_the_oldest_of_a_key_can_be_handed_out(
            steps in proptest::collection::vec((0..6u8, 0..3u8, 0..20usize, 0..4u32), 1..150),
        ) {
            let mut engine = Engine::new(Limits::from(&Config::default()));
            let tube = engine.tube_or_new(SpaceIx::SHARED, "t");
            // By id: the key (0 is none) and the state.
            let mut model: Vec<(u64, u8, u32, JobState)> = Vec::new();
            let mut next = 0;
            for (what, key, which, pri) in steps {
                let at = which % model.len().max(1);
                match (what, model.get(at).copied()) {
                    (0 | 1, _) | (_, None) => {
                        next += 1;
                        let order = (key > 0).then(|| key.to_string().into());
                        let more = More { terms: PutTerms { order, ..PutTerms::default() }, ..More::default() };
                        let facts = Facts { more: Some(Box::new(more)), ..Facts::default() };
                        engine.insert(job(next, pri, tube, JobState::Ready), Some(facts));
                        model.push((next, key, pri, JobState::Ready));
                    }
                    (2, Some((id, ..))) => {
                        engine.remove(JobId(id));
                        model.remove(at);
                    }
                    (3, Some((id, ..))) => {
                        engine.bury(JobId(id), id);
                        model[at].3 = JobState::Buried { turn: id };
                    }
                    (4, Some((id, ..))) => {
                        engine.delay(JobId(id), 1_000);
                        model[at].3 = JobState::Delayed { until_ms: 1_000 };
                    }
                    (_, Some((id, ..))) => {
                        engine.make_ready(JobId(id));
                        model[at].3 = JobState::Ready;
                    }
                }
                let is_first = |id: u64, key: u8| key == 0 || model.iter().all(|job| job.1 != key || job.0 >= id);
                let mut wanted: Vec<(u32, u64)> = Vec::new();
                for &(id, key, pri, state) in &model {
                    if state == JobState::Ready && is_first(id, key) {
                        wanted.push((pri, id));
                    }
                }
                wanted.sort_unstable();
                let ready: Vec<u64> = engine.tube(tube).ready.iter().map(|key| key.id().0).collect();
                prop_assert_eq!(ready, wanted.iter().map(|(_, id)| *id).collect::<Vec<_>>());
                let counted = model.iter().filter(|job| job.3 == JobState::Ready).count();
                prop_assert_eq!(engine.tube(tube).figures.ready, counted as u64);
            }
        }
    }
}
