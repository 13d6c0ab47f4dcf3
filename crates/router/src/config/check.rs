//! How a router alone checks the endpoints of an upstream.

use std::time::Duration;

use health::Settings;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How endpoints are checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CheckConfig {
    /// The path that answers 200 to 399 when the endpoint can take requests. Absent: whether it takes connections.
    #[schemars(extend("format" = "url-path"))]
    pub path: Option<String>,
    /// The service that says it serves by the health protocol of gRPC (`grpc.health.v1`), in place of `path`; empty: the
    /// server as a whole.
    #[schemars(length(max = 256))]
    pub grpc: Option<String>,
    /// The `Host` of the check. Absent: the endpoint's address.
    #[schemars(extend("format" = "host-name"))]
    pub host: Option<String>,
    /// Time from one check to the next, jittered by a tenth.
    #[schemars(range(min = 10, max = 3_600_000))]
    pub interval_ms: u32,
    /// Time for one check's answer.
    #[schemars(range(min = 10, max = 3_600_000))]
    pub timeout_ms: u32,
    /// Good checks in a row that make an endpoint healthy.
    #[schemars(range(min = 1, max = 100))]
    pub rise: u16,
    /// Bad checks in a row that make it unhealthy.
    #[schemars(range(min = 1, max = 100))]
    pub fall: u16,
}

impl Default for CheckConfig {
    fn default() -> CheckConfig {
        CheckConfig { path: None, grpc: None, host: None, interval_ms: 2_000, timeout_ms: 1_000, rise: 2, fall: 3 }
    }
}

impl CheckConfig {
    /// In the checker's units.
    pub(crate) fn settings(&self) -> Settings {
        let ms = |ms: u32| Duration::from_millis(ms.into());
        Settings { interval: ms(self.interval_ms), timeout: ms(self.timeout_ms), rise: self.rise, fall: self.fall }
    }
}
