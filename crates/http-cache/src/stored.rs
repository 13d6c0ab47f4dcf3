//! One stored response without its body: what the policy needs to know of it, worked out once.

use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_RANGE, DATE, ETAG, EXPIRES, LAST_MODIFIED, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::freshness::Freshness;
use crate::policy::{Answer, Hit};
use crate::time::UnixMs;
use crate::vary::Selection;

/// The header section of a stored response, and when it may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub(crate) status: StatusCode,
    /// As they are sent, but for `Age`.
    pub(crate) headers: HeaderMap,
    pub(crate) selection: Selection,
    pub(crate) freshness: Freshness,
    pub(crate) rules: Rules,
    /// Seconds since 1970.
    pub(crate) modified: Option<i64>,
    pub(crate) body_bytes: u64,
}

/// What the response says of its use when it is not fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    /// `no-cache`: never without asking the origin.
    pub(crate) always_ask: bool,
    /// `must-revalidate` or `proxy-revalidate`: never stale, whatever goes wrong.
    pub(crate) never_stale: bool,
    /// `s-maxage`: never stale but as the response itself allows (RFC 9111 section 5.2.2.10).
    pub(crate) stale_if_named: bool,
    pub(crate) stale_while_revalidate_s: Option<u32>,
    pub(crate) stale_if_error_s: Option<u32>,
    /// The longest time that it may be used stale, by its own words and by the options that it was stored under.
    pub(crate) stale_s: u32,
}

impl Stored {
    /// The status it was stored with.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The header fields it was stored with, without those of the connection and without `Age`.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// How old the response is, in seconds.
    #[must_use]
    pub fn age_s(&self, now: UnixMs) -> u32 {
        self.freshness.age_s(now)
    }

    /// Seconds of freshness that are left; negative once it is stale.
    #[must_use]
    pub fn left_s(&self, now: UnixMs) -> i64 {
        self.freshness.left_s(now)
    }

    /// The length of its content.
    #[must_use]
    pub fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// Sets the length of its content, which is known when the last byte has been received.
    pub fn set_body_bytes(&mut self, bytes: u64) {
        self.body_bytes = bytes;
    }

    /// The same response, stale from `now` on: a purge that leaves a copy for when the origin fails.
    #[must_use]
    pub fn expired(&self, now: UnixMs) -> Stored {
        let mut stored = self.clone();
        stored.freshness = self.freshness.expired(now);
        stored
    }

    /// What the header section weighs in memory, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        // The map holds an index slot, a hash and a bucket per field.
        const FIELD: usize = size_of::<HeaderName>() + size_of::<HeaderValue>() + 24;
        let fields: usize = self.headers.iter().map(|(name, value)| FIELD + name.as_str().len() + value.len()).sum();
        size_of::<Stored>() + fields + self.selection.bytes()
    }

    /// Status and header fields of an answer from this response. Only the bytes of the body are still missing.
    #[must_use]
    pub fn reply(&self, hit: &Hit) -> (StatusCode, HeaderMap) {
        let (status, mut headers) = match &hit.answer {
            Answer::Whole => (self.status, self.headers.clone()),
            Answer::NotModified => (StatusCode::NOT_MODIFIED, self.fields_of_304()),
            Answer::Range(range) => {
                let mut headers = self.headers.clone();
                headers.insert(CONTENT_LENGTH, (range.end - range.start).into());
                let place = format!("bytes {}-{}/{}", range.start, range.end - 1, self.body_bytes);
                set(&mut headers, CONTENT_RANGE, &place);
                (StatusCode::PARTIAL_CONTENT, headers)
            }
            Answer::Unsatisfiable => {
                let mut headers = HeaderMap::new();
                set(&mut headers, CONTENT_RANGE, &format!("bytes */{}", self.body_bytes));
                headers.insert(CONTENT_LENGTH, 0.into());
                (StatusCode::RANGE_NOT_SATISFIABLE, headers)
            }
        };
        headers.insert(http::header::AGE, hit.age_s.into());
        (status, headers)
    }

    /// RFC 9110 section 15.4.5; `Last-Modified` only where no tag says more.
    fn fields_of_304(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let modified = (!self.headers.contains_key(ETAG)).then_some(LAST_MODIFIED);
        for name in [CACHE_CONTROL, CONTENT_LOCATION, DATE, ETAG, EXPIRES, VARY].into_iter().chain(modified) {
            for value in self.headers.get_all(&name) {
                headers.append(name.clone(), value.clone());
            }
        }
        headers
    }
}

impl AsRef<Stored> for Stored {
    fn as_ref(&self) -> &Stored {
        self
    }
}

/// Sets a field to a text of printable ASCII.
pub(crate) fn set(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}
