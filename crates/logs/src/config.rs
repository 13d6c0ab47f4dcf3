//! What the log plane can be told: `[logs]` of `node.toml`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The log plane's own settings and limits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Bytes on disk; beyond it the oldest segment is removed.
    #[schemars(range(min = 1_048_576))]
    pub retention_bytes: u64,
    /// Bytes of one segment.
    #[schemars(range(min = 65_536, max = 4_294_967_295_i64))]
    pub segment_bytes_max: u64,
    /// Records are made durable at least this often.
    #[schemars(range(min = 1, max = 60_000))]
    pub commit_interval_ms: u32,
    /// Records that somebody awaits (lines of instances) are made durable at once, but not more often than this, so that
    /// lines which come one by one share a sync.
    #[schemars(range(max = 60_000))]
    pub commit_awaited_interval_ms: u32,
    /// Records are made durable when this many bytes wait.
    #[schemars(range(min = 1))]
    pub commit_bytes: u64,
    /// Bytes of records that may wait for the writer; beyond it they are dropped and counted.
    #[schemars(range(min = 65_536))]
    pub pending_bytes_max: u64,
    /// Bytes of one record's message; what is longer is cut and says so.
    #[schemars(range(min = 256, max = 16_777_216))]
    pub message_bytes_max: u32,
    /// Queries that run at once; beyond it one is refused.
    #[schemars(range(min = 1, max = 1_000))]
    pub queries_max: u16,
    /// Live tails at once.
    #[schemars(range(min = 1))]
    pub tails_max: u16,
    /// Records waiting for one slow tail; beyond it they are skipped and it is told how many.
    #[schemars(range(min = 1))]
    pub tail_records_max: u32,
    /// Free disk space below which nothing more is stored.
    pub disk_reserve_bytes: u64,
}

/// The keys that [`Handle::reconfigure`](crate::Handle::reconfigure) applies; the others count at a start.
pub const LIVE_KEYS: [&str; 5] =
    ["retention_bytes", "disk_reserve_bytes", "queries_max", "tails_max", "tail_records_max"];

impl Default for Config {
    fn default() -> Config {
        Config {
            retention_bytes: 2 << 30,
            segment_bytes_max: 16 << 20,
            commit_interval_ms: 1_000,
            commit_awaited_interval_ms: 50,
            commit_bytes: 1 << 20,
            pending_bytes_max: 8 << 20,
            message_bytes_max: 64 << 10,
            queries_max: 4,
            tails_max: 64,
            tail_records_max: 1_000,
            disk_reserve_bytes: 64 << 20,
        }
    }
}
