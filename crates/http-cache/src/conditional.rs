//! Conditions, on both sides: those of clients are answered from the cache (RFC 9111 section 4.3.2), and the origin is asked
//! whether what is stored still holds (section 4.3.1).

use http::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::freshness::field;
use crate::policy::{Answer, Request};
use crate::range::{self, Ranges};
use crate::stored::Stored;
use crate::time::UnixMs;
use crate::{date, etag};

/// The conditions that a request to the origin carries. They replace the client's, which the cache answers itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// For `If-None-Match`
    pub if_none_match: Option<HeaderValue>,
    /// For `If-Modified-Since`
    pub if_modified_since: Option<HeaderValue>,
}

/// At most so many tags of stored variants are offered to the origin.
const TAGS_OFFERED_MAX: usize = 8;

impl Conditions {
    pub(crate) fn of(stored: &Stored) -> Conditions {
        Conditions {
            if_none_match: etag::of(&stored.headers).cloned(),
            if_modified_since: stored.modified.and_then(|_| stored.headers.get(LAST_MODIFIED).cloned()),
        }
    }

    /// Offers the tags of all that is stored for the URL, though the request selects none of it.
    pub(crate) fn of_any<T: AsRef<Stored>>(stored: &[T]) -> Conditions {
        let tags = stored.iter().filter_map(|stored| etag::of(&stored.as_ref().headers)).map(HeaderValue::as_bytes);
        let list = tags.take(TAGS_OFFERED_MAX).collect::<Vec<_>>().join(&b", "[..]);
        let if_none_match = if list.is_empty() { None } else { HeaderValue::from_bytes(&list).ok() };
        Conditions { if_none_match, if_modified_since: None }
    }

    /// Whether there is nothing to ask.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.if_none_match.is_none() && self.if_modified_since.is_none()
    }

    /// Makes the header fields of a client's request those of one for the whole response, under these conditions. The
    /// default value asks without any.
    pub fn apply(&self, headers: &mut HeaderMap) {
        for name in [IF_NONE_MATCH, IF_MODIFIED_SINCE, RANGE, IF_RANGE] {
            headers.remove(name);
        }
        if let Some(tags) = &self.if_none_match {
            headers.insert(IF_NONE_MATCH, tags.clone());
        }
        if let Some(date) = &self.if_modified_since {
            headers.insert(IF_MODIFIED_SINCE, date.clone());
        }
    }
}

/// Whether a client that sent `request` has this response already, which is then answered with 304.
#[must_use]
pub fn not_modified(request: &HeaderMap, status: StatusCode, response: &HeaderMap, now: UnixMs) -> bool {
    if status != StatusCode::OK {
        return false;
    }
    let mut lists = request.get_all(IF_NONE_MATCH).iter().peekable();
    if lists.peek().is_some() {
        let tag = etag::of(response).map(HeaderValue::as_bytes);
        return lists.any(|list| {
            list.as_bytes() == b"*" || tag.is_some_and(|tag| etag::any(list.as_bytes(), tag, etag::weak_equal))
        });
    }
    let now = now.seconds();
    let since = field(request, IF_MODIFIED_SINCE, now);
    let changed = || field(response, LAST_MODIFIED, now).or_else(|| field(response, http::header::DATE, now));
    since.is_some_and(|since| changed().is_some_and(|changed| changed <= since))
}

/// What of a stored response answers the request.
pub(crate) fn answer(request: &Request<'_>, stored: &Stored, now: UnixMs) -> Answer {
    if not_modified(request.headers, stored.status, &stored.headers, now) {
        return Answer::NotModified;
    }
    let ranged = request.method == Method::GET && stored.status == StatusCode::OK && stored.body_bytes > 0;
    let field = request.headers.get(RANGE).filter(|_| ranged && if_range(request.headers, stored, now));
    match field.and_then(|field| range::parse_range(field.as_bytes())) {
        None => Answer::Whole,
        Some(ranges) => match range::resolve(&ranges, stored.body_bytes) {
            Ranges::Whole => Answer::Whole,
            Ranges::One(range) => Answer::Range(range),
            Ranges::Unsatisfiable => Answer::Unsatisfiable,
        },
    }
}

/// Whether `If-Range` lets the range be served: equal strong tags, or the very same date (RFC 9110 section 13.1.5).
fn if_range(request: &HeaderMap, stored: &Stored, now: UnixMs) -> bool {
    let Some(condition) = request.get(IF_RANGE).map(HeaderValue::as_bytes) else { return true };
    if condition.contains(&b'"') {
        return etag::of(&stored.headers).is_some_and(|tag| etag::strong_equal(condition, tag.as_bytes()));
    }
    let asked = date::parse(condition, now.seconds());
    asked.is_some() && asked == stored.modified
}

/// Whether `If-Match` and `If-Unmodified-Since` are satisfied by what is stored. Where they are not, the origin may know
/// better, so this never makes a 412.
pub(crate) fn holds(request: &HeaderMap, stored: &Stored, now: UnixMs) -> bool {
    let mut lists = request.get_all(IF_MATCH).iter().peekable();
    if lists.peek().is_some() {
        let tag = etag::of(&stored.headers).map(HeaderValue::as_bytes);
        return lists.any(|list| tag.is_some_and(|tag| etag::any(list.as_bytes(), tag, etag::strong_equal)));
    }
    match (field(request, IF_UNMODIFIED_SINCE, now.seconds()), stored.modified) {
        (Some(asked), Some(modified)) => modified <= asked,
        _ => false,
    }
}
