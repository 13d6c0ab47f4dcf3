//! Rows of `forebay certs`.

use serde::{Deserialize, Serialize};

/// A certificate that HTTPS is served with, or that is asked for and not there yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateRow {
    /// The hosts that it is for.
    pub names: Vec<String>,
    /// `file`, or `acme`: from an authority.
    pub source: String,
    /// The file that it was read from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// `good`, `ending` (less than a sixth of its time is left), `over`, or `missing`.
    pub state: String,
    /// When its time begins, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before_ms: Option<u64>,
    /// When its time ends, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after_ms: Option<u64>,
    /// Whether an OCSP response goes out with it.
    pub stapled: bool,
    /// Whether clients may refuse it without one.
    pub must_staple: bool,
    /// Whether an order is under way.
    pub ordering: bool,
    /// When the authority is asked next, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_ms: Option<u64>,
    /// Orders that failed since the last one that did not.
    pub failures: u32,
    /// Why the last order failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

impl CertificateRow {
    /// The word for a certificate of this time at a moment, all in milliseconds since 1970.
    #[must_use]
    pub fn state_at(now_ms: u64, not_before_ms: u64, not_after_ms: u64) -> &'static str {
        match not_after_ms.saturating_sub(now_ms) {
            0 => "over",
            left if left < not_after_ms.saturating_sub(not_before_ms) / 6 => "ending",
            _ => "good",
        }
    }
}
