//! How often the same client may ask.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many requests each key may make in a time. Beyond it 429 with `Retry-After`; every reply says what is left in
/// `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers). The count is one for all workers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RateConfig {
    /// What is counted apart: `ip`, `path`, `route` (all together), `header:NAME` or `cookie:NAME`. A request without the
    /// field or the cookie is counted by its address.
    #[schemars(with = "String", extend("format" = "request-key"))]
    pub key: RequestKey,
    /// Requests in a window.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub requests: u32,
    /// The window. What is spent comes back evenly over it.
    #[schemars(range(min = 1, max = 86_400))]
    pub window_s: u32,
    /// Requests that may come at once. Absent: as many as in a window.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub burst: Option<u32>,
    /// Keys that are remembered; beyond it those are forgotten that have spent least.
    #[schemars(range(min = 8, max = 4_194_304))]
    pub keys_max: u32,
}

impl Default for RateConfig {
    fn default() -> RateConfig {
        RateConfig { key: RequestKey::Ip, requests: 100, window_s: 60, burst: None, keys_max: 65_536 }
    }
}

/// What requests are told apart by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum RequestKey {
    /// The client's address.
    Ip,
    /// The path, without the query.
    Path,
    /// Nothing: all requests of a route are alike.
    Route,
    /// The value of a header field.
    Header(String),
    /// The value of a cookie.
    Cookie(String),
}

/// A text that names no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not ip, path, route, header:NAME or cookie:NAME")]
pub struct KeyError(String);

impl FromStr for RequestKey {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<RequestKey, KeyError> {
        let name = |name: &str| {
            let good = !name.is_empty()
                && name.len() <= 64
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
            if good { Ok(name.to_owned()) } else { Err(KeyError(text.to_owned())) }
        };
        match text.split_once(':') {
            None if text == "ip" => Ok(RequestKey::Ip),
            None if text == "path" => Ok(RequestKey::Path),
            None if text == "route" => Ok(RequestKey::Route),
            Some(("header", of)) => Ok(RequestKey::Header(name(of)?)),
            Some(("cookie", of)) => Ok(RequestKey::Cookie(name(of)?)),
            _ => Err(KeyError(text.to_owned())),
        }
    }
}

impl TryFrom<String> for RequestKey {
    type Error = KeyError;
    fn try_from(text: String) -> Result<RequestKey, KeyError> {
        text.parse()
    }
}

impl fmt::Display for RequestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RequestKey::Ip => f.write_str("ip"),
            RequestKey::Path => f.write_str("path"),
            RequestKey::Route => f.write_str("route"),
            RequestKey::Header(name) => write!(f, "header:{name}"),
            RequestKey::Cookie(name) => write!(f, "cookie:{name}"),
        }
    }
}

impl From<RequestKey> for String {
    fn from(key: RequestKey) -> String {
        key.to_string()
    }
}
