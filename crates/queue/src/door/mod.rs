//! The door for callers within the process: the HTTP API, push, periodic jobs, operators. What they ask is carried out by
//! the queue's thread as if they were clients (`serve`), under the same limits, and answered when it is on disk.

mod ask;
mod error;
mod terms;

use std::path::PathBuf;

use bytes::Bytes;
use control::error::ApiError;
use control::wire::{CronRow, JobRow, QueueStatus};
use stdx::trace::TraceContext;
use tokio::sync::oneshot;

use crate::alert::Gauge;
use crate::backup::Copied;
pub use crate::dead::{DeadFilter, DeadJob, Replayed};
pub use crate::engine::{PauseNote, StateName};
use crate::metrics::Histograms;
use crate::names::{JobId, Namespace, TubeName};
pub(crate) use error::{
    disk_full, job_reserved, job_too_big, keys_full, lease_lost, memory_full, no_such_job, no_such_tube, queue_full,
    too_many_bodies, too_many_tubes, tube_full, unavailable, unexpected,
};

pub use terms::JobTerms;

/// Jobs put or reserved by one request.
pub const BATCH_JOBS_MAX: usize = 1_000;

/// Jobs of one listing.
pub const LIST_JOBS_MAX: usize = 1_000;

/// The longest wait of one reserve; a client that wants to wait longer asks again.
pub const WAIT_S_MAX: u32 = 300;

/// A job to be put.
#[derive(Clone, Debug, PartialEq)]
pub struct NewJob {
    /// 0 is the most urgent.
    pub pri: u32,
    /// Seconds until it is ready.
    pub delay_s: u32,
    /// Seconds that a reservation lasts.
    pub ttr_s: u32,
    /// The trace that it belongs to.
    pub trace: Option<TraceContext>,
    /// What it asks for beside the usual.
    pub terms: JobTerms,
    /// Its body.
    pub body: Bytes,
}

impl NewJob {
    /// The priority of a job that names none, as clients of beanstalkd have it.
    pub const PRI: u32 = 65_536;
    /// The time to run of a job that names none.
    pub const TTR_S: u32 = 60;

    /// A job with everything but the body as usual.
    pub fn new(body: impl Into<Bytes>) -> NewJob {
        let (pri, ttr_s, terms) = (NewJob::PRI, NewJob::TTR_S, JobTerms::default());
        NewJob { pri, delay_s: 0, ttr_s, trace: None, terms, body: body.into() }
    }
}

/// A job with its body. One that was reserved names its lease.
#[derive(Clone, Debug, PartialEq)]
pub struct JobAndBody {
    /// What is known of it.
    pub row: JobRow,
    /// Its body.
    pub body: Bytes,
}

/// Names one reservation of a job, so that a worker that was too slow cannot end the one of its successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The job.
    pub id: JobId,
    /// Which of its reservations.
    pub number: u32,
}

/// Which jobs somebody wants to work on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Of any of these.
    pub tubes: Vec<TubeName>,
    /// How long to wait for the first, in seconds.
    pub wait_s: u32,
    /// How many at most.
    pub jobs_max: usize,
    /// Who asks, for the history of jobs whose attempts end badly.
    pub worker: Box<str>,
}

/// What its holder does with a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settle {
    /// It is done: the job is deleted.
    Finish,
    /// It did not work: the tube's retry policy says when it is tried again, or whether it is put aside. `delay_s`
    /// overrides the policy's delay.
    Fail {
        /// What went wrong, for whoever looks at the job's history; cut to 200 bytes.
        reason: String,
        /// Seconds until it is ready again.
        delay_s: Option<u32>,
    },
    /// It is given back, for no fault of its own.
    Release {
        /// Its new priority; the old one when absent.
        pri: Option<u32>,
        /// Seconds until it is ready again.
        delay_s: u32,
    },
    /// It is put aside.
    Bury {
        /// Its new priority; the old one when absent.
        pri: Option<u32>,
    },
    /// The reservation begins anew.
    Touch,
}

/// What becomes of a job in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// As its holder said.
    AsAsked,
    /// It was put aside instead of being given back: it was its last attempt.
    Buried,
}

/// One question to the queue's thread.
pub(crate) struct Call {
    pub(crate) namespace: Namespace,
    pub(crate) op: Op,
    /// Closed when the caller has gone; then nothing more is done for it.
    pub(crate) to: oneshot::Sender<Result<Done, ApiError>>,
}

pub(crate) enum Op {
    Put {
        tube: TubeName,
        jobs: Vec<NewJob>,
    },
    Reserve(Wanted),
    Settle {
        lease: Lease,
        how: Settle,
    },
    Peek {
        id: JobId,
    },
    PeekFirst {
        tube: TubeName,
        state: StateName,
    },
    List {
        tube: TubeName,
        state: Option<StateName>,
        n: usize,
    },
    Delete {
        id: JobId,
    },
    Bury {
        id: JobId,
    },
    KickJob {
        id: JobId,
    },
    Kick {
        tube: TubeName,
        jobs_max: u32,
    },
    Pause {
        tube: TubeName,
        for_s: u32,
        note: PauseNote,
    },
    Histograms,
    /// What is measured of tubes with alerts.
    Watched,
    /// The last ticks of the namespace.
    LastTicks,
    /// Copies the log into a folder.
    Snapshot {
        to: PathBuf,
    },
    /// These are the periodic jobs of the namespace from now on; their last ticks.
    Ticks {
        names: Vec<String>,
    },
    /// Puts the job of a tick, unless the tick or a later one has fired.
    Fire {
        name: String,
        tick_ms: u64,
        tube: TubeName,
        job: NewJob,
    },
    Dead {
        filter: DeadFilter,
        n: usize,
    },
    Replay {
        filter: DeadFilter,
        n: usize,
        preview: bool,
    },
    Status,
}

/// What came of it.
pub(crate) enum Done {
    Put(Vec<Result<JobId, ApiError>>),
    Jobs(Vec<JobAndBody>),
    Rows(Vec<JobRow>),
    Settled(Settled),
    Count(u64),
    Dead(Vec<DeadJob>),
    Replayed(Replayed),
    Status(QueueStatus),
    Histograms(Histograms),
    Watched(Vec<Gauge>),
    Ticks(Vec<u64>),
    Crons(Vec<CronRow>),
    Copied(Copied),
    Nothing,
}
