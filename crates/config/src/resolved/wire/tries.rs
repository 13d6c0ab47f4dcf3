//! What a stored route says about its tries.

use router::config::{HedgeConfig, RetryConfig};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Retry {
    statuses: Vec<u16>,
    backoff_ms: u32,
    backoff_limit_ms: u32,
    body_memory_bytes_max: u64,
    body_disk_bytes_max: u64,
}

impl Default for Retry {
    fn default() -> Retry {
        Retry {
            statuses: Vec::new(),
            backoff_ms: 10,
            backoff_limit_ms: 250,
            body_memory_bytes_max: 65_536,
            body_disk_bytes_max: 0,
        }
    }
}

impl From<RetryConfig> for Retry {
    fn from(from: RetryConfig) -> Retry {
        let RetryConfig { statuses, backoff_ms, backoff_limit_ms, body_memory_bytes_max, body_disk_bytes_max } = from;
        Retry { statuses, backoff_ms, backoff_limit_ms, body_memory_bytes_max, body_disk_bytes_max }
    }
}

impl From<Retry> for RetryConfig {
    fn from(from: Retry) -> RetryConfig {
        let Retry { statuses, backoff_ms, backoff_limit_ms, body_memory_bytes_max, body_disk_bytes_max } = from;
        RetryConfig { statuses, backoff_ms, backoff_limit_ms, body_memory_bytes_max, body_disk_bytes_max }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Hedge {
    delay_ms: Option<u32>,
    percentile: u8,
    floor_ms: u32,
}

impl Default for Hedge {
    fn default() -> Hedge {
        Hedge { delay_ms: None, percentile: 95, floor_ms: 2 }
    }
}

impl From<HedgeConfig> for Hedge {
    fn from(from: HedgeConfig) -> Hedge {
        let HedgeConfig { delay_ms, percentile, floor_ms } = from;
        Hedge { delay_ms, percentile, floor_ms }
    }
}

impl From<Hedge> for HedgeConfig {
    fn from(from: Hedge) -> HedgeConfig {
        let Hedge { delay_ms, percentile, floor_ms } = from;
        HedgeConfig { delay_ms, percentile, floor_ms }
    }
}
