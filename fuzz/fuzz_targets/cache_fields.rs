//! Any bytes as the fields of a request and of the response to it, as a cache reads them: never a panic, ranges lie within what
//! they are of, nothing is stored that says no, and nothing is given that is stale without leave.
//!
//! The first two bytes say how much later the same request comes again; then fields, a line each, with `>` before those of the
//! request.
#![no_main]

use http::header::{CACHE_CONTROL, IF_MODIFIED_SINCE, IF_NONE_MATCH, RANGE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_cache::{
    Answer, Decision, Directives, Hit, Policy, RANGES_MAX, Request, Response, Stored, Storing, UnixMs, parse_range,
    parse_targeted, tags,
};
use libfuzzer_sys::fuzz_target;

const START: UnixMs = UnixMs(1_800_000_000_000);
const TARGETED: HeaderName = HeaderName::from_static("cdn-cache-control");
const BODY_BYTES: u64 = 1_000;

fuzz_target!(|bytes: &[u8]| {
    let [high, low, fields @ ..] = bytes else { return };
    let later_s = u64::from(u16::from_be_bytes([*high, *low]));
    let (asked, answered) = headers(fields);
    for range in asked.get_all(RANGE) {
        within(range.as_bytes());
    }
    let names_no = plainly(&answered, b"no-store") && !plainly(&answered, b"must-understand");
    let is_private = plainly(&answered, b"private");
    let policy = Policy::default();
    let request =
        Request { method: &Method::GET, scheme: "http", authority: "a.example", target: "/", headers: &asked };
    let response = Response { status: StatusCode::OK, headers: &answered };
    assert!(tags(&answered).iter().all(|tag| !tag.is_empty()));
    let Storing::Store(mut stored) = policy.on_response(&request, &response, START, START) else { return };
    assert!(!names_no && !is_private, "{answered:?}");
    stored.set_body_bytes(BODY_BYTES);
    let now = UnixMs(START.0 + later_s * 1_000);
    match policy.on_request(&request, &[&*stored], now) {
        Decision::Fresh(hit) => {
            let stale_will_do = Directives::of_request(&asked).max_stale.is_some();
            assert!(stored.left_s(now) > 0 || stale_will_do, "{answered:?}");
            given(&stored, &hit, &asked);
        }
        Decision::StaleWhileRevalidate(hit, _) => given(&stored, &hit, &asked),
        _ => {}
    }
    if let Some(hit) = policy.on_failure(&request, &[&*stored], now) {
        given(&stored, &hit, &asked);
    }
    let changed = policy.on_304(&request, &[&*stored], &answered, START, now);
    assert!(changed.is_none_or(|changed| changed.variant == 0));
});

fn headers(fields: &[u8]) -> (HeaderMap, HeaderMap) {
    let (mut asked, mut answered) = (HeaderMap::new(), HeaderMap::new());
    for line in fields.split(|byte| *byte == b'\n').take(100) {
        let (line, map) = line.strip_prefix(b">").map_or((line, &mut answered), |line| (line, &mut asked));
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(&line[..colon]), value) {
            map.append(name, value);
        }
    }
    (asked, answered)
}

/// Whether `Cache-Control` says this beyond doubt: there is nothing that another reader could take for something else.
fn plainly(headers: &HeaderMap, directive: &[u8]) -> bool {
    let is_plain = |value: &&HeaderValue| !value.as_bytes().iter().any(|byte| b"\"=;\\".contains(byte));
    let values: Vec<&HeaderValue> = headers.get_all(CACHE_CONTROL).iter().collect();
    parse_targeted(headers, &TARGETED).is_none()
        && values.iter().all(is_plain)
        && values.iter().any(|value| {
            let mut members = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            members.any(|member| member.eq_ignore_ascii_case(directive))
        })
}

fn within(range: &[u8]) {
    let Some(ranges) = parse_range(range) else { return };
    assert!((1..=RANGES_MAX).contains(&ranges.len()));
    for range in ranges {
        for length in [0, 1, BODY_BYTES, u64::MAX] {
            if let Some(within) = range.within(length) {
                assert!(within.start < within.end && within.end <= length, "{within:?} of {length}");
            }
        }
    }
}

/// A reply from what is stored says of itself what is true.
fn given(stored: &Stored, hit: &Hit, asked: &HeaderMap) {
    let (status, fields) = stored.reply(hit);
    match &hit.answer {
        Answer::Whole => assert_eq!(status, StatusCode::OK),
        Answer::NotModified => {
            assert_eq!(status, StatusCode::NOT_MODIFIED);
            assert!(asked.contains_key(IF_NONE_MATCH) || asked.contains_key(IF_MODIFIED_SINCE));
        }
        Answer::Range(range) => {
            assert!(range.start < range.end && range.end <= BODY_BYTES && asked.contains_key(RANGE));
            let place = format!("bytes {}-{}/{BODY_BYTES}", range.start, range.end - 1);
            assert_eq!(fields["content-range"].as_bytes(), place.as_bytes());
        }
        Answer::Unsatisfiable => assert!(status == StatusCode::RANGE_NOT_SATISFIABLE && asked.contains_key(RANGE)),
    }
}
