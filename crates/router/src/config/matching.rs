//! How a policy says which requests it means, and by what it tells them apart.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which requests are meant: those to which everything that is said applies.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RequestMatch {
    /// A header field that the request has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "header-name"))]
    pub header: Option<String>,
    /// A cookie that the request has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "cookie-name"))]
    pub cookie: Option<String>,
    /// The value that the header field or the cookie has; absent: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// A network that the client's address is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "network"))]
    pub network: Option<String>,
}
