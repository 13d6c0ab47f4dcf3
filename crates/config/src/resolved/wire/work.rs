//! What works on an application's tubes, as it is stored: deliveries by HTTP and periodic jobs.

use queue::cron::{CatchUp, CronConfig};
use queue::push::PushConfig;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(super) struct Push {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    process: Option<String>,
    #[serde(default = "root")]
    path: String,
    #[serde(default = "four")]
    concurrency_max: u16,
    #[serde(default = "half_a_minute")]
    timeout_ms: u32,
}

fn root() -> String {
    "/".into()
}

fn four() -> u16 {
    4
}

fn half_a_minute() -> u32 {
    30_000
}

#[derive(Serialize, Deserialize)]
pub(super) struct Cron {
    schedule: String,
    #[serde(default = "utc")]
    time_zone: String,
    tube: String,
    #[serde(default)]
    body: String,
    #[serde(default = "pri")]
    pri: u32,
    #[serde(default = "ttr_s")]
    ttr_s: u32,
    #[serde(default)]
    catch_up: Missed,
    #[serde(default)]
    jitter_ms: u32,
}

fn utc() -> String {
    "UTC".into()
}

fn pri() -> u32 {
    65_536
}

fn ttr_s() -> u32 {
    60
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Missed {
    None,
    #[default]
    One,
    All,
}

impl From<&PushConfig> for Push {
    fn from(from: &PushConfig) -> Push {
        let PushConfig { url, process, path, concurrency_max, timeout_ms } = from.clone();
        Push { url, process, path, concurrency_max, timeout_ms }
    }
}

impl From<Push> for PushConfig {
    fn from(from: Push) -> PushConfig {
        let Push { url, process, path, concurrency_max, timeout_ms } = from;
        PushConfig { url, process, path, concurrency_max, timeout_ms }
    }
}

impl From<&CronConfig> for Cron {
    fn from(from: &CronConfig) -> Cron {
        let CronConfig { schedule, time_zone, tube, body, pri, ttr_s, catch_up, jitter_ms } = from.clone();
        let catch_up = match catch_up {
            CatchUp::None => Missed::None,
            CatchUp::One => Missed::One,
            CatchUp::All => Missed::All,
        };
        Cron { schedule, time_zone, tube, body, pri, ttr_s, catch_up, jitter_ms }
    }
}

impl From<Cron> for CronConfig {
    fn from(from: Cron) -> CronConfig {
        let Cron { schedule, time_zone, tube, body, pri, ttr_s, catch_up, jitter_ms } = from;
        let catch_up = match catch_up {
            Missed::None => CatchUp::None,
            Missed::One => CatchUp::One,
            Missed::All => CatchUp::All,
        };
        CronConfig { schedule, time_zone, tube, body, pri, ttr_s, catch_up, jitter_ms }
    }
}
