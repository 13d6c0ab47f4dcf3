//! Rows of `forebay routes` and `forebay upstreams`: what the router is doing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stdx::ids::{AppName, EnvName, ReleaseNo};

/// Latency as counts between bounds, since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistogramRow {
    /// Upper bounds in microseconds.
    pub bounds_us: Vec<u64>,
    /// How many are up to each bound and above the one before; the last counts all beyond.
    pub counts: Vec<u64>,
    /// The sum of all, in microseconds.
    pub sum_us: u64,
}

impl HistogramRow {
    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The time within which this share of them lay, between two bounds in proportion; `None` when there are none.
    pub fn quantile_us(&self, share: f64) -> Option<u64> {
        let rank = share * self.count() as f64;
        let mut below = 0.0;
        let mut lower = 0;
        for (index, count) in self.counts.iter().enumerate() {
            let (count, upper) = (*count as f64, self.bounds_us.get(index).copied().unwrap_or(lower));
            if count > 0.0 && below + count >= rank {
                let inside = (rank - below) / count;
                return Some(lower + ((upper - lower) as f64 * inside) as u64);
            }
            below += count;
            lower = upper;
        }
        None
    }

    /// What was counted since `earlier`.
    pub fn since(&self, earlier: &HistogramRow) -> HistogramRow {
        let before = |index: usize| earlier.counts.get(index).copied().unwrap_or_default();
        HistogramRow {
            bounds_us: self.bounds_us.clone(),
            counts: self.counts.iter().enumerate().map(|(index, count)| count.saturating_sub(before(index))).collect(),
            sum_us: self.sum_us.saturating_sub(earlier.sum_us),
        }
    }
}

/// One row of `forebay routes`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RouteRow {
    /// The route's name.
    pub route: String,
    /// The host that it takes; absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The beginning of the paths that it takes.
    pub path_prefix: String,
    /// Who answers.
    pub upstream: String,
    /// The application, where it is of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<AppName>,
    /// Its environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvName>,
    /// Requests that are over, by the class of their status: `1xx` to `5xx`, `other`.
    pub answered: BTreeMap<String, u64>,
    /// Tries after a failed one.
    pub retries: u64,
    /// Tries beside a slow one.
    pub hedges: u64,
    /// What else decided about requests, and how often: `budget_denied`, `fault`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub events: BTreeMap<String, u64>,
    /// Whether it is being worked on: it answers 503 by itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub maintenance: bool,
    /// Where the breaker stands: `closed`, `open`, `probing`.
    pub breaker: String,
    /// How it stands by hand, where it does: `tripped`, `closed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker_by_hand: Option<String>,
    /// The limit of requests under way, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limiter: Option<LimiterRow>,
    /// Faults that are set.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub faults: u64,
    /// From a request's head to its reply's.
    pub latency: HistogramRow,
}

/// A limit of requests under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimiterRow {
    /// How many there may be.
    pub limit: u32,
    /// How many there are.
    pub in_use: u32,
    /// How many wait for their turn.
    pub waiting: u32,
    /// How many were turned away.
    pub shed: u64,
}

/// One row of `forebay upstreams`: an endpoint in an upstream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndpointRow {
    /// The upstream.
    pub upstream: String,
    /// Where it listens.
    pub endpoint: String,
    /// The instance behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The release that it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseNo>,
    /// `up`, `passed over` (it refused a moment ago), `left alone` (it fails), `out` (checks say so), `draining`.
    pub state: String,
    /// What its checks say: `healthy`, `unhealthy`, `unknown`.
    pub health: String,
    /// Seconds since the last answer to a check; absent when nobody checks it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked_s_ago: Option<u64>,
    /// Somebody should check it, and nobody has for three intervals.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unchecked: bool,
    /// How much it may get compared with the others.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub weight: u32,
    /// It gets requests while nobody of a lower number is up.
    #[serde(default, skip_serializing_if = "is_first")]
    pub priority: u16,
    /// Requests that it has in hand.
    pub in_flight: u32,
    /// What the balancer takes for its latency, in microseconds: recent, and quick to believe the worse.
    pub expected_us: u64,
    /// Tries that are over, by their ends.
    pub tries: BTreeMap<String, u64>,
    /// From the start of a try to its reply's head.
    pub latency: HistogramRow,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_one(weight: &u32) -> bool {
    *weight == 1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_first(priority: &u16) -> bool {
    *priority == 0
}
