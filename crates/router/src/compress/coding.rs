//! Whether a reply is compressed on its way, and how (RFC 9110 8.4, 12.5.3): the decision and what it does to the head.
//! Compressing itself is somebody else's.

use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    HeaderMap, HeaderValue, VARY,
};
use http::{HeaderName, Method, StatusCode};

use crate::config::{CompressConfig, ContentCoding};

impl ContentCoding {
    /// Its name in `Content-Encoding`.
    fn name(self) -> &'static str {
        match self {
            ContentCoding::Brotli => "br",
            ContentCoding::Zstd => "zstd",
            ContentCoding::Gzip => "gzip",
        }
    }
}

/// The coding for a client that sends this `Accept-Encoding`: of those that it likes best the first of `offered`. `None`
/// when it wants the content as it is, or says nothing.
pub(super) fn negotiate(request: &HeaderMap, offered: &[ContentCoding]) -> Option<ContentCoding> {
    let mut weights: Vec<(&str, u16)> = Vec::new();
    for value in request.get_all(ACCEPT_ENCODING) {
        let entries = value.to_str().ok()?.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        weights.extend(entries.filter_map(weighted));
    }
    let weight = |name: &str| {
        let exact = weights.iter().find(|(of, _)| of.eq_ignore_ascii_case(name));
        exact.or_else(|| weights.iter().find(|(of, _)| *of == "*")).map(|(_, weight)| *weight)
    };
    let alias = |coding: ContentCoding| if coding == ContentCoding::Gzip { weight("x-gzip") } else { None };
    let of =
        |coding: ContentCoding| weight(coding.name()).max(alias(coding).filter(|_| weight(coding.name()).is_none()));
    let best = offered.iter().filter_map(|coding| of(*coding).map(|weight| (*coding, weight)));
    let (coding, best) = best.rev().max_by_key(|(_, weight)| *weight)?;
    let as_it_is = weights.iter().find(|(of, _)| of.eq_ignore_ascii_case("identity")).map_or(0, |(_, weight)| *weight);
    (best > 0 && best >= as_it_is).then_some(coding)
}

/// A name and its weight in thousandths; `None` when the weight is none.
fn weighted(entry: &str) -> Option<(&str, u16)> {
    let (name, parameters) = entry.split_once(';').map_or((entry, None), |(name, rest)| (name, Some(rest)));
    let Some(parameters) = parameters else { return Some((name.trim(), 1000)) };
    let weight = parameters.trim().strip_prefix(['q', 'Q'])?.trim_start().strip_prefix('=')?.trim();
    let (whole, digits) = weight.split_once('.').unwrap_or((weight, ""));
    let in_form = digits.len() <= 3 && digits.bytes().all(|digit| digit.is_ascii_digit());
    let thousandths = match (whole, in_form) {
        ("0", true) => format!("{digits:0<3}").parse().ok()?,
        ("1", true) if digits.bytes().all(|digit| digit == b'0') => 1000,
        _ => return None,
    };
    Some((name.trim(), thousandths))
}

/// Whether a reply may be and is worth being compressed, whoever asks: it has content, all of it, of a type that
/// shrinks, not coded yet, and nobody forbids to transform it.
pub(super) fn is_worth(rule: &CompressConfig, method: &Method, status: StatusCode, reply: &HeaderMap) -> bool {
    let has_content = *method != Method::HEAD
        && !status.is_informational()
        && !matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED);
    let is_part = status == StatusCode::PARTIAL_CONTENT || reply.contains_key(CONTENT_RANGE);
    if !has_content || is_part || reply.contains_key(CONTENT_ENCODING) || forbids_transforming(reply) {
        return false;
    }
    let is_long = reply.get(CONTENT_LENGTH).is_none_or(|length| {
        length.to_str().ok().and_then(|length| length.parse::<u64>().ok()).is_some_and(|bytes| bytes >= rule.bytes_min)
    });
    is_long && reply.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| has(rule, value))
}

fn has(rule: &CompressConfig, content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    // Events are to arrive one by one, and a compressor holds them back.
    essence != "text/event-stream" && rule.types.iter().any(|pattern| matches(&pattern.to_ascii_lowercase(), &essence))
}

fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => {
            text.len() >= before.len() + after.len() && text.starts_with(before) && text.ends_with(after)
        }
    }
}

fn forbids_transforming(reply: &HeaderMap) -> bool {
    let values = reply.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|directive| directive.trim().eq_ignore_ascii_case("no-transform"))
}

/// Says in the head of an eligible reply that it depends on `Accept-Encoding`, compressed or not: caches must know.
pub(super) fn vary(reply: &mut HeaderMap) {
    let name: HeaderName = ACCEPT_ENCODING;
    let names = reply.get_all(VARY).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let is_there = names.map(str::trim).any(|field| field == "*" || field.eq_ignore_ascii_case(name.as_str()));
    if !is_there {
        reply.append(VARY, HeaderValue::from_name(name));
    }
}

/// Says in the head of a reply that its content is coded from here on: another length, no ranges of it, and a validator
/// that promises the same meaning but no longer the same bytes (RFC 9110 8.8.1).
pub(super) fn coded(reply: &mut HeaderMap, coding: ContentCoding) {
    vary(reply);
    reply.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    reply.remove(CONTENT_LENGTH);
    reply.remove(ACCEPT_RANGES);
    reply.remove("content-md5");
    reply.remove("content-digest");
    let weaker = reply.get(ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/"));
    if let Some(Ok(weaker)) = weaker.map(|tag| HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat())) {
        reply.insert(ETAG, weaker);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [ContentCoding; 3] = [ContentCoding::Zstd, ContentCoding::Brotli, ContentCoding::Gzip];

    fn accepts(value: &str) -> Option<&'static str> {
        let mut request = HeaderMap::new();
        request.insert(ACCEPT_ENCODING, HeaderValue::from_str(value).unwrap());
        negotiate(&request, &ALL).map(ContentCoding::name)
    }

    fn reply(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn what_the_client_likes_best() {
        assert_eq!(negotiate(&HeaderMap::new(), &ALL), None);
        for (value, chosen) in [
            ("", None),
            ("gzip", Some("gzip")),
            ("GZIP", Some("gzip")),
            ("x-gzip", Some("gzip")),
            ("gzip, deflate, br, zstd", Some("zstd")),
            ("gzip;q=1.0, br;q=0.5", Some("gzip")),
            ("gzip;q=0.5, br;q=0.8", Some("br")),
            ("br ; q=0.8 , gzip", Some("gzip")),
            ("*", Some("zstd")),
            ("*;q=0, gzip", Some("gzip")),
            ("*, zstd;q=0", Some("br")),
            ("gzip;q=0", None),
            ("gzip;q=0.000", None),
            ("identity", None),
            ("identity;q=1, gzip;q=0.5", None),
            ("identity;q=0.5, gzip", Some("gzip")),
            ("deflate", None),
            ("gzip;q=2, br", Some("br")),
            ("gzip;q=0.1234", None),
            ("gzip;x=1", None),
        ] {
            assert_eq!(accepts(value), chosen, "{value}");
        }
    }

    #[test]
    fn what_is_worth_it() {
        let of = |fields: &[(&'static str, &'static str)]| {
            is_worth(&CompressConfig::default(), &Method::GET, StatusCode::OK, &reply(fields))
        };
        let html = ("content-type", "Text/HTML; charset=utf-8");
        assert!(of(&[html]));
        assert!(of(&[html, ("content-length", "1024")]));
        assert!(of(&[("content-type", "application/problem+json")]));
        for fields in [
            &[][..],
            &[("content-type", "image/png")],
            &[("content-type", "text/event-stream")],
            &[html, ("content-length", "1023")],
            &[html, ("content-length", "x")],
            &[html, ("content-encoding", "br")],
            &[html, ("cache-control", "public, No-Transform")],
            &[html, ("content-range", "bytes 0-1/2")],
        ] {
            assert!(!of(fields), "{fields:?}");
        }
        let html = reply(&[html]);
        let with = |method: Method, status: u16| {
            is_worth(&CompressConfig::default(), &method, StatusCode::from_u16(status).unwrap(), &html)
        };
        assert!(with(Method::POST, 201) && with(Method::GET, 404));
        assert!(!with(Method::HEAD, 200));
        for status in [101, 204, 205, 206, 304] {
            assert!(!with(Method::GET, status), "{status}");
        }
    }

    #[test]
    fn the_head_of_a_coded_reply() {
        let mut head = reply(&[
            ("etag", "\"v1\""),
            ("content-length", "5000"),
            ("accept-ranges", "bytes"),
            ("vary", "Cookie"),
            ("x", "1"),
        ]);
        coded(&mut head, ContentCoding::Brotli);
        coded(&mut head, ContentCoding::Brotli);
        let expected = reply(&[
            ("etag", "W/\"v1\""),
            ("content-encoding", "br"),
            ("vary", "Cookie"),
            ("vary", "accept-encoding"),
            ("x", "1"),
        ]);
        assert_eq!(head, expected);
        for there in ["Accept-encoding", "cookie, accept-encoding", "*"] {
            let mut head = reply(&[("vary", there)]);
            vary(&mut head);
            assert_eq!(head.get_all(VARY).iter().count(), 1, "{there}");
        }
    }
}
