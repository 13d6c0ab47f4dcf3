//! What the simulator sees of a broker beside its answers.

use stdx::io::Io;

use super::Broker;
use crate::durability::Durability;
use crate::engine::{Facts, JobState, Now, Tube, Window};
use crate::names::{JobId, TubeName};
use crate::simulation::memory::Look;

impl<D: Io> Broker<D> {
    /// A bug: ids are given on from the newest job that there is.
    pub(crate) fn forget_ids(&mut self) {
        self.engine.forget_ids();
    }

    /// How many jobs compaction has moved.
    pub(crate) fn moved(&self) -> u64 {
        self.journal.records_moved
    }

    /// Bytes that were appended to the log, copies included.
    pub(crate) fn appended(&self) -> u64 {
        self.journal.bytes_written
    }

    /// How many jobs are far.
    pub(crate) fn far_len(&self) -> u64 {
        self.engine.far_len()
    }

    /// One job.
    pub(crate) fn look(&mut self, id: JobId) -> Option<Look> {
        self.bring(id);
        let body = self.engine.job(id).is_some().then(|| self.body(id).expect("every body can be read"))?;
        let job = self.engine.job(id)?;
        Some(Look {
            body: String::from_utf8_lossy(&body).into_owned(),
            pri: job.pri,
            state: job.state.word(),
            tube: self.engine.tube(job.tube).name.to_string(),
            reserves: self.engine.counts(id).reserves,
        })
    }

    /// All that a start has to find again, line by line. What is counted of jobs in memory is no part of it: a checkpoint
    /// knows it, the log does not.
    pub(crate) fn dump(&mut self, now: Now) -> Vec<String> {
        self.bring_all();
        let engine = &self.engine;
        let mut lines = Vec::new();
        for job in engine.share_jobs().iter().flat_map(|chunk| chunk.jobs(self.journal.last())).map(|(job, _)| job.id) {
            let Some(job) = engine.job(job) else { continue };
            let facts = engine.facts(job.id).cloned().unwrap_or_default();
            let Facts { counts, trace, more, is_damaged, .. } = facts;
            let more = more.filter(|more| **more != Default::default());
            let state = if matches!(job.state, JobState::Reserved { .. }) { JobState::Ready } else { job.state };
            let (at, tube) = ((job.at, job.body_len, job.created_ms), &engine.tube(job.tube).name);
            let terms = (job.pri, job.ttr_s, job.delay_s, is_damaged);
            lines.push(format!("job {} {tube} {state:?} {at:?} {terms:?} {counts:?} {trace:?} {more:?}", job.id.0));
        }
        let is_logged = |tube: &&Tube| tube.config.durability != Durability::Memory;
        for tube in engine.tubes().filter(is_logged) {
            let (space, figures) = (&engine.space(tube.space).text, tube.figures);
            // Others begin anew when they were empty, which the log does not tell.
            let totals = (tube.name.as_str() == TubeName::DEFAULT).then_some(tube.totals);
            lines.push(format!("tube {space} {} {totals:?} {:?} {figures:?}", tube.name, tube.pause));
        }
        lines.extend(
            engine.spaces().iter().map(|space| format!("space {} {:?} {:?}", space.text, space.figures, space.ticks)),
        );
        for (space, key, Window { id, until_ms, .. }) in engine.keys().windows() {
            if until_ms > now.wall.millis() {
                lines.push(format!("key {space:?} {key} {id:?} {until_ms}"));
            }
        }
        lines.extend(engine.keys().unique().map(|unique| format!("unique {unique:?}")));
        lines.extend(engine.dead().map(|id| format!("dead {id:?}")));
        lines.push(format!("next id {:?}", engine.next_id()));
        lines.sort_unstable();
        lines
    }
}
