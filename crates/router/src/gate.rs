//! May this request come in? The ingress gate: everything that two readers of one request could understand differently
//! is refused here, before a route is looked for. Pure over a request's head.
//!
//! Source: RFC 9110, RFC 9112 section 11.2, and the measured disagreements of proxies; each rule is a row in
//! `tests/it/smuggling.rs`. What the codec (`h1/front`) refuses because it is no head at all is tested there too. Known
//! tolerance: bare LF as the end of a header line, which RFC 9112 section 2.2 allows; it is harmless because the request is
//! written anew.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::Authority;
use http::{Method, Uri, Version};

use crate::fields::FieldSet;

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("Content-Length together with Transfer-Encoding")]
    LengthAndCoding,
    #[error("a transfer coding other than a single `chunked`")]
    Coding,
    #[error("Content-Length repeated")]
    RepeatedLength,
    #[error("a malformed Content-Length")]
    Length,
    #[error("no Host")]
    NoHost,
    #[error("more than one Host")]
    ManyHosts,
    #[error("a malformed Host")]
    Host,
    #[error("the target names another host than Host does")]
    HostMismatch,
    #[error("a malformed request target")]
    Target,
    #[error("Connection names a field that concerns the whole way")]
    ConnectionNames,
    #[error("method not allowed")]
    Method,
    #[error("request target too long")]
    TargetTooLong,
    #[error("too many header fields")]
    FieldsTooMany,
    #[error("an expectation other than 100-continue")]
    Expectation,
}

/// What the gate holds requests against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) target_bytes_max: usize,
    pub(crate) header_fields_max: usize,
}

/// How a request's content is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is none.
    None,
    Length(u64),
    Chunked,
}

/// A request that may come in.
#[derive(Debug)]
pub(crate) struct Admitted {
    /// In lower case, without the port.
    pub(crate) host: Box<str>,
}

/// Judges a request's head, whose fields are `set`.
///
/// # Errors
/// The first rule that it breaks.
pub(crate) fn admit(head: &Parts, set: FieldSet, limits: &Limits) -> Result<Admitted, Refusal> {
    framing(head, set)?;
    if head.method == Method::CONNECT || head.method == Method::TRACE {
        return Err(Refusal::Method);
    }
    target(head, limits)?;
    if head.headers.len() > limits.header_fields_max {
        return Err(Refusal::FieldsTooMany);
    }
    let host = host(&head.headers, &head.uri)?;
    if set.connection {
        connection_names(&head.headers)?;
    }
    if set.expect {
        expectation(&head.headers, head.version)?;
    }
    Ok(Admitted { host })
}

/// The one way in which everybody frames the content of a request with this head.
///
/// # Errors
/// When there is none (RFC 9112, 6.1 and 6.3).
pub(crate) fn framing(head: &Parts, set: FieldSet) -> Result<Framing, Refusal> {
    match (set.length, set.coding) {
        (false, false) => Ok(Framing::None),
        (true, true) => Err(Refusal::LengthAndCoding),
        (true, false) => {
            let mut values = head.headers.get_all(header::CONTENT_LENGTH).iter();
            match (values.next().map(decimal), values.next()) {
                (_, Some(_)) => Err(Refusal::RepeatedLength),
                (Some(Some(0)), None) => Ok(Framing::None),
                (Some(Some(length)), None) => Ok(Framing::Length(length)),
                _ => Err(Refusal::Length),
            }
        }
        (false, true) => {
            let mut values = head.headers.get_all(header::TRANSFER_ENCODING).iter();
            match (values.next(), values.next()) {
                (Some(coding), None)
                    if coding.as_bytes().eq_ignore_ascii_case(b"chunked") && head.version > Version::HTTP_10 =>
                {
                    Ok(Framing::Chunked)
                }
                _ => Err(Refusal::Coding),
            }
        }
    }
}

/// A length as digits and nothing else.
fn decimal(value: &HeaderValue) -> Option<u64> {
    let digits = value.as_bytes();
    let sound = !digits.is_empty() && digits.len() <= 19 && digits.iter().all(u8::is_ascii_digit);
    sound.then(|| digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

fn target(head: &Parts, limits: &Limits) -> Result<(), Refusal> {
    let text = head.uri.path_and_query().map_or("", |target| target.as_str());
    let authority_bytes = head.uri.authority().map_or(0, |authority| authority.as_str().len());
    if text.len() + authority_bytes > limits.target_bytes_max {
        return Err(Refusal::TargetTooLong);
    }
    let clean = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    let shaped = match text {
        "*" => head.method == Method::OPTIONS && head.uri.authority().is_none(),
        _ => text.starts_with('/'),
    };
    let scheme = head.uri.scheme_str().is_none_or(|scheme| scheme == "http" || scheme == "https");
    if clean && shaped && scheme { Ok(()) } else { Err(Refusal::Target) }
}

/// The one host that a request is for, in lower case and without its port.
fn host(headers: &HeaderMap, uri: &Uri) -> Result<Box<str>, Refusal> {
    let mut all = headers.get_all(header::HOST).iter();
    let value = all.next().ok_or(Refusal::NoHost)?;
    if all.next().is_some() {
        return Err(Refusal::ManyHosts);
    }
    if uri.authority().is_none()
        && let Some(host) = simple_host(value)
    {
        return Ok(host.into());
    }
    let authority = authority(value)?;
    if let Some(named) = uri.authority() {
        let same = named.host().eq_ignore_ascii_case(authority.host())
            && port_or(named, uri.scheme_str()) == port_or(&authority, uri.scheme_str());
        if named.as_str().contains('@') || !same {
            return Err(Refusal::HostMismatch);
        }
    }
    Ok(authority.host().to_ascii_lowercase().into())
}

/// The host as nearly all clients write it, in a fifth of the parser's time: lower case letters, digits, `.` and `-`, then
/// a port or nothing. Whatever else a `Host` may hold is the parser's.
fn simple_host(value: &HeaderValue) -> Option<&str> {
    let text = value.as_bytes();
    let simple = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-');
    let (host, rest) = text.split_at(text.iter().position(|byte| !simple(byte)).unwrap_or(text.len()));
    let port_is_sound = match rest {
        [] => true,
        [b':', b'0'..=b'9', ..] => std::str::from_utf8(&rest[1..]).is_ok_and(|port| port.parse::<u16>().is_ok()),
        _ => false,
    };
    std::str::from_utf8(host).ok().filter(|host| port_is_sound && !host.is_empty())
}

fn authority(value: &HeaderValue) -> Result<Authority, Refusal> {
    let text = value.as_bytes();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~:[]%!$&'()*+;=".contains(byte);
    if text.is_empty() || !text.iter().all(plain) {
        return Err(Refusal::Host);
    }
    let authority = Authority::try_from(text).map_err(|_| Refusal::Host)?;
    let rest = &authority.as_str()[authority.host().len()..];
    let port_is_sound = rest.is_empty() || authority.port_u16().is_some();
    if authority.host().is_empty() || !port_is_sound { Err(Refusal::Host) } else { Ok(authority) }
}

fn port_or(authority: &Authority, scheme: Option<&str>) -> u16 {
    authority.port_u16().unwrap_or(if scheme == Some("https") { 443 } else { 80 })
}

/// `Connection` may strip hop-by-hop fields; naming any other would make the endpoint see another request than we do.
fn connection_names(headers: &HeaderMap) -> Result<(), Refusal> {
    let protected = |name: &str| {
        let name = name.trim();
        let is = |other: &HeaderName| name.eq_ignore_ascii_case(other.as_str());
        [
            header::HOST,
            header::CONTENT_LENGTH,
            header::TRANSFER_ENCODING,
            header::COOKIE,
            header::AUTHORIZATION,
            header::FORWARDED,
        ]
        .iter()
        .any(is)
            || begins(name, "x-forwarded-")
            || begins(name, "forebay-")
    };
    for value in headers.get_all(header::CONNECTION) {
        let text = value.to_str().map_err(|_| Refusal::ConnectionNames)?;
        if text.split(',').any(protected) {
            return Err(Refusal::ConnectionNames);
        }
    }
    Ok(())
}

fn begins(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn expectation(headers: &HeaderMap, version: Version) -> Result<(), Refusal> {
    match headers.get(header::EXPECT) {
        Some(value) if version > Version::HTTP_10 && !value.as_bytes().eq_ignore_ascii_case(b"100-continue") => {
            Err(Refusal::Expectation)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;
    use proptest::prelude::{any, prop, prop_assert, proptest};

    const LIMITS: Limits = Limits { target_bytes_max: 100, header_fields_max: 10 };

    fn judged(request: http::request::Builder) -> Result<Admitted, Refusal> {
        let head = request.body(()).unwrap().into_parts().0;
        admit(&head, FieldSet::of(&head.headers), &LIMITS)
    }

    fn host_of(host: &str) -> Result<Box<str>, Refusal> {
        judged(Request::get("/").header("host", host)).map(|admitted| admitted.host)
    }

    #[test]
    fn the_host_is_in_lower_case_and_without_its_port() {
        assert_eq!(&*host_of("Shop.Example:8080").unwrap(), "shop.example");
        assert_eq!(&*host_of("[::1]:80").unwrap(), "[::1]");
        for bad in ["", "a:b", "a:99999", "a:", "me@a", "a,b", "a/b", "a b", "[::1", ":80", "a?b", "a#b"] {
            assert_eq!(host_of(bad), Err(Refusal::Host), "{bad:?}");
        }
    }

    #[test]
    fn content_is_framed_in_one_way_or_not_at_all() {
        let framed = |version, fields: &[(&str, &str)]| {
            let request = Request::post("/").version(version);
            let request = fields.iter().fold(request, |request, (name, value)| request.header(*name, *value));
            let head = request.body(()).unwrap().into_parts().0;
            framing(&head, FieldSet::of(&head.headers))
        };
        let (cl, te) = ("content-length", "transfer-encoding");
        let v11 = Version::HTTP_11;
        assert_eq!(framed(v11, &[]), Ok(Framing::None));
        assert_eq!(framed(v11, &[(cl, "0")]), Ok(Framing::None));
        assert_eq!(framed(v11, &[(cl, "007")]), Ok(Framing::Length(7)));
        assert_eq!(framed(v11, &[(te, "Chunked")]), Ok(Framing::Chunked));
        assert_eq!(framed(Version::HTTP_10, &[(te, "chunked")]), Err(Refusal::Coding));
        assert_eq!(framed(v11, &[(te, "chunked"), (te, "chunked")]), Err(Refusal::Coding));
        assert_eq!(framed(v11, &[(te, "chunked"), (cl, "3")]), Err(Refusal::LengthAndCoding));
        assert_eq!(framed(v11, &[(cl, "3"), (cl, "3")]), Err(Refusal::RepeatedLength));
        for bad in ["", "+1", "-1", "0x1", "1, 1", "1 1", "18446744073709551616", "99999999999999999999"] {
            assert_eq!(framed(v11, &[(cl, bad)]), Err(Refusal::Length), "{bad:?}");
        }
    }

    #[test]
    fn an_expectation_that_nobody_knows_is_refused() {
        let expects = |what: &str| judged(Request::get("/").header("host", "a").header("expect", what));
        assert!(expects("100-Continue").is_ok());
        assert_eq!(expects("teapot").unwrap_err(), Refusal::Expectation);
    }

    proptest! {
        #[test]
        fn a_simple_host_is_what_the_parser_says_it_is(text in "[a-cA-C0-9.:-]{0,9}") {
            let value = HeaderValue::from_str(&text).unwrap();
            if let Some(host) = simple_host(&value) {
                prop_assert!(authority(&value).is_ok_and(|authority| authority.host() == host));
            }
        }

        #[test]
        fn whatever_is_admitted_has_one_sound_host_and_target(
            host in prop::collection::vec(any::<u8>(), 0..12),
            path in "[ -~]{0,12}",
            connection in "[ -~]{0,20}",
        ) {
            let request = Request::get(format!("/{path}")).header("host", host).header("connection", connection);
            let Ok(request) = request.body(()) else { return Ok(()) };
            let head = request.into_parts().0;
            if let Ok(admitted) = admit(&head, FieldSet::of(&head.headers), &LIMITS) {
                let sound = |byte: u8| byte.is_ascii_graphic() && !byte.is_ascii_uppercase() && byte != b'@';
                prop_assert!(!admitted.host.is_empty() && admitted.host.bytes().all(sound));
                prop_assert!(head.uri.path().bytes().all(|byte| byte.is_ascii_graphic()));
            }
        }
    }
}
