//! What a stored manifest says of a tube.

use queue::config::{TubeConfig, WhenFull};
use queue::durability::Durability;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Tube {
    jobs_max: u64,
    bytes_max: u64,
    age_max_ms: u64,
    when_full: WhenFull,
    in_flight_max: u32,
    rate_per_s: u32,
    attempts_max: u32,
    retry_delay_ms: u64,
    retry_delay_max_ms: u64,
    retry_jitter_percent: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    dead_letter: Option<String>,
    alert_age_ms: u64,
    alert_drain_ms: u64,
    durability: Durability,
}

impl Default for Tube {
    fn default() -> Tube {
        Tube::from(&TubeConfig::default())
    }
}

impl From<&TubeConfig> for Tube {
    fn from(from: &TubeConfig) -> Tube {
        let TubeConfig {
            jobs_max,
            bytes_max,
            age_max_ms,
            when_full,
            in_flight_max,
            rate_per_s,
            attempts_max,
            retry_delay_ms,
            retry_delay_max_ms,
            retry_jitter_percent,
            dead_letter,
            alert_age_ms,
            alert_drain_ms,
            durability,
        } = from.clone();
        Tube {
            jobs_max,
            bytes_max,
            age_max_ms,
            when_full,
            in_flight_max,
            rate_per_s,
            attempts_max,
            retry_delay_ms,
            retry_delay_max_ms,
            retry_jitter_percent,
            dead_letter,
            alert_age_ms,
            alert_drain_ms,
            durability,
        }
    }
}

impl From<Tube> for TubeConfig {
    fn from(from: Tube) -> TubeConfig {
        let Tube {
            jobs_max,
            bytes_max,
            age_max_ms,
            when_full,
            in_flight_max,
            rate_per_s,
            attempts_max,
            retry_delay_ms,
            retry_delay_max_ms,
            retry_jitter_percent,
            dead_letter,
            alert_age_ms,
            alert_drain_ms,
            durability,
        } = from;
        TubeConfig {
            jobs_max,
            bytes_max,
            age_max_ms,
            when_full,
            in_flight_max,
            rate_per_s,
            attempts_max,
            retry_delay_ms,
            retry_delay_max_ms,
            retry_jitter_percent,
            dead_letter,
            alert_age_ms,
            alert_drain_ms,
            durability,
        }
    }
}
