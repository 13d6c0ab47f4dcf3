//! RFC 9111 section 4.2, and 9213: how long a response is fresh.

use http_cache::AgeReading;

use crate::bench::{Fields, at, bench, guessing, with};

#[test]
fn lifetime_and_age() {
    let bench = bench();
    for (response, seconds, expected) in [
        (&[("cache-control", "max-age=3600")][..], 3, "fresh"),
        (&[("cache-control", "max-age=3600")], 3599, "fresh"),
        (&[("cache-control", "max-age=3600")], 3600, "miss"),
        (&[("cache-control", "max-age=0")], 0, "pass"),
        (&[("cache-control", "max-age=99999999999")], 1 << 30, "fresh"),
        (&[("cache-control", "s-maxage=1, max-age=3600")], 3, "miss"),
        (&[("cache-control", "max-age=1"), ("cache-control", "s-maxage=3600")], 3, "fresh"),
        (&[("cache-control", "max-age=0, s-maxage=3600"), ("expires", "@-10")], 3, "fresh"),
        (&[("cache-control", "max-age=3600"), ("age", "7200")], 0, "miss"),
        (&[("cache-control", "max-age=3600"), ("date", "@-7200")], 0, "miss"),
        (&[("cache-control", "max-age=3600"), ("expires", "0"), ("date", "@0")], 3, "fresh"),
        (&[("expires", "@100"), ("date", "@0")], 99, "fresh"),
        (&[("expires", "@100"), ("date", "@0")], 100, "miss"),
        (&[("expires", "@0"), ("date", "@0")], 0, "pass"),
        (&[("expires", "@300"), ("date", "@400")], 0, "pass"),
        (&[("expires", "0"), ("date", "@0")], 0, "pass"),
        (&[("expires", "@10"), ("date", "foo")], 3, "fresh"),
        (&[("expires", "@10"), ("date", "@-10"), ("age", "25")], 0, "miss"),
        (&[("expires", "@20"), ("date", "@10"), ("age", "15")], 0, "miss"),
        (&[], 0, "pass"),
    ] {
        assert_eq!(bench.then(response, seconds), expected, "{response:?} after {seconds} s");
    }
}

#[test]
fn age_counts_the_way_here_and_the_time_stored() {
    let stored = bench().stored(&[], &[("cache-control", "max-age=600"), ("age", "30")]);
    assert_eq!((stored.age_s(at(0)), stored.age_s(at(3)), stored.left_s(at(3))), (30, 33, 567));
}

#[test]
fn an_age_that_is_none() {
    let response: Fields<'_> = &[("cache-control", "max-age=3600"), ("age", "0, 7200")];
    assert_eq!(bench().then(response, 0), "miss");
    assert_eq!(with(|options| options.age = AgeReading::FirstMember).then(response, 0), "fresh");
}

#[test]
fn guesses_only_when_asked() {
    let response: Fields<'_> = &[("last-modified", "@-86400"), ("date", "@0")];
    assert_eq!(bench().then(response, 1), "revalidate");
    assert_eq!(guessing().then(response, 8639), "fresh");
    assert_eq!(guessing().then(response, 8640), "revalidate");
    assert_eq!(guessing().then(&[("date", "@0")], 0), "pass", "nothing to guess from");
    let old: Fields<'_> = &[("last-modified", "@-864000000"), ("date", "@0")];
    assert_eq!(guessing().then(old, 86_400), "revalidate", "no longer than the longest");
}

#[test]
fn guesses_only_for_statuses_that_allow_it() {
    let response: Fields<'_> = &[("last-modified", "@-86400"), ("date", "@0")];
    let public: Fields<'_> = &[("last-modified", "@-86400"), ("date", "@0"), ("cache-control", "public")];
    for status in [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501] {
        assert!(guessing().stored_as(status, &[], response).left_s(at(0)) > 0, "{status}");
    }
    for status in [201, 202, 302, 307, 403, 500, 502, 503, 504, 599] {
        assert_ne!(
            format!("{:?}", guessing().storing(&[], status, response)).split('(').next(),
            Some("Store"),
            "{status}"
        );
        assert!(guessing().stored_as(status, &[], public).left_s(at(0)) > 0, "{status} public");
    }
}

#[test]
fn a_targeted_field_replaces_cache_control_and_expires() {
    let bench = bench();
    for (response, seconds, expected) in [
        (&[("cdn-cache-control", "max-age=3600"), ("cache-control", "max-age=1")][..], 3, "fresh"),
        (&[("cdn-cache-control", "max-age=1"), ("cache-control", "max-age=3600")], 3, "miss"),
        (&[("cdn-cache-control", "max-age=10000"), ("cache-control", "no-store")], 3, "fresh"),
        (&[("cdn-cache-control", "no-store"), ("cache-control", "max-age=3600")], 0, "pass"),
        (&[("cdn-cache-control", "private"), ("cache-control", "max-age=3600")], 0, "pass"),
        (&[("cdn-cache-control", "no-cache"), ("cache-control", "max-age=3600")], 0, "pass"),
        (&[("cdn-cache-control", "max-age=0"), ("expires", "@3600")], 0, "pass"),
        (&[("cdn-cache-control", "foobar, max-age=3600"), ("expires", "0")], 3, "fresh"),
        (&[("cdn-cache-control", "max-age=3600;x=1")], 3, "fresh"),
        (&[("cdn-cache-control", "max-age=1, max-age=3600")], 3, "fresh"),
        (&[("cdn-cache-control", "max-age=10000, &&&&&"), ("cache-control", "no-store")], 0, "pass"),
        (&[("cdn-cache-control", "max-age=\"10000\""), ("cache-control", "no-store")], 0, "pass"),
        (&[("cdn-cache-control", "MaX-aGe=3600"), ("cache-control", "max-age=1")], 3, "miss"),
        (&[("cdn-cache-control", ""), ("cache-control", "max-age=3600")], 3, "fresh"),
    ] {
        assert_eq!(bench.then(response, seconds), expected, "{response:?} after {seconds} s");
    }
}
