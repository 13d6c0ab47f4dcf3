//! `[dependencies.NAME]` of a manifest.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something outside that the application cannot do without, checked once per node: exactly one of `tcp`, `http` and
/// `command`. While it is down the application is degraded; its instances stay in rotation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DependencyConfig {
    /// It takes connections here: `db.internal:5432`.
    #[schemars(extend("format" = "name-port"))]
    pub tcp: Option<String>,
    /// It answers `GET` with 200 to 399: `http://search.internal:9200/health`.
    #[schemars(extend("format" = "http-url"))]
    pub http: Option<String>,
    /// A command line, run by `/bin/sh -c` in the release's folder as the application's user: it ends with 0 and prints a
    /// number, such as the lag of a replica in seconds.
    #[schemars(length(min = 1, max = 16_384))]
    pub command: Option<String>,
    /// The largest number that is well.
    #[schemars(range(max = 1_000_000_000))]
    pub command_number_max: u32,
    /// Secrets in the command's environment; all others it does not have.
    #[schemars(extend("maxItems" = 16))]
    pub secrets_env: Vec<String>,
    /// Time from one check to the next, jittered by a tenth.
    #[schemars(range(min = 100, max = 3_600_000))]
    pub interval_ms: u32,
    /// Time for one check; a command is killed then.
    #[schemars(range(min = 10, max = 600_000))]
    pub timeout_ms: u32,
    /// Good checks in a row that bring it up.
    #[schemars(range(min = 1, max = 100))]
    pub rise: u16,
    /// Bad checks in a row that take it down.
    #[schemars(range(min = 1, max = 100))]
    pub fall: u16,
}

impl Default for DependencyConfig {
    fn default() -> DependencyConfig {
        DependencyConfig {
            tcp: None,
            http: None,
            command: None,
            command_number_max: 10,
            secrets_env: Vec::new(),
            interval_ms: 5_000,
            timeout_ms: 2_000,
            rise: 1,
            fall: 3,
        }
    }
}
