//! How much may be under way at once, who waits, and who comes first.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RequestMatch;

/// How many requests may be under way at once, and how many wait for their turn. A request that could not be answered
/// within its deadline is refused at once, and so is one that finds the line full of requests that come before it: 503
/// with `Retry-After`. While the line is never empty the newest of a priority goes first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitConfig {
    /// Requests under way at once, to the last byte of their reply; with `adaptive` the most that it may come to.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub in_flight_max: u32,
    /// Whether the limit is found from latency: it falls when requests take longer because of each other, and rises while
    /// they do not.
    pub adaptive: bool,
    /// The least that an adaptive limit may come to.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub in_flight_min: u32,
    /// Requests that wait for their turn; beyond it the one that comes last gets 503.
    #[schemars(range(max = 1_000_000))]
    pub waiting_max: u32,
    /// The longest time that a request waits for its turn; beyond it 503.
    #[schemars(range(min = 1, max = 3_600_000))]
    pub wait_ms: u32,
}

impl Default for LimitConfig {
    fn default() -> LimitConfig {
        LimitConfig { in_flight_max: 100, adaptive: false, in_flight_min: 4, waiting_max: 200, wait_ms: 1_000 }
    }
}

/// Who comes first where requests wait. 0 comes before 1, and so on to 7.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PriorityConfig {
    /// The priority of requests that no class takes.
    #[schemars(range(max = 7))]
    pub default: u8,
    /// Classes of requests; the first that takes a request counts.
    #[schemars(length(max = 64))]
    pub classes: Vec<PriorityClass>,
}

impl Default for PriorityConfig {
    fn default() -> PriorityConfig {
        PriorityConfig { default: 4, classes: Vec::new() }
    }
}

/// One class of requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("unevaluatedProperties" = false))]
pub struct PriorityClass {
    /// Which requests.
    #[serde(flatten)]
    pub of: RequestMatch,
    /// Their priority.
    #[schemars(range(max = 7))]
    pub priority: u8,
}
