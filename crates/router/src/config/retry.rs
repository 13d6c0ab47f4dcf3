//! `retry` of a route.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is retried beside tries without a reply, and how long a retry waits. How many there may be says `retries_max`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetryConfig {
    /// Statuses of replies after which a request that may be repeated is tried again, such as 502, 503, 504. When there is
    /// no further try the client gets the reply that there is.
    #[schemars(inner(range(min = 400, max = 599)), length(max = 100))]
    pub statuses: Vec<u16>,
    /// The wait before the first retry, jittered down to half; it doubles with each. A try without a reply is retried at
    /// once while there is an endpoint that was not asked yet.
    #[schemars(range(max = 60_000))]
    pub backoff_ms: u32,
    /// The wait doubles up to this.
    #[schemars(range(max = 60_000))]
    pub backoff_limit_ms: u32,
    /// Bytes of a request's content kept in memory so that another try can send them again.
    pub body_memory_bytes_max: u64,
    /// Bytes of a request's content that go to disk beyond those; beyond both the request is not repeated.
    pub body_disk_bytes_max: u64,
}

impl Default for RetryConfig {
    fn default() -> RetryConfig {
        RetryConfig {
            statuses: Vec::new(),
            backoff_ms: 10,
            backoff_limit_ms: 250,
            body_memory_bytes_max: 64 << 10,
            body_disk_bytes_max: 0,
        }
    }
}
