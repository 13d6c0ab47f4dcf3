//! `https` of a route.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a route asks of requests that came without TLS, and tells those that came with it. A request has come with TLS when
/// its connection has, or when a trusted peer says so in `X-Forwarded-Proto`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HttpsConfig {
    /// Whether requests without TLS are sent to the same address with it, by 308.
    pub redirect: bool,
    /// How long browsers come with TLS only (`Strict-Transport-Security`), said in replies to requests with TLS. 0: until
    /// now only. Absent: not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hsts_max_age_s: Option<u32>,
    /// Whether that holds for all hosts below this one too.
    pub hsts_subdomains: bool,
}

impl Default for HttpsConfig {
    fn default() -> HttpsConfig {
        HttpsConfig { redirect: true, hsts_max_age_s: None, hsts_subdomains: false }
    }
}
