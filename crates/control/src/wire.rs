//! The rows of the admin API, which are also what `--json` prints. Internal types are converted into these at the edge;
//! a field may be added, none may change its meaning.

pub mod certificates;
pub mod figures;
mod queue;
pub mod router;

pub use queue::{AlertRow, BurdenRow, CronRow, JobRow, LatencyRow, PushRow, QueueRow, QueueStatus};

use serde::{Deserialize, Serialize};
use stdx::ids::{AppName, EnvName, ProcessName, ReleaseNo};

/// Every listing: `{"schema": 1, "items": [...]}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Listing<T> {
    /// The version of the row format.
    pub schema: u32,
    /// The rows.
    pub items: Vec<T>,
}

impl<T> Listing<T> {
    /// A listing of the present schema.
    pub fn new(items: Vec<T>) -> Listing<T> {
        Listing { schema: 1, items }
    }
}

/// One row of `forebay ps`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceRow {
    /// The application.
    pub app: AppName,
    /// Its environment.
    pub environment: EnvName,
    /// The process type.
    pub process: ProcessName,
    /// `web.17`, never reused on a node.
    pub instance: String,
    /// The process id, 0 while there is none.
    pub pid: u32,
    /// The port it was given, 0 when it has none.
    pub port: u16,
    /// The release it runs.
    pub release: ReleaseNo,
    /// `starting`, `running`, `draining`, `stopping`, `backoff`, `crash-loop`, `exited`.
    pub state: String,
    /// `healthy`, `unhealthy`, `unknown`, or `none` for a process without a check.
    pub health: String,
    /// Seconds since the age of the last check's answer, absent when never checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked_s_ago: Option<u64>,
    /// Nobody has checked it for three intervals.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unchecked: bool,
    /// Crashes since the release started.
    pub restarts: u32,
    /// Nanoseconds since the epoch at which it was started.
    pub started_ns: u64,
    /// `none`, `uid`, `cgroup`, `uid+cgroup`.
    pub isolation: String,
    /// Why it is in a bad state, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Something outside that an application depends on, as `forebay ps` says it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DependencyRow {
    /// The application.
    pub app: AppName,
    /// Its environment.
    pub environment: EnvName,
    /// The name in the manifest.
    pub dependency: String,
    /// `healthy`, `unhealthy`, `unknown`, or `unchecked` when nobody has checked it for three intervals.
    pub health: String,
    /// Seconds since the last result.
    pub checked_s_ago: u64,
    /// Why it is not well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One plane as `forebay ps` and health say it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlaneRow {
    /// `router`, `queue`, `logs`, `deploy`.
    pub plane: String,
    /// `running`, `full` (it refuses what needs room, and goes on by itself), `draining`, `failed`, `stopped`.
    pub state: String,
    /// Why, when it is full or has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The process that answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessRow {
    /// Its process id.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// Nanoseconds since the epoch at which it began.
    pub started_ns: u64,
    /// The last upgrade that somebody wanted of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<UpgradeRow>,
}

/// An upgrade of a process to a new binary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UpgradeRow {
    /// `under_way`, `failed`, or `done`: another process serves, and this one ends.
    pub state: String,
    /// Nanoseconds since the epoch at which that began.
    pub since_ns: u64,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<crate::error::ApiError>,
}

/// One row of `forebay releases`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReleaseRow {
    /// The application.
    pub app: AppName,
    /// Its environment.
    pub environment: EnvName,
    /// The release's number.
    pub release: ReleaseNo,
    /// `preparing`, `starting`, `serving`, `retired`, `failed`.
    pub state: String,
    /// Nanoseconds since the epoch.
    pub created_ns: u64,
    /// `deploy` or `rollback to v2`.
    pub origin: String,
    /// SHA-256 of the source, 64 hex digits.
    pub digest: String,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What serves of an application: by this `forebay up` tells whether a folder has changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServingRow {
    /// The serving release; absent before the first deploy has succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseNo>,
    /// SHA-256 of its source, 64 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// One log record, as `forebay logs --json` and `forebay trace --json` print it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogRow {
    /// Nanoseconds since the epoch, UTC.
    pub time_ns: u64,
    /// Breaks ties: records of one nanosecond in the order of their arrival.
    pub seq: u64,
    /// `app`, `router`, `queue`, `deploy`, `node`.
    pub source: String,
    /// The application, where it is of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<AppName>,
    /// Its environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvName>,
    /// The process type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessName>,
    /// The instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseNo>,
    /// `stdout`, `stderr`, or absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// `emergency`, `alert`, `critical`, `error`, `warning`, `notice`, `info`, `debug` (RFC 5424).
    pub level: String,
    /// The trace, 32 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// The span, 16 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<String>,
    /// The text.
    pub message: String,
    /// The fields of a structured record.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub fields: serde_json::Map<String, serde_json::Value>,
}

/// One line of a deploy's, rollback's or scale's progress.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Progress {
    /// A phase began.
    Phase {
        /// Which of how many.
        step: u8,
        /// How many there are.
        steps: u8,
        /// What is done: `start web: 2 instances`.
        what: String,
    },
    /// Something worth saying inside a phase.
    Note {
        /// The sentence.
        text: String,
    },
    /// It is done.
    Done {
        /// The release that serves now.
        release: ReleaseNo,
        /// Milliseconds that it took.
        took_ms: u64,
    },
    /// It failed; what served before serves on.
    Failed {
        /// Why.
        error: crate::error::ApiError,
    },
}

/// One row of `forebay secrets ls`: never the value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SecretRow {
    /// The secret's name.
    pub key: String,
    /// Counts up with each `set`.
    pub version: u32,
    /// When this version was set, nanoseconds since the epoch.
    pub set_ns: u64,
}
