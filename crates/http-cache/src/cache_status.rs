//! The `Cache-Status` field (RFC 9211).

use std::fmt;

use http::HeaderValue;

use crate::policy::{Bypass, Forward};

/// What a cache did with one request; its `Display` is one member of the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheStatus<'a> {
    /// The cache's name.
    pub cache: &'a str,
    /// Freshness left, when the answer came from the cache; negative when stale.
    pub hit_left_s: Option<i64>,
    /// What was forwarded, if anything was.
    pub forwarded: Option<Forwarded>,
    /// One word more: why the response was not stored, say.
    pub detail: Option<&'a str>,
}

/// A request that went to the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// `fwd`
    pub why: &'static str,
    /// `fwd-status`, when it differs from the answer's own.
    pub status: Option<u16>,
    /// Whether the response was stored.
    pub stored: bool,
    /// Whether it was another request's fetch.
    pub collapsed: bool,
}

impl Forward {
    /// The token of RFC 9211 section 2.2.
    #[must_use]
    pub fn token(self) -> &'static str {
        match self {
            Forward::UriMiss => "uri-miss",
            Forward::VaryMiss => "vary-miss",
            Forward::Stale => "stale",
            Forward::Request => "request",
            Forward::Partial => "partial",
            Forward::Head => "miss",
        }
    }
}

impl Bypass {
    /// The token of RFC 9211 section 2.2.
    #[must_use]
    pub fn token(self) -> &'static str {
        match self {
            Bypass::Method => "method",
            Bypass::NoStore | Bypass::Precondition => "request",
        }
    }
}

impl CacheStatus<'_> {
    /// As a field's value; `None` only when the cache's name or the detail cannot be written.
    #[must_use]
    pub fn value(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.to_string()).ok()
    }
}

impl fmt::Display for CacheStatus<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.cache)?;
        if let Some(left) = self.hit_left_s {
            write!(f, "; hit; ttl={left}")?;
        }
        if let Some(forwarded) = &self.forwarded {
            write!(f, "; fwd={}", forwarded.why)?;
            if let Some(status) = forwarded.status {
                write!(f, "; fwd-status={status}")?;
            }
            if forwarded.stored {
                f.write_str("; stored")?;
            }
            if forwarded.collapsed {
                f.write_str("; collapsed")?;
            }
        }
        match self.detail {
            Some(detail) => write!(f, "; detail={detail}"),
            None => Ok(()),
        }
    }
}
