//! Which endpoint a request goes to, and which endpoint is left alone for a while.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BreakerConfig, RequestKey};

/// How requests are spread over the endpoints of an upstream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BalanceConfig {
    /// How an endpoint is chosen.
    pub method: BalanceMethod,
    /// With `hash`, what requests are told apart by: `ip`, `path`, `route`, `header:NAME` or `cookie:NAME`. A request
    /// without the field or the cookie goes by its address.
    #[schemars(with = "String", extend("format" = "request-key"))]
    pub key: RequestKey,
    /// With `hash`, how much more than its share an endpoint may have under way before requests go to the next, in percent.
    #[schemars(range(max = 1_000))]
    pub excess_percent: u16,
    /// A cookie by which a client stays at the endpoint that answered it, for as long as that is up. Absent: none.
    #[schemars(extend("format" = "cookie-name"))]
    pub sticky_cookie: Option<String>,
    /// How long an endpoint that is new, or up again, takes to come to its whole share.
    #[schemars(range(max = 3_600_000))]
    pub slow_start_ms: u32,
    /// How much each endpoint may get compared with the others, by its address; 1 where nothing is said.
    #[schemars(extend("maxProperties" = 1_024))]
    pub weights: BTreeMap<String, u16>,
}

impl Default for BalanceConfig {
    fn default() -> BalanceConfig {
        BalanceConfig {
            method: BalanceMethod::default(),
            key: RequestKey::Ip,
            excess_percent: 25,
            sticky_cookie: None,
            slow_start_ms: 0,
            weights: BTreeMap::new(),
        }
    }
}

/// How an endpoint is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BalanceMethod {
    /// The better of two random ones, by latency times requests under way.
    #[default]
    P2c,
    /// One after the other.
    RoundRobin,
    /// Requests with the same key to the same endpoint; few move when endpoints come and go.
    Hash,
}

/// When an endpoint that fails is left alone. What it takes and how it comes back is as with a route's breaker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EjectionConfig {
    /// Endpoints per hundred that may be left alone at once. When more than these fail it is not their fault: all get
    /// requests.
    #[schemars(range(min = 1, max = 100))]
    pub share_percent: u8,
    /// When it fails, and for how long it is left alone.
    pub breaker: BreakerConfig,
}

impl Default for EjectionConfig {
    fn default() -> EjectionConfig {
        EjectionConfig { share_percent: 50, breaker: BreakerConfig::default() }
    }
}
