//! What the queue asks of others and tells them.

use stdx::clock::Wall;
use stdx::ids::Scope;
use stdx::trace::TraceContext;

use crate::names::{JobId, Namespace, TubeName};

/// Knows whose token it is.
pub trait TokenSource: Send + Sync {
    /// The scope that the token opens, `None` when nobody has it. Comparing in constant time is the implementor's duty;
    /// it is called on the queue's thread and must not block.
    fn namespace(&self, token: &str) -> Option<Scope>;

    /// Whether anybody can ever have one.
    fn has_any(&self) -> bool {
        true
    }
}

/// Nobody has a token.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTokens;

impl TokenSource for NoTokens {
    fn namespace(&self, _token: &str) -> Option<Scope> {
        None
    }

    fn has_any(&self) -> bool {
        false
    }
}

/// Takes what happened to jobs.
pub trait JobSink: Send + Sync {
    /// Takes one event. It is called on the queue's thread and must never block; what it cannot keep it drops and counts.
    fn record(&self, event: JobEvent);

    /// Takes an alert that was raised or cleared, on the queue's second thread. It must not block either.
    fn alert(&self, event: AlertEvent);
}

/// Nobody wants to know.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSink;

impl JobSink for NoSink {
    fn record(&self, _event: JobEvent) {}

    fn alert(&self, _event: AlertEvent) {}
}

/// Something that happened to a job that was put with a trace context. It is told once it is durable, never before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobEvent {
    /// When.
    pub time: Wall,
    /// The context in which the job was put.
    pub trace: TraceContext,
    /// Whose job it is.
    pub namespace: Namespace,
    /// The job's tube.
    pub tube: TubeName,
    /// The job.
    pub job: JobId,
    /// What happened.
    pub what: JobChange,
    /// How often it was reserved so far.
    pub reserves: u32,
    /// Bytes of its body.
    pub bytes: u32,
    /// Milliseconds since it was put.
    pub age_ms: u64,
}

/// What alerts are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlertKind {
    /// The age of the oldest ready job.
    Age,
    /// The time until ready and reserved jobs are gone.
    Drain,
}

impl AlertKind {
    /// The word that is shown.
    pub fn word(self) -> &'static str {
        match self {
            AlertKind::Age => "age",
            AlertKind::Drain => "drain",
        }
    }
}

/// An alert was raised or cleared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertEvent {
    /// When.
    pub time: Wall,
    /// Whose tube it is.
    pub namespace: Namespace,
    /// The tube.
    pub tube: String,
    /// What it is about.
    pub kind: AlertKind,
    /// Raised, or cleared.
    pub raised: bool,
    /// How much it is; `None` when it will never end.
    pub value_ms: Option<u64>,
    /// How much it may be.
    pub limit_ms: u64,
}

/// What can happen to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobChange {
    /// It was put.
    Put,
    /// Somebody reserved it.
    Reserved,
    /// It was deleted.
    Deleted,
    /// Its tube was full, and newer ones took its place.
    Dropped,
    /// Its holder gave it back.
    Released,
    /// It was put aside.
    Buried,
    /// Its lease ran out.
    TimedOut,
    /// It was kicked out of its delay or its grave.
    Kicked,
    /// It had all its attempts.
    Died,
    /// It was brought back from the dead.
    Replayed,
}

impl JobChange {
    /// The word that records carry.
    pub fn word(self) -> &'static str {
        match self {
            JobChange::Put => "put",
            JobChange::Reserved => "reserved",
            JobChange::Deleted => "deleted",
            JobChange::Dropped => "dropped",
            JobChange::Released => "released",
            JobChange::Buried => "buried",
            JobChange::TimedOut => "timed out",
            JobChange::Kicked => "kicked",
            JobChange::Died => "died",
            JobChange::Replayed => "replayed",
        }
    }
}
