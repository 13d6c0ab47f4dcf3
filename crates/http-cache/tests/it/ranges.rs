//! RFC 9110 section 14: parts of what is stored whole. Ten bytes are stored.

use http_cache::{Answer, Decision, Forward};

use crate::bench::{Fields, bench};

const FRESH: Fields<'_> = &[("cache-control", "max-age=100"), ("etag", "\"abc\""), ("last-modified", "@-3000")];

fn answer(request: Fields<'_>) -> Answer {
    match bench().ask(&[bench().stored(&[], FRESH)], 3, request) {
        Decision::Fresh(hit) => hit.answer,
        other => panic!("{other:?}"),
    }
}

#[test]
fn parts() {
    assert_eq!(answer(&[("range", "bytes=0-1")]), Answer::Range(0..2));
    assert_eq!(answer(&[("range", "bytes=-1")]), Answer::Range(9..10));
    assert_eq!(answer(&[("range", "bytes=20-")]), Answer::Unsatisfiable);
    assert_eq!(answer(&[("range", "bytes=0-1,8-9")]), Answer::Whole);
    assert_eq!(answer(&[("range", "lines=0-1")]), Answer::Whole);
    assert_eq!(answer(&[("range", "bytes=0-1"), ("if-none-match", "\"abc\"")]), Answer::NotModified);
}

#[test]
fn if_range() {
    for (condition, expected) in [
        ("\"abc\"", Answer::Range(0..2)),
        ("\"x\"", Answer::Whole),
        ("W/\"abc\"", Answer::Whole),
        ("@-3000", Answer::Range(0..2)),
        ("@-2999", Answer::Whole),
        ("nonsense", Answer::Whole),
    ] {
        assert_eq!(answer(&[("range", "bytes=0-1"), ("if-range", condition)]), expected, "{condition}");
    }
}

#[test]
fn heads_of_206_and_416() {
    let stored = bench().stored(&[], FRESH);
    let head = |range| match bench().ask(std::slice::from_ref(&stored), 3, &[("range", range)]) {
        Decision::Fresh(hit) => {
            let (status, headers) = stored.reply(&hit);
            let text = |name| headers.get(name).map(|value| value.to_str().unwrap().to_string()).unwrap_or_default();
            (status.as_u16(), text("content-range"), text("content-length"), text("etag"))
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(head("bytes=2-5"), (206, "bytes 2-5/10".into(), "4".into(), "\"abc\"".into()));
    assert_eq!(head("bytes=10-"), (416, "bytes */10".into(), "0".into(), String::new()));
}

#[test]
fn a_part_of_what_is_not_stored_is_forwarded_alone() {
    let decision = bench().ask(&[], 0, &[("range", "bytes=0-1")]);
    assert_eq!(decision, Decision::Miss(Forward::Partial));
    assert!(!Forward::Partial.is_shared());
}
