//! What a cache's owner may choose where the RFCs leave a choice.

use http::HeaderName;

/// The choices of a [`crate::Policy`]; the default is what is safe in front of an application that knows nothing of caches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Fields that speak to this cache alone and replace `Cache-Control` and `Expires`, first one wins (RFC 9213).
    pub targeted: Vec<HeaderName>,
    /// A freshness for responses that name none (RFC 9111 section 4.2.2); `None` stores them for revalidation only.
    pub heuristic: Option<Heuristic>,
    /// Whether a response that sets a cookie is stored.
    pub set_cookie: SetCookie,
    /// How an `Age` is read that is not one plain number.
    pub age: AgeReading,
    /// Takes `Accept-Language` for its q-values only: the order of equal ones does not matter, and a stored response whose
    /// `Content-Language` is what a request likes best answers it. Leave it off where the application goes by order.
    pub language_by_quality: bool,
    /// Whether clients may ask for less caching or for staler answers (`Cache-Control` in requests, RFC 9111 section 5.2.1).
    pub request_directives: bool,
    /// Serves stale for this many seconds while it revalidates where the response says nothing of it (RFC 5861).
    pub stale_while_revalidate_s: u32,
    /// Serves stale for this many seconds when the origin fails where the response says nothing of it (RFC 5861).
    pub stale_if_error_s: u32,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            targeted: vec![HeaderName::from_static("cdn-cache-control")],
            heuristic: None,
            set_cookie: SetCookie::WhenShared,
            age: AgeReading::Strict,
            language_by_quality: false,
            request_directives: true,
            stale_while_revalidate_s: 0,
            stale_if_error_s: 0,
        }
    }
}

/// Freshness as a share of the time since the last modification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heuristic {
    /// 10 is what RFC 9111 calls typical.
    pub percent: u32,
    /// Never longer than this.
    pub lifetime_s_max: u32,
}

/// What becomes of responses that carry `Set-Cookie`. RFC 9111 section 7.3 allows storing them; a session handed to
/// everybody is what comes of it in front of an application that did not think of caches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetCookie {
    /// They are never stored.
    Never,
    /// They are stored when the response names shared caches: `public`, `s-maxage` or a targeted field.
    WhenShared,
    /// They are stored without the cookie.
    Without,
    /// They are stored like any other.
    Always,
}

/// How `Age` is read when it is not one plain number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgeReading {
    /// What cannot be read says that the response is stale: the safe side.
    Strict,
    /// The first member of a list counts, and what is no number is left aside: the letter of RFC 9111 section 5.1.
    FirstMember,
}
