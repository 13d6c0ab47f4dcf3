//! Pages that are put together of fragments (ESI 1.0): `esi` parses, assembles and knows when a fragment is late; this drives
//! it. Each fragment is a request of its own through the same gate, routes, limits and caches (`fetch`), a task on its page's
//! worker and a span in its page's trace. What a page may ask for `address` says: never anything that no route names.
//!
//! The template is what a cache keeps, never the page. A client that reads slowly holds up the reading of the template; what
//! waits for it is bounded per page, and all fragments together by `fragments_bytes_max`.

mod address;
mod assembly;
mod fetch;
mod slot;
mod vars;

use std::rc::Rc;
use std::sync::Arc;

use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, AGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, EXPIRES,
    HOST, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, response};
use stdx::trace::TraceContext;

use self::address::Address;
pub(crate) use self::assembly::Assembly;
pub(crate) use self::slot::Slot;
use crate::cache;
use crate::config::FragmentsConfig;
use crate::conn::Conn;
use crate::exchange::Exchange;
use crate::worker::Worker;

/// What a permit for fragments stands for.
pub(crate) const UNIT_BYTES: u64 = 1 << 10;

const SURROGATE_CAPABILITY: HeaderName = HeaderName::from_static("surrogate-capability");
const SURROGATE_CONTROL: HeaderName = HeaderName::from_static("surrogate-control");
/// What applications are told of it.
const CAPABLE: HeaderValue = HeaderValue::from_static("forebay=\"ESI/1.0\"");
/// What the value of [`SURROGATE_CONTROL`] has in a page.
const MARK: &str = "ESI/1.0";
/// A page is of this moment and this client.
const OF_NOW: HeaderValue = HeaderValue::from_static("private, no-cache");

/// How many permits there are.
pub(crate) fn permits(bytes: u64) -> usize {
    usize::try_from(bytes / UNIT_BYTES).unwrap_or(usize::MAX).min(tokio::sync::Semaphore::MAX_PERMITS)
}

/// A request whose reply may be a page, as its fragments need to know it.
#[derive(Debug)]
pub(crate) struct Page {
    rule: Arc<FragmentsConfig>,
    method: Method,
    /// Where it is.
    address: Address,
    /// Its host, without a port.
    host: Box<str>,
    query: Box<str>,
    /// Its client's fields.
    headers: HeaderMap,
}

/// Whose fragments they are.
#[derive(Clone)]
pub(crate) struct Vantage {
    pub(crate) worker: Rc<Worker>,
    pub(crate) conn: Rc<Conn>,
    pub(crate) trace: TraceContext,
}

/// Remembers what its fragments need to know of a client's request.
pub(crate) fn prepare(exchange: &mut Exchange, rule: &Arc<FragmentsConfig>, head: &Parts, host: &str) {
    if exchange.fragment.is_some() {
        // Its page puts it together.
        return;
    }
    let authority = head.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or(host);
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    exchange.fragments = Some(Box::new(Page {
        rule: Arc::clone(rule),
        method: head.method.clone(),
        address: Address::of_page(authority, target),
        host: host.into(),
        query: head.uri.query().unwrap_or_default().into(),
        // Copied: they outlive the buffer that a head was read into.
        headers: cache::copied(&head.headers),
    }));
}

/// Asks for all of the content, as it is.
pub(crate) fn ask_plainly(head: &mut Parts) {
    let headers = &mut head.headers;
    headers.remove(ACCEPT_ENCODING);
    if matches!(head.method, Method::GET | Method::HEAD) {
        for name in [RANGE, IF_RANGE, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_MATCH, IF_UNMODIFIED_SINCE] {
            headers.remove(name);
        }
    }
    headers.append(SURROGATE_CAPABILITY, CAPABLE);
}

/// What puts a reply together, if it is a page; its head is changed to say so.
pub(crate) fn begin(exchange: &mut Exchange, head: &mut response::Parts, is_empty: bool) -> Option<Box<Assembly>> {
    let page = exchange.fragments.take()?;
    if head.status != StatusCode::OK || !is_page(&page.rule, &head.headers) {
        return None;
    }
    assembled(&mut head.headers);
    if page.method == Method::HEAD || is_empty {
        return None;
    }
    let (worker, conn) = (Rc::clone(&exchange.worker), Rc::clone(&exchange.conn));
    Some(Box::new(Assembly::new(*page, Vantage { worker, conn, trace: exchange.traced.context })))
}

/// Whether a reply with these fields may have fragments.
pub(crate) fn is_page(rule: &FragmentsConfig, headers: &HeaderMap) -> bool {
    let is_marked = || headers.get_all(SURROGATE_CONTROL).iter().any(is_mark);
    !headers.contains_key(CONTENT_ENCODING) && is_of(rule, headers) && (!rule.marked_only || is_marked())
}

fn is_mark(value: &HeaderValue) -> bool {
    value.to_str().is_ok_and(|value| value.contains(MARK))
}

fn is_of(rule: &FragmentsConfig, headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    rule.types.iter().any(|one| one.eq_ignore_ascii_case(essence))
}

/// What the head of a template says of itself does not hold for the page that is made of it.
fn assembled(headers: &mut HeaderMap) {
    for name in [CONTENT_LENGTH, ETAG, LAST_MODIFIED, ACCEPT_RANGES, EXPIRES, AGE, SURROGATE_CONTROL] {
        headers.remove(name);
    }
    for name in ["content-md5", "content-digest", "repr-digest", "digest", "cdn-cache-control"] {
        headers.remove(name);
    }
    let said = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    if !said.flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case("no-store")) {
        headers.insert(CACHE_CONTROL, OF_NOW);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let fields = fields.iter();
        fields.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_page_says_nothing_of_its_template() {
        let mut of_page = headers(&[
            ("content-length", "5"),
            ("etag", "\"a\""),
            ("last-modified", "Mon, 23 Nov 2026 00:00:00 GMT"),
            ("accept-ranges", "bytes"),
            ("content-digest", "sha-256=:AA==:"),
            ("cache-control", "public, max-age=60"),
            ("vary", "cookie"),
        ]);
        assembled(&mut of_page);
        assert_eq!(of_page, headers(&[("vary", "cookie"), ("cache-control", "private, no-cache")]));
        let mut secret = headers(&[("cache-control", "private, No-Store")]);
        assembled(&mut secret);
        assert_eq!(secret[CACHE_CONTROL], "private, No-Store");
    }

    #[test]
    fn parameters_of_a_type_do_not_count() {
        let rule = FragmentsConfig::default();
        for (kind, is) in [("text/html", true), ("Text/HTML; charset=utf-8", true), ("text/html5", false), ("", false)]
        {
            assert_eq!(is_of(&rule, &headers(&[("content-type", kind)])), is, "{kind}");
        }
    }
}
