//! The questions, as methods of [`Handle`].

use control::error::ApiError;
use control::wire::{JobRow, QueueStatus};
use tokio::sync::oneshot;

use super::{
    Call, DeadFilter, DeadJob, Done, JobAndBody, Lease, NewJob, Op, Replayed, Settle, Settled, StateName, unavailable,
};
use crate::handle::{Handle, Request};
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

    /// Reserves up to `jobs_max` jobs of any of the tubes: those that are ready, or the first that becomes ready within
    /// `wait_s`. They are held until they are settled or their time runs out, whatever becomes of the caller. Dropping the
    /// future ends the wait and gives back what was got.
    ///
    /// # Errors
    /// `queue_unavailable`, `too_many_tubes`.
    pub async fn reserve(
        &self,
        namespace: &Namespace,
        tubes: Vec<TubeName>,
        wait_s: u32,
        jobs_max: usize,
    ) -> Result<Vec<JobAndBody>, ApiError> {
        match self.call(namespace, Op::Reserve { tubes, wait_s, jobs_max }).await? {
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

    /// The attempt at a job that was got from [`Handle::reserve`] failed, and why: as [`Settle::Fail`], with a reason that is
    /// kept with the job.
    ///
    /// # Errors
    /// As [`Handle::settle`].
    pub async fn fail(
        &self,
        namespace: &Namespace,
        lease: Lease,
        reason: String,
        delay_s: Option<u32>,
    ) -> Result<Settled, ApiError> {
        match self.call(namespace, Op::Fail { lease, reason, delay_s }).await? {
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

    /// Lets nobody have a job of the tube for so many seconds; 0 ends a pause.
    ///
    /// # Errors
    /// `no_such_tube`, `queue_unavailable`.
    pub async fn pause(&self, namespace: &Namespace, tube: TubeName, for_s: u32) -> Result<(), ApiError> {
        self.call(namespace, Op::Pause { tube, for_s }).await.map(drop)
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
        self.ask(Request::Door(Call { namespace: namespace.clone(), op, to })).await?;
        done.await.map_err(|_| unavailable())?
    }
}
