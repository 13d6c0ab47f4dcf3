//! When a route, or one endpoint, is given a rest.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When a breaker opens, and how it closes again. While it is open nothing is sent; then one request at a time goes
/// through as a probe: its success closes the breaker, its failure opens it for longer.
///
/// A reply of 500 and above is a failure, and so is no reply. 429 counts against the share of successes but not as a
/// failure in a row, and a probe that gets it has failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BreakerConfig {
    /// Failures in a row that open it; 0: no number of them does.
    pub failures_in_a_row: u32,
    /// Successes per hundred requests of the window; with fewer it opens. 0: no share does.
    #[schemars(range(max = 100))]
    pub success_percent: u8,
    /// Requests in the window below which the share of successes says nothing.
    #[schemars(range(min = 1))]
    pub requests_min: u32,
    /// How far the share of successes looks back.
    #[schemars(range(min = 100, max = 3_600_000))]
    pub window_ms: u32,
    /// How long it stays open the first time, give or take a quarter; doubles from one failed probe to the next. A
    /// `Retry-After` of the application makes it longer.
    #[schemars(range(min = 10, max = 3_600_000))]
    pub pause_ms: u32,
    /// The longest time that it stays open without a probe.
    #[schemars(range(min = 10, max = 3_600_000))]
    pub pause_longest_ms: u32,
}

impl Default for BreakerConfig {
    fn default() -> BreakerConfig {
        BreakerConfig {
            failures_in_a_row: 5,
            success_percent: 50,
            requests_min: 20,
            window_ms: 10_000,
            pause_ms: 1_000,
            pause_longest_ms: 60_000,
        }
    }
}
