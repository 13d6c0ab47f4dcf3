//! The questions, as methods of [`Handle`].

use std::path::PathBuf;

use control::error::ApiError;
use control::wire::{CronRow, JobRow, QueueStatus};
use tokio::sync::{mpsc, oneshot};

use super::{
    Call, DeadFilter, DeadJob, Done, JobAndBody, Lease, NewJob, Op, PauseNote, Replayed, Settle, Settled, StateName,
    Wanted, unavailable,
};
use crate::alert::Gauge;
use crate::backup::Copied;
use crate::handle::{Handle, Request};
use crate::metrics::Histograms;
use crate::names::{JobId, Namespace, TubeName};

impl Handle {
    /// Puts jobs, in order; each is taken or refused for itself. Those that are taken are on disk.
    ///
    /// # Errors
    /// For all of them: `queue_unavailable`, `too_many_tubes`. For one: `tube_full`, `queue_full`, `queue_disk_full`,
    /// `queue_draining`, `job_too_big`.
    pub async fn put(
        &self,
        namespace: &Namespace,
        tube: TubeName,
        jobs: Vec<NewJob>,
    ) -> Result<Vec<Result<JobId, ApiError>>, ApiError> {
        match self.call(namespace, Op::Put { tube, jobs }).await? {
            Done::Put(ids) => Ok(ids),
            _ => Err(unavailable()),
        }
    }

    /// Reserves jobs: those that are ready, or the first that becomes ready within `wait_s`. They are held until they are settled or their time runs out, whatever becomes of the caller. Dropping the
    /// future ends the wait and gives back what was got.
    ///
    /// # Errors
    /// `queue_unavailable`, `too_many_tubes`.
    pub async fn reserve(&self, namespace: &Namespace, wanted: Wanted) -> Result<Vec<JobAndBody>, ApiError> {
        match self.call(namespace, Op::Reserve(wanted)).await? {
            Done::Jobs(jobs) => Ok(jobs),
            _ => Err(unavailable()),
        }
    }

    /// Does something with a job that was got from [`Handle::reserve`].
    ///
    /// # Errors
    /// `lease_lost` when its time ran out, `no_such_job` when it is gone, `queue_unavailable`.
    pub async fn settle(&self, namespace: &Namespace, lease: Lease, how: Settle) -> Result<Settled, ApiError> {
        match self.call(namespace, Op::Settle { lease, how }).await? {
            Done::Settled(settled) => Ok(settled),
            _ => Err(unavailable()),
        }
    }

    /// The first `n` dead jobs that the filter finds, by id, with the history of each.
    ///
    /// # Errors
    /// `queue_unavailable`.
    pub async fn dead(&self, namespace: &Namespace, filter: DeadFilter, n: usize) -> Result<Vec<DeadJob>, ApiError> {
        match self.call(namespace, Op::Dead { filter, n: n.min(super::LIST_JOBS_MAX) }).await? {
            Done::Dead(jobs) => Ok(jobs),
            _ => Err(unavailable()),
        }
    }

    /// Makes dead jobs ready again, in the tube in which they died or in `filter.into`, with all their attempts before
    /// them: the first `n` that the filter finds and nobody holds. A preview changes nothing and says which they would be.
    ///
    /// # Errors
    /// `queue_unavailable`.
    pub async fn replay(
        &self,
        namespace: &Namespace,
        filter: DeadFilter,
        n: usize,
        preview: bool,
    ) -> Result<Replayed, ApiError> {
        match self.call(namespace, Op::Replay { filter, n: n.min(super::LIST_JOBS_MAX), preview }).await? {
            Done::Replayed(replayed) => Ok(replayed),
            _ => Err(unavailable()),
        }
    }

    /// A job and its body, whatever its state.
    ///
    /// # Errors
    /// `no_such_job`, `queue_unavailable`.
    pub async fn peek(&self, namespace: &Namespace, id: JobId) -> Result<JobAndBody, ApiError> {
        self.first_of(namespace, Op::Peek { id }).await?.ok_or_else(|| super::no_such_job(id))
    }

    /// The job of a tube that is next in a state, with its body.
    ///
    /// # Errors
    /// `no_such_tube`, `queue_unavailable`.
    pub async fn peek_first(
        &self,
        namespace: &Namespace,
        tube: TubeName,
        state: StateName,
    ) -> Result<Option<JobAndBody>, ApiError> {
        self.first_of(namespace, Op::PeekFirst { tube, state }).await
    }

    /// The first `n` jobs of a tube in one state, or in any, without their bodies.
    ///
    /// # Errors
    /// `no_such_tube`, `queue_unavailable`.
    pub async fn jobs(
        &self,
        namespace: &Namespace,
        tube: TubeName,
        state: Option<StateName>,
        n: usize,
    ) -> Result<Vec<JobRow>, ApiError> {
        match self.call(namespace, Op::List { tube, state, n: n.min(super::LIST_JOBS_MAX) }).await? {
            Done::Rows(rows) => Ok(rows),
            _ => Err(unavailable()),
        }
    }

    /// Deletes a job that nobody holds.
    ///
    /// # Errors
    /// `no_such_job`, `job_reserved`, `queue_unavailable`.
    pub async fn delete(&self, namespace: &Namespace, id: JobId) -> Result<(), ApiError> {
        self.call(namespace, Op::Delete { id }).await.map(drop)
    }

    /// Puts a job aside that is ready or delayed.
    ///
    /// # Errors
    /// `no_such_job`, `job_reserved`, `queue_unavailable`.
    pub async fn bury(&self, namespace: &Namespace, id: JobId) -> Result<(), ApiError> {
        self.call(namespace, Op::Bury { id }).await.map(drop)
    }

    /// Makes a buried or delayed job ready.
    ///
    /// # Errors
    /// `no_such_job`, `queue_unavailable`.
    pub async fn kick_job(&self, namespace: &Namespace, id: JobId) -> Result<(), ApiError> {
        self.call(namespace, Op::KickJob { id }).await.map(drop)
    }

    /// Makes up to `jobs_max` buried jobs of a tube ready, or delayed ones when none is buried; says how many.
    ///
    /// # Errors
    /// `no_such_tube`, `queue_unavailable`.
    pub async fn kick(&self, namespace: &Namespace, tube: TubeName, jobs_max: u32) -> Result<u64, ApiError> {
        match self.call(namespace, Op::Kick { tube, jobs_max }).await? {
            Done::Count(jobs) => Ok(jobs),
            _ => Err(unavailable()),
        }
    }

    /// Lets nobody have a job of the tube for so many seconds; 0 ends a pause. The note is kept with the pause.
    ///
    /// # Errors
    /// `no_such_tube`, `queue_unavailable`.
    pub async fn pause(
        &self,
        namespace: &Namespace,
        tube: TubeName,
        for_s: u32,
        note: PauseNote,
    ) -> Result<(), ApiError> {
        self.call(namespace, Op::Pause { tube, for_s, note }).await.map(drop)
    }

    /// How the plane does as a whole.
    ///
    /// # Errors
    /// `queue_unavailable`.
    pub async fn figures(&self) -> Result<QueueStatus, ApiError> {
        match self.call(&Namespace::SHARED, Op::Status).await? {
            Done::Status(status) => Ok(status),
            _ => Err(unavailable()),
        }
    }

    /// The last tick of each periodic job of a namespace.
    ///
    /// # Errors
    /// `queue_unavailable`.
    pub async fn crons(&self, namespace: &Namespace) -> Result<Vec<CronRow>, ApiError> {
        match self.call(namespace, Op::LastTicks).await? {
            Done::Crons(rows) => Ok(rows),
            _ => Err(unavailable()),
        }
    }

    /// Copies the log, as it is now, into a folder that is absent or empty; it becomes a queue's folder of its own. The queue
    /// serves on.
    ///
    /// # Errors
    /// `folder_not_empty`, `path_relative`, `backup_failed`, `queue_unavailable`.
    pub async fn snapshot(&self, to: PathBuf) -> Result<Copied, ApiError> {
        match self.call(&Namespace::SHARED, Op::Snapshot { to }).await? {
            Done::Copied(copied) => Ok(copied),
            _ => Err(unavailable()),
        }
    }

    /// What is measured of tubes that have alerts.
    pub(crate) async fn watched(&self) -> Result<Vec<Gauge>, ApiError> {
        match self.call(&Namespace::SHARED, Op::Watched).await? {
            Done::Watched(gauges) => Ok(gauges),
            _ => Err(unavailable()),
        }
    }

    pub(crate) async fn histograms(&self) -> Result<Histograms, ApiError> {
        match self.call(&Namespace::SHARED, Op::Histograms).await? {
            Done::Histograms(histograms) => Ok(histograms),
            _ => Err(unavailable()),
        }
    }

    /// Takes over the periodic jobs of a namespace: their last ticks in milliseconds since the epoch, now for a new one.
    pub(crate) async fn ticks(&self, namespace: &Namespace, names: Vec<String>) -> Result<Vec<u64>, ApiError> {
        let asked = names.len();
        match self.call(namespace, Op::Ticks { names }).await? {
            Done::Ticks(ticks) if ticks.len() == asked => Ok(ticks),
            _ => Err(unavailable()),
        }
    }

    /// Puts the job of a tick; false when it was put before.
    pub(crate) async fn fire(
        &self,
        namespace: &Namespace,
        name: String,
        tick_ms: u64,
        tube: TubeName,
        job: NewJob,
    ) -> Result<bool, ApiError> {
        match self.call(namespace, Op::Fire { name, tick_ms, tube, job }).await? {
            Done::Put(put) => put.into_iter().next().unwrap_or_else(|| Err(unavailable())).map(|_| true),
            _ => Ok(false),
        }
    }

    async fn first_of(&self, namespace: &Namespace, op: Op) -> Result<Option<JobAndBody>, ApiError> {
        match self.call(namespace, op).await? {
            Done::Jobs(jobs) => Ok(jobs.into_iter().next()),
            _ => Err(unavailable()),
        }
    }

    async fn call(&self, namespace: &Namespace, op: Op) -> Result<Done, ApiError> {
        if self.status().is_failed() {
            return Err(unavailable());
        }
        let (to, done) = oneshot::channel();
        let requests = self.requests.clone();
        self.ask(Request::Door(Box::new(Call { namespace: namespace.clone(), op, to }))).await?;
        let mut hearing = Hearing { done, requests, namespace };
        (&mut hearing.done).await.map_err(|_| unavailable())?
    }
}

/// An answer that is waited for. When nobody waits any more and jobs have come meanwhile, they are given back.
struct Hearing<'a> {
    done: oneshot::Receiver<Result<Done, ApiError>>,
    requests: mpsc::Sender<Request>,
    namespace: &'a Namespace,
}

impl Drop for Hearing<'_> {
    fn drop(&mut self) {
        self.done.close();
        if let Ok(Ok(Done::Jobs(jobs))) = self.done.try_recv() {
            let leases = jobs.iter().filter_map(|job| Some(Lease { id: JobId(job.row.id), number: job.row.lease? }));
            let given_back = self.requests.try_send(Request::GiveBack(self.namespace.clone(), leases.collect()));
            if given_back.is_err() {
                tracing::debug!("jobs that nobody heard of come back when their time runs out");
            }
        }
    }
}
