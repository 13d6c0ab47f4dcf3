//! Heads from HTTP/2 to what the gate judges, and from the router to HTTP/2. Pure.

use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Method, StatusCode, Uri};

use crate::fields::TRACE;
use crate::reply::Stamp;
use crate::worker::HttpDate;

/// A field has space around its value, which HTTP/2 forbids (RFC 9113, 8.2.1): elsewhere it is no part of the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a field has space around its value")]
pub(super) struct Padded;

/// Writes a request's head as the gate wants it: its authority is its `Host` where it names none itself (RFC 9113, 8.3.1),
/// and the pieces of its cookie are one field (8.2.3). That authority and `Host` disagree is for the gate to see.
///
/// # Errors
/// When it has a field that cannot be in HTTP/2 and that the library lets through.
pub(super) fn inbound(head: &mut Parts) -> Result<(), Padded> {
    if head.headers.values().any(is_padded) {
        return Err(Padded);
    }
    if let Some(authority) = head.uri.authority() {
        let authority = authority.as_str();
        let mut hosts = head.headers.get_all(header::HOST).iter();
        let agrees = match (hosts.next(), hosts.next()) {
            (None, _) => HeaderValue::from_str(authority).is_ok_and(|host| {
                head.headers.insert(header::HOST, host);
                true
            }),
            (Some(host), None) => host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()),
            (Some(_), Some(_)) => false,
        };
        if agrees {
            let path = head.uri.path_and_query().cloned();
            head.uri = Uri::from(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
        }
    }
    join_cookies(&mut head.headers);
    Ok(())
}

fn is_padded(value: &HeaderValue) -> bool {
    let space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    space(value.as_bytes().first()) || space(value.as_bytes().last())
}

fn join_cookies(headers: &mut HeaderMap) {
    let mut cookies = headers.get_all(header::COOKIE).iter();
    if let (Some(first), Some(second)) = (cookies.next(), cookies.next()) {
        let mut all = first.as_bytes().to_vec();
        for one in std::iter::once(second).chain(cookies) {
            all.extend_from_slice(b"; ");
            all.extend_from_slice(one.as_bytes());
        }
        // Sound values stay sound with `; ` between them.
        if let Ok(all) = HeaderValue::from_bytes(&all) {
            headers.insert(header::COOKIE, all);
        }
    }
}

/// A reply's head as HTTP/2 has it: nothing about the connection (RFC 9113, 8.2.2), its trace, its length where that is
/// known, and a date.
pub(super) fn outbound(headers: &mut HeaderMap, stamp: Stamp, length: Option<u64>, date: HttpDate) {
    for name in [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE] {
        headers.remove(name);
    }
    let mut digits = [0; 32];
    stamp.trace.write_hex(&mut digits);
    if let Ok(trace) = HeaderValue::from_bytes(&digits) {
        headers.insert(TRACE, trace);
    }
    if let Some(length) = length {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    if !headers.contains_key(header::DATE)
        && let Ok(date) = HeaderValue::from_bytes(&date)
    {
        headers.insert(header::DATE, date);
    }
}

/// Whether a reply to this method may have content.
pub(super) fn may_have_content(method: &Method, status: StatusCode) -> bool {
    *method != Method::HEAD && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;
    use stdx::trace::TraceId;

    fn inbound_of(request: http::request::Builder) -> Parts {
        let mut head = request.body(()).unwrap().into_parts().0;
        assert_eq!(inbound(&mut head), Ok(()));
        head
    }

    #[test]
    fn the_authority_is_the_host_where_there_is_none() {
        let head = inbound_of(Request::get("https://a.example:8443/x?y=1"));
        assert_eq!(head.headers["host"], "a.example:8443");
        assert_eq!(head.uri, "/x?y=1");
        let head = inbound_of(Request::get("https://a.example/x").header("host", "A.example"));
        assert_eq!((head.uri.to_string().as_str(), head.headers.get_all("host").iter().count()), ("/x", 1));
        let head = inbound_of(Request::get("https://a.example/x").header("host", "b.example"));
        assert_eq!(head.headers["host"], "b.example");
        assert_eq!(head.uri.host(), Some("a.example"), "the gate sees that they differ");
        assert!(!inbound_of(Request::get("/x")).headers.contains_key("host"));
    }

    #[test]
    fn a_cookie_in_pieces_is_one() {
        let head =
            inbound_of(Request::get("/").header("cookie", "a=1").header("cookie", "b=2").header("cookie", "c=3"));
        assert_eq!(head.headers.get_all("cookie").iter().collect::<Vec<_>>(), ["a=1; b=2; c=3"]);
    }

    #[test]
    fn a_value_has_no_space_around_it() {
        for (value, verdict) in
            [(" x", Err(Padded)), ("x ", Err(Padded)), ("\tx", Err(Padded)), ("", Ok(())), ("a b\tc", Ok(()))]
        {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            let mut head = Request::get("/").header("x", value.clone()).body(()).unwrap().into_parts().0;
            assert_eq!(inbound(&mut head), verdict, "{value:?}");
        }
    }

    #[test]
    fn nothing_of_the_connection_goes_out() {
        let mut headers = HeaderMap::new();
        headers.insert("connection", HeaderValue::from_static("close"));
        headers.insert("x", HeaderValue::from_static("y"));
        headers.append("content-length", HeaderValue::from_static("7"));
        headers.append("content-length", HeaderValue::from_static("7"));
        let stamp = Stamp { trace: TraceId::from_bytes([0xab; 16]).unwrap(), is_last: true };
        outbound(&mut headers, stamp, Some(7), *b"Thu, 01 Jan 1970 00:00:00 GMT");
        let mut names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["content-length", "date", "forebay-trace", "x"]);
        assert_eq!(headers["forebay-trace"], "ab".repeat(16));
    }
}
