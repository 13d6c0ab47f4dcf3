//! RFC 5861, and RFC 9111 section 4.2.4: when a stale response may answer.

use crate::bench::{Fields, at, bench, fields, get, with};

#[test]
fn while_revalidating() {
    for (cache_control, seconds, expected) in [
        ("max-age=1, stale-while-revalidate=4", 0, "fresh"),
        ("max-age=1, stale-while-revalidate=4", 3, "stale-while-revalidate"),
        ("max-age=1, stale-while-revalidate=4", 5, "revalidate"),
        ("s-maxage=1, stale-while-revalidate=4", 3, "stale-while-revalidate"),
        ("max-age=1, stale-while-revalidate=4, must-revalidate", 3, "revalidate"),
        ("max-age=1, stale-while-revalidate=4, no-cache", 3, "revalidate"),
        ("max-age=1", 3, "revalidate"),
    ] {
        let response = [("cache-control", cache_control), ("etag", "\"a\"")];
        assert_eq!(bench().then(&response, seconds), expected, "{cache_control} after {seconds} s");
    }
    let generous = with(|options| options.stale_while_revalidate_s = 60);
    assert_eq!(generous.then(&[("cache-control", "max-age=1")], 3), "stale-while-revalidate");
    assert_eq!(generous.then(&[("cache-control", "s-maxage=1")], 3), "miss", "s-maxage allows only what it names");
}

#[test]
fn on_failure() {
    let stands_in = |options_s: u32, cache_control: &str, seconds: u64, request: Fields<'_>| {
        let bench = with(|options| options.stale_if_error_s = options_s);
        let stored = bench.stored(&[], &[("cache-control", cache_control), ("etag", "\"a\"")]);
        bench.0.on_failure(&get(&fields(request)), &[stored], at(seconds)).is_some()
    };
    for (options_s, cache_control, seconds, expected) in [
        (0, "max-age=2", 3, false),
        (0, "max-age=2, stale-if-error=60", 61, true),
        (0, "max-age=2, stale-if-error=60", 62, false),
        (0, "s-maxage=2, stale-if-error=60", 3, true),
        (60, "max-age=2", 3, true),
        (60, "max-age=2, stale-if-error=0", 3, false),
        (60, "max-age=2, must-revalidate", 3, false),
        (60, "max-age=2, proxy-revalidate", 3, false),
        (60, "max-age=2, no-cache", 3, false),
        (60, "max-age=2, s-maxage=2", 3, false),
    ] {
        assert_eq!(
            stands_in(options_s, cache_control, seconds, &[]),
            expected,
            "{cache_control} {options_s} {seconds}"
        );
    }
    assert!(stands_in(0, "max-age=2", 3, &[("cache-control", "stale-if-error=10")]));
}

#[test]
fn a_soft_purge_leaves_a_copy_for_failures() {
    let bench = with(|options| options.stale_if_error_s = 60);
    let stored = bench.stored(&[], &[("cache-control", "max-age=3600"), ("etag", "\"a\"")]).expired(at(10));
    assert_eq!(stored.left_s(at(10)), 0);
    let none = fields(&[]);
    assert!(bench.0.on_failure(&get(&none), std::slice::from_ref(&stored), at(69)).is_some());
    assert!(bench.0.on_failure(&get(&none), &[stored], at(70)).is_none());
}
