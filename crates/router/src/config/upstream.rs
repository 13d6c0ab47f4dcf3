//! What an upstream may say about its endpoints.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rotation::RotationConfig;
use super::{BalanceConfig, EjectionConfig, LimitConfig};

/// What holds for all endpoints of an upstream: `[upstreams.NAME]` of `router.toml`, and of a manifest, where NAME is a
/// process that a route names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UpstreamPolicy {
    /// What they speak.
    pub protocol: Protocol,
    /// How many tries may be made beyond the first ones.
    pub budget: BudgetConfig,
    /// Which of them get requests.
    pub rotation: RotationConfig,
    /// How requests are spread over them. Absent: to the better of two, all of the same weight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balance: Option<BalanceConfig>,
    /// When one that fails is left alone. Absent: only while it refuses connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ejection: Option<EjectionConfig>,
    /// How many requests each endpoint may have under way, all routes together; the line is one for all of them. Absent:
    /// any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<LimitConfig>,
}

/// What endpoints speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    #[serde(rename = "http1")]
    Http1,
    /// HTTP/2 without TLS, by prior knowledge: what gRPC needs.
    #[serde(rename = "h2c")]
    H2c,
}

/// What retries and hedges may add to the load of an upstream, all routes and workers together. When it is spent a
/// request gets the answer of the try that it has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BudgetConfig {
    /// Additional tries per hundred requests of the last ten seconds.
    #[schemars(range(max = 100))]
    pub percent: u8,
    /// Additional tries per second that are allowed with however little traffic, counted over ten seconds; they are not on
    /// top of the share.
    #[schemars(range(max = 10_000))]
    pub floor_per_s: u16,
}

impl Default for BudgetConfig {
    fn default() -> BudgetConfig {
        BudgetConfig { percent: 10, floor_per_s: 2 }
    }
}
