//! What looks at all there is: at a start, for a checkpoint, behind damage.

use std::sync::Arc;

use wal::Lsn;

use super::{Chunk, Engine, Job, Rate, TubeIx};

impl Engine {
    /// The jobs whose body is in the segment. It looks at all jobs.
    pub(crate) fn jobs_in(&self, segment: u64) -> Vec<Job> {
        let all = self.jobs.share();
        let jobs = all.iter().flat_map(|chunk| chunk.jobs(Lsn(u64::MAX >> 1)));
        jobs.filter(|(job, _)| job.at.segment == segment).filter_map(|(job, _)| self.jobs.get(job.id)).collect()
    }

    /// All jobs, by id.
    pub(crate) fn all_jobs(&self) -> impl Iterator<Item = Job> {
        let all = self.jobs.share();
        let ids =
            all.into_iter().flat_map(|chunk| chunk.jobs(Lsn(u64::MAX >> 1)).map(|(job, _)| job.id).collect::<Vec<_>>());
        ids.filter_map(|id| self.jobs.get(id))
    }

    /// All jobs as they are now; what changes from here on is copied first.
    pub(crate) fn share_jobs(&self) -> Vec<Arc<Chunk>> {
        self.jobs.share()
    }

    /// The log was read: from now on empty tubes go.
    pub(crate) fn settle(&mut self) {
        self.keeps_empty_tubes = false;
        for (_, tube) in &mut self.tubes {
            (tube.arrivals, tube.services) = <(Rate, Rate)>::default();
        }
        let all: Vec<TubeIx> = self.tubes.iter().map(|(ix, _)| TubeIx(ix as u32)).collect();
        all.into_iter().for_each(|ix| self.forget_if_empty(ix));
        self.events.clear();
    }
}
