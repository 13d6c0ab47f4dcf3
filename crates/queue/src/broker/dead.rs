//! Dead jobs as operators see them: listed, filtered, replayed one by one or all that a filter finds, with a preview.

use stdx::io::Io;

use super::Broker;
use crate::dead::{DeadFilter, DeadJob, Replayed};
use crate::engine::{Now, SpaceIx};
use crate::names::{JobId, Namespace};

impl<D: Io> Broker<D> {
    /// Up to `n` dead jobs of a namespace that the filter finds, by id.
    pub(crate) fn dead_jobs(&self, namespace: &Namespace, filter: &DeadFilter, n: usize) -> Vec<DeadJob> {
        let Some(space) = self.engine.find_space(namespace) else { return Vec::new() };
        self.found(space, filter).take(n).collect()
    }

    /// Brings dead jobs back, at most `n`: those of the filter whom nobody holds, into the tube in which they died or into
    /// `filter.into`. A preview only says what would be done. It ends early at a limit of the target tube, and says so.
    pub(crate) fn replay(
        &mut self,
        namespace: &Namespace,
        filter: &DeadFilter,
        n: usize,
        preview: bool,
        now: Now,
    ) -> Replayed {
        self.engine.now = now;
        let mut done = Replayed::default();
        let Some(space) = self.engine.find_space(namespace) else { return done };
        let found: Vec<DeadJob> = self.found(space, filter).filter(|job| self.is_free(JobId(job.id))).take(n).collect();
        for job in found {
            let id = JobId(job.id);
            if !preview && !self.replay_into(space, id, filter.into.as_deref().unwrap_or(&job.from), now) {
                done.stopped_by_limit = true;
                break;
            }
            done.jobs.push(job);
        }
        self.after_engine(now);
        done
    }

    /// Says whether it was possible.
    fn replay_into(&mut self, space: SpaceIx, id: JobId, tube: &str, now: Now) -> bool {
        let Ok(to) = self.engine.tube_or_limit(space, tube) else { return false };
        let job = self.engine.job(id).filter(|_| self.engine.fits_tube(to, id));
        let replayed = job.is_some_and(|job| self.replay_one(&job, to, now).is_ok());
        self.engine.forget_if_empty(to);
        replayed
    }

    fn found(&self, space: SpaceIx, filter: &DeadFilter) -> impl Iterator<Item = DeadJob> {
        let jobs = self.engine.dead().filter_map(move |id| self.dead_job(space, id));
        jobs.filter(move |job| filter.finds(job))
    }

    fn dead_job(&self, space: SpaceIx, id: JobId) -> Option<DeadJob> {
        let job = self.engine.job_in(space, id)?;
        let facts = self.engine.facts(id)?;
        let more = facts.more.as_ref()?;
        let dead = more.dead.as_ref()?;
        let last = more.attempts.back();
        Some(DeadJob {
            id: id.0,
            tube: self.engine.tube(job.tube).name.to_string(),
            from: dead.from.to_string(),
            state: job.state.word().into(),
            died_ms: self.on_the_wall(dead.at_ms),
            end: dead.end,
            reason: last.map(|attempt| attempt.reason.to_string()).unwrap_or_default(),
            worker: last.map(|attempt| attempt.worker.to_string()).unwrap_or_default(),
            reserves: facts.counts.reserves,
            timeouts: facts.counts.timeouts,
            releases: facts.counts.releases,
            failures: more.failures,
            created_ms: self.on_the_wall(job.created_ms),
            bytes: job.body_len,
            attempts: more.attempts.iter().map(|attempt| self.told(attempt)).collect(),
        })
    }
}
