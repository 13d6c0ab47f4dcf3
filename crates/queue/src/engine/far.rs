//! Far jobs: delayed ones that are counted here, and kept elsewhere until they are wanted
//! ([`crate::log::checkpoint::Far`]). The engine rings when that is, and remembers which of those that are about to leave
//! have changed.

use std::collections::HashSet;

use super::row::Row;
use super::{Engine, Facts, Job, JobState, TubeIx};
use crate::names::JobId;

/// Rows whose changes are remembered: of jobs that are delayed until then or later.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    from_ms: u64,
    touched: HashSet<JobId>,
}

impl Default for Watch {
    fn default() -> Watch {
        Watch { from_ms: u64::MAX, touched: HashSet::new() }
    }
}

impl Watch {
    /// The row is about to change.
    pub(super) fn note(&mut self, row: &Row, id: JobId) {
        if row.is_delayed_from(self.from_ms) {
            self.touched.insert(id);
        }
    }
}

impl Engine {
    /// How many there are.
    pub(crate) fn far_len(&self) -> u64 {
        self.far
    }

    /// Whether the tube, if it is still there, has a job to hand out.
    pub(crate) fn has_ready(&self, tube: TubeIx) -> bool {
        self.tubes.get(tube.0 as usize).is_some_and(|tube| !tube.ready.is_empty())
    }

    /// There is one more job, which is far.
    pub(crate) fn count_far(&mut self, job: &Job) {
        let bytes = u64::from(job.body_len);
        self.never_again(job.id);
        self.far += 1;
        self.bytes += bytes;
        self.both_figures(job.tube, |figures| {
            figures.bytes += bytes;
            figures.delayed += 1;
        });
    }

    /// A delayed job leaves memory. It counts as before.
    pub(crate) fn send_far(&mut self, id: JobId) {
        let Some((job, _)) = self.jobs.leave(id) else { return };
        let JobState::Delayed { until_ms } = job.state else { unreachable!("only delayed jobs are far") };
        self.tube_mut(job.tube).delayed.remove(&(until_ms, id));
        self.far += 1;
        self.set_tube_alarm(job.tube);
    }

    /// A far job is in memory again.
    pub(crate) fn bring_back(&mut self, job: &Job, facts: Option<Facts>) {
        let JobState::Delayed { until_ms } = job.state else { unreachable!("only delayed jobs are far") };
        self.jobs.insert(job, facts);
        self.tube_mut(job.tube).delayed.insert((until_ms, job.id));
        self.far -= 1;
        self.set_tube_alarm(job.tube);
    }

    /// The next far jobs of a tube are wanted then: [`super::Event::Far`] will say so.
    pub(crate) fn set_far_alarm(&mut self, tube: TubeIx, at_ms: Option<u64>) {
        if let Some(known) = self.tubes.get_mut(tube.0 as usize) {
            known.far_alarm_ms = at_ms;
            self.set_tube_alarm(tube);
        }
    }

    /// Changes of jobs that are delayed until then or later are remembered from now on.
    pub(crate) fn watch_far(&mut self, from_ms: u64) {
        *self.jobs.watch_mut() = Watch { from_ms, touched: HashSet::new() };
    }

    /// The jobs that have changed, each named once.
    pub(crate) fn drain_touched(&mut self) -> HashSet<JobId> {
        std::mem::take(&mut self.jobs.watch_mut().touched)
    }
}
