//! What a client gets when the application cannot answer, and when the application is told to do less.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is answered in place of the router's own errors: another upstream's answer, and where that fails too, or there is
/// none, a page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FallbackConfig {
    /// A file with the page, beside the file that this stands in; at most 256 KiB of UTF-8. It is read with the
    /// configuration.
    pub file: Option<String>,
    /// The page itself.
    #[schemars(length(max = 262_144))]
    pub text: Option<String>,
    /// The page's `Content-Type`.
    #[schemars(length(min = 1, max = 200))]
    pub content_type: String,
    /// The page's status. Absent: that of the error that it stands for.
    #[schemars(range(min = 200, max = 599))]
    pub status: Option<u16>,
    /// The upstream, or in a manifest the process, that is asked instead. Requests with content are passed on to it only
    /// when nothing of them was sent.
    pub upstream: Option<String>,
    /// Whether the application's own answers of 500 and above are replaced too.
    pub errors: bool,
    /// Whether the application is not asked at all: for routes that are there only from a degrade level on.
    pub always: bool,
}

impl Default for FallbackConfig {
    fn default() -> FallbackConfig {
        FallbackConfig {
            file: None,
            text: None,
            content_type: "text/html; charset=utf-8".into(),
            status: None,
            upstream: None,
            errors: false,
            always: false,
        }
    }
}

/// At which degrade levels of its application a route is there. A level is set by hand or by load: 0 is normal, 3 the
/// least that the application can do. Applications read the level in `Forebay-Degrade`, which is absent at 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DegradeConfig {
    /// The first level.
    #[schemars(range(max = 3))]
    pub from: u8,
    /// The last level.
    #[schemars(range(max = 3))]
    pub to: u8,
}

impl Default for DegradeConfig {
    fn default() -> DegradeConfig {
        DegradeConfig { from: 0, to: 3 }
    }
}
