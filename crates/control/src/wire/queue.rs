//! The rows of the queue: tubes, jobs, and how the plane itself does.

use serde::{Deserialize, Serialize};
use stdx::ids::{AppName, EnvName};

/// One row of `forebay queue ls`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct QueueRow {
    /// The application whose namespace the tube is in; absent for the shared one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<AppName>,
    /// Its environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvName>,
    /// The tube's name.
    pub tube: String,
    /// Jobs ready to be reserved.
    pub ready: u64,
    /// Jobs reserved by somebody.
    pub reserved: u64,
    /// Jobs waiting for their time.
    pub delayed: u64,
    /// Jobs put aside.
    pub buried: u64,
    /// Bytes of job bodies.
    pub bytes: u64,
    /// Age of the oldest ready job in milliseconds; absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_ready_ms: Option<u64>,
    /// Connections waiting for a job of the tube.
    pub waiting: u64,
    /// Jobs ever put.
    pub total: u64,
    /// Jobs ever deleted.
    #[serde(default)]
    pub deleted: u64,
    /// Reservations that ran out of time.
    #[serde(default)]
    pub timeouts: u64,
    /// Reservations that their holders gave back.
    #[serde(default)]
    pub releases: u64,
    /// Attempts that failed, as their holders said.
    #[serde(default)]
    pub failures: u64,
    /// `disk`: an answer means that the job is on disk.
    pub durability: String,
    /// How the tube gets on.
    #[serde(default)]
    pub burden: BurdenRow,
    /// How it is delivered as HTTP; absent when it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push: Option<PushRow>,
    /// Until when nobody gets a job of the tube, in milliseconds since the epoch; absent when it is not paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_until_ms: Option<u64>,
    /// Who paused it; absent when it is not paused, or nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_by: Option<String>,
    /// Why; absent when nobody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_why: Option<String>,
    /// Jobs of the tube that had all their attempts.
    #[serde(default)]
    pub dead: u64,
    /// What is wrong with it, as its alerts say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<AlertRow>,
}

/// A tube that is beyond what its alerts allow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AlertRow {
    /// The application whose tube it is; absent in the shared namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<AppName>,
    /// Its environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvName>,
    /// The tube.
    pub tube: String,
    /// `age` of the oldest ready job, or time to `drain`.
    pub kind: String,
    /// Since when, in milliseconds since the epoch.
    pub since_ms: u64,
    /// How much it is, in milliseconds; absent when it will never end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_ms: Option<u64>,
    /// How much it may be.
    pub limit_ms: u64,
}

/// How a tube gets on: what comes, what goes, and when it will be empty. Rates are of the last minute or so.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BurdenRow {
    /// Jobs put per second.
    pub arrivals_per_s: f64,
    /// Jobs deleted per second.
    pub services_per_s: f64,
    /// When ready and reserved jobs are gone at these rates, in milliseconds: 0 when there are none, absent when more come
    /// than go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_ms: Option<u64>,
}

/// How a tube is delivered as HTTP; counted since the target was set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PushRow {
    /// Where to.
    pub url: String,
    /// `waits for jobs`, `delivers`, or what went wrong last.
    pub state: String,
    /// Posts under way.
    pub under_way: u64,
    /// Jobs that were done.
    pub delivered: u64,
    /// Posts that failed, so that their jobs are tried again or buried.
    pub failed: u64,
    /// Times that the target asked for a pause.
    pub slowed: u64,
    /// Times that it was not reached.
    pub unreached: u64,
}

/// The last tick of a periodic job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CronRow {
    /// Its name.
    pub name: String,
    /// When its last tick was that fired, or when it was new, in milliseconds since the epoch.
    pub last_ms: u64,
}

/// One job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JobRow {
    /// Its number.
    pub id: u64,
    /// The application whose job it is; absent in the shared namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<AppName>,
    /// Its environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvName>,
    /// Its tube.
    pub tube: String,
    /// `ready`, `delayed`, `reserved`, `buried`.
    pub state: String,
    /// Its priority; 0 is the most urgent.
    pub pri: u32,
    /// When it was put, in milliseconds since the epoch.
    pub created_ms: u64,
    /// Milliseconds until its delay or its reservation ends; absent in other states.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_ms: Option<u64>,
    /// Seconds that it was delayed for.
    pub delay_s: u32,
    /// Seconds that a reservation lasts.
    pub ttr_s: u32,
    /// Bytes of its body.
    pub bytes: u64,
    /// How often it was reserved.
    pub reserves: u32,
    /// How often a reservation ran out.
    pub timeouts: u32,
    /// How often it was given back.
    pub releases: u32,
    /// How often it was put aside.
    pub buries: u32,
    /// How often it was kicked.
    pub kicks: u32,
    /// Its reservation's number, to be shown when the job is finished, released, touched; only of a job just reserved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<u32>,
    /// The W3C trace context in which it was put.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Its body where that is text and was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Its body in base64 where it is no text and was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
}

/// How the plane does as a whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct QueueStatus {
    /// Jobs in all tubes.
    pub jobs: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Tubes.
    pub tubes: u64,
    /// Connections of clients.
    pub connections: u64,
    /// Jobs are refused with DRAINING.
    pub draining: bool,
    /// Jobs are refused because the disk has too little room.
    pub disk_low: bool,
    /// Delayed jobs that are due so late that memory knows of them by bucket only.
    #[serde(default)]
    pub far_jobs: u64,
    /// Memory that jobs, keys, bodies, answers and connections take.
    #[serde(default)]
    pub memory_bytes: u64,
    /// What of it they may; beyond it jobs are refused.
    #[serde(default)]
    pub memory_bytes_max: u64,
    /// Batches written and synced since the start.
    pub syncs: u64,
    /// Syncs per second, of the last minute or so.
    pub syncs_per_s: f64,
    /// How long a batch took to be written and synced.
    pub sync_ms: LatencyRow,
    /// How long answers waited for their records to be on disk.
    pub ack_ms: LatencyRow,
}

/// Quantiles in milliseconds: each the upper bound of the bucket that it falls into.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LatencyRow {
    /// How many were measured.
    pub count: u64,
    /// Half were faster.
    pub p50: f64,
    /// 99 of 100 were faster.
    pub p99: f64,
}
