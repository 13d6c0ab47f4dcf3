//! RFC 9111 section 5.2: what `Cache-Control` says when it is written oddly.

use http_cache::{Directives, parse_targeted};
use proptest::prelude::*;

use crate::bench::{bench, fields};

fn read(lines: &[&str]) -> Directives {
    let lines: Vec<_> = lines.iter().map(|line| ("cache-control", *line)).collect();
    Directives::of_response(&fields(&lines))
}

#[test]
fn numbers() {
    for (line, max_age) in [
        ("max-age=3600", Some(3600)),
        ("MaX-aGe=3600", Some(3600)),
        ("max-age=003600", Some(3600)),
        ("max-age=\"3600\"", Some(3600)),
        ("max-age=2147483649", Some(1 << 31)),
        ("foobar, max-age=3600", Some(3600)),
        ("max-age=1800, max-age=1", Some(1800)),
        ("max-age=1, extension=\"max-age=3600\"", Some(1)),
        ("extension=\"max-age=3600\", max-age=\"1\"", Some(1)),
        ("extension=\"a\\\"b, max-age=5\", max-age=7", Some(7)),
        ("max-age=-3600", Some(0)),
        ("max-age='3600'", Some(0)),
        ("max-age=3600.0", Some(0)),
        ("max-age=3600a", Some(0)),
        ("max-age= 3600", Some(0)),
        ("max-age", Some(0)),
        ("max-age =3600", None),
        ("max-age;3600", None),
        ("=3600", None),
        ("", None),
    ] {
        assert_eq!(read(&[line]).max_age, max_age, "{line}");
    }
    assert_eq!(read(&["max-age=1", "max-age=1800"]).max_age, Some(1));
}

#[test]
fn fields_by_name() {
    let names = |line| {
        let read = read(&[line]);
        (read.no_cache, read.private, read.fields.iter().map(|name| name.as_str().to_string()).collect::<Vec<_>>())
    };
    assert_eq!(names("no-cache=\"a, B\""), (false, false, vec!["a".into(), "b".into()]));
    assert_eq!(names("private=set-cookie"), (false, false, vec!["set-cookie".into()]));
    assert_eq!(names("no-cache=\"a\", no-cache"), (true, false, vec!["a".into()]));
    assert_eq!(names("private=\"not a name\""), (false, true, vec![]));
    assert_eq!(names("private=\"\""), (false, true, vec![]));
}

#[test]
fn named_fields_are_not_stored() {
    let response = [("cache-control", "no-cache=\"a\""), ("cache-control", "max-age=60"), ("a", "1"), ("b", "2")];
    let stored = bench().stored(&[], &response);
    assert_eq!((stored.headers().get("a"), stored.headers()["b"].as_bytes()), (None, &b"2"[..]));
}

#[test]
fn pragma_speaks_for_a_request_without_cache_control() {
    assert!(Directives::of_request(&fields(&[("pragma", "no-cache")])).no_cache);
    assert!(!Directives::of_request(&fields(&[("pragma", "no-cache"), ("cache-control", "x")])).no_cache);
    assert!(!Directives::of_response(&fields(&[("pragma", "no-cache")])).no_cache);
    assert_eq!(Directives::of_request(&fields(&[("cache-control", "max-stale")])).max_stale, Some(1 << 31));
}

proptest! {
    #[test]
    fn garbage_never_panics(line in prop::collection::vec(prop_oneof![Just(b','), Just(b'"'), Just(b'='), 32_u8..=255], 0..80)) {
        if let Ok(value) = http::HeaderValue::from_bytes(&line) {
            let mut headers = http::HeaderMap::new();
            headers.insert("cache-control", value.clone());
            headers.insert("cdn-cache-control", value);
            let targeted = parse_targeted(&headers, &http::HeaderName::from_static("cdn-cache-control"));
            std::hint::black_box((Directives::of_response(&headers), targeted));
        }
    }

    /// Whatever stands beside it, a well-formed directive is found.
    #[test]
    fn a_neighbour_hides_nothing(other in "[a-z]{1,8}(=[0-9a-z]{0,6}|=\"[a-z, =]{0,9}\")?", seconds in 0_u32..1_000_000) {
        prop_assume!(!other.starts_with("max-age"));
        let lines = [format!("{other}, max-age={seconds}"), format!("max-age={seconds},{other}")];
        for line in lines {
            prop_assert_eq!(read(&[&line]).max_age, Some(seconds), "{}", line);
        }
    }
}
