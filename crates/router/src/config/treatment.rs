//! What is done with a route's requests before they are passed on, and with the replies to them.

use std::collections::BTreeMap;

use http::header::{self, HeaderName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fields;

/// Whose requests a route takes; others get 403. A client is who it is behind trusted peers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClientsConfig {
    /// Addresses or networks that may ask. Empty: all.
    #[schemars(with = "Vec<super::Network>")]
    pub allow: Vec<String>,
    /// Addresses or networks that may not, also where `allow` has them.
    #[schemars(with = "Vec<super::Network>")]
    pub deny: Vec<String>,
}

/// Where a route's clients are sent instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RedirectConfig {
    /// The address, a whole one or a path, in which `{host}`, `{path}` and `{query}` (with its `?`) stand for the request's.
    #[schemars(length(min = 1, max = 2_000))]
    pub to: String,
    /// 301, 302, 303, 307 or 308.
    #[serde(default = "permanent")]
    #[schemars(range(min = 301, max = 308))]
    pub status: u16,
}

fn permanent() -> u16 {
    308
}

/// How the path is changed on its way to the application. A cache keeps, and purges, by the path that clients ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RewriteConfig {
    /// What stands in place of the route's `path_prefix`; `/` takes it away.
    #[schemars(with = "String", extend("format" = "url-path"), length(max = 2_000))]
    pub prefix: String,
}

/// Header fields that are set and removed. Those that frame a message, end at the router or are its own cannot be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FieldEdits {
    /// Values by name; what the message has of that name goes.
    pub set: BTreeMap<String, String>,
    /// Names.
    pub remove: Vec<String>,
}

/// Why a key of these cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreatmentFault {
    /// The keys from the route's to that which is at fault.
    pub at: Vec<String>,
    /// What is wrong with it.
    pub what: &'static str,
}

impl FieldEdits {
    /// What cannot be done of it.
    pub fn faults(&self) -> Vec<TreatmentFault> {
        let fault = |at: &[&str], what| TreatmentFault { at: at.iter().map(|key| (*key).into()).collect(), what };
        let mut faults = Vec::new();
        for (name, value) in &self.set {
            if let Err(what) = editable(name) {
                faults.push(fault(&["set", name], what));
            }
            if http::HeaderValue::from_str(value).is_err() {
                faults.push(fault(&["set", name], "the value has characters that no header field may have"));
            }
        }
        for name in &self.remove {
            if let Err(what) = editable(name) {
                faults.push(fault(&["remove"], what));
            }
        }
        faults
    }
}

impl RedirectConfig {
    /// What is wrong with it.
    pub fn fault(&self) -> Option<TreatmentFault> {
        let fault = |key: &str, what| Some(TreatmentFault { at: vec![key.into()], what });
        let whole = self.to.starts_with("https://") || self.to.starts_with("http://");
        // `/{path}` would begin with `//`, which is another host.
        let path = self.to.starts_with('/') && !self.to.starts_with("//") && !self.to.starts_with("/{");
        if !whole && !path {
            return fault("to", "it is neither http(s)://HOST... nor a path that begins with a name of its own");
        }
        if http::HeaderValue::from_str(&self.to).is_err() || self.to.contains(' ') {
            return fault("to", "it has characters that no address may have");
        }
        if !matches!(self.status, 301 | 302 | 303 | 307 | 308) {
            return fault("status", "no redirect has this status");
        }
        None
    }
}

/// The name of a field that a route may set or remove.
pub(crate) fn editable(name: &str) -> Result<HeaderName, &'static str> {
    let name = HeaderName::try_from(name).map_err(|_| "this is no name of a header field")?;
    let frames = matches!(
        name,
        header::CONNECTION
            | header::CONTENT_LENGTH
            | header::TRANSFER_ENCODING
            | header::TE
            | header::TRAILER
            | header::UPGRADE
            | header::EXPECT
            | header::HOST
            | header::DATE
    ) || matches!(name.as_str(), "keep-alive" | "proxy-connection");
    if frames || fields::is_ours(&name) || fields::is_forwarded(&name) {
        return Err("this field is the router's own affair");
    }
    if name == fields::TRACEPARENT || name == fields::TRACESTATE {
        return Err("the trace is the router's own affair");
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_frame_a_message_are_left_alone() {
        for name in
            ["Connection", "content-length", "Transfer-Encoding", "host", "forebay-trace", "x-forwarded-for", "a b"]
        {
            let edits = FieldEdits { set: BTreeMap::new(), remove: vec![name.into()] };
            assert_eq!(edits.faults().len(), 1, "{name}");
        }
        let edits =
            FieldEdits { set: [("x-frame-options".into(), "DENY".into())].into(), remove: vec!["server".into()] };
        assert_eq!(edits.faults(), []);
        let edits = FieldEdits { set: [("x-a".into(), "b\r\nx-c: d".into())].into(), remove: Vec::new() };
        assert_eq!(edits.faults()[0].at, ["set", "x-a"]);
    }

    #[test]
    fn a_redirect_goes_where_its_writer_meant() {
        let fault =
            |to: &str, status| RedirectConfig { to: to.into(), status }.fault().map(|fault| fault.at[0].clone());
        assert_eq!(fault("https://new.example{path}{query}", 308), None);
        assert_eq!(fault("/new", 302), None);
        for wrong in ["//other.example", "/{path}", "{path}", "ftp://a", "new", "/a b"] {
            assert_eq!(fault(wrong, 308).as_deref(), Some("to"), "{wrong}");
        }
        assert_eq!(fault("/new", 304).as_deref(), Some("status"));
    }
}
