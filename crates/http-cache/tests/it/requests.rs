//! RFC 9111 section 5.2.1, and methods: what clients may ask for.

use http::Method;
use http_cache::{Bypass, Decision, Forward, Request};

use crate::bench::{Fields, at, bench, fields, get, with};

#[test]
fn directives() {
    let hour: Fields<'_> = &[("cache-control", "max-age=3600")];
    let old: Fields<'_> = &[("cache-control", "max-age=1500"), ("age", "1000")];
    let stale: Fields<'_> = &[("cache-control", "max-age=1500"), ("age", "2000")];
    for (response, asked, expected) in [
        (hour, "max-age=0", "miss"),
        (hour, "max-age=10", "fresh"),
        (old, "max-age=600", "miss"),
        (old, "min-fresh=400", "fresh"),
        (old, "min-fresh=1000", "miss"),
        (hour, "no-cache", "miss"),
        (hour, "no-store", "bypass"),
        (hour, "no-cache, only-if-cached", "only-if-cached"),
        (hour, "only-if-cached", "fresh"),
        (stale, "max-stale=1000", "fresh"),
        (stale, "max-stale=400", "miss"),
        (stale, "max-stale", "fresh"),
    ] {
        assert_eq!(bench().then_asked(response, 3, &[("cache-control", asked)]), expected, "{response:?} {asked}");
    }
    let validated: Fields<'_> = &[("cache-control", "max-age=3600"), ("etag", "\"a\"")];
    assert_eq!(bench().then_asked(validated, 3, &[("cache-control", "no-cache")]), "revalidate");
    let deaf = with(|options| options.request_directives = false);
    assert_eq!(deaf.then_asked(hour, 3, &[("cache-control", "no-cache")]), "fresh");
    assert_eq!(deaf.then_asked(hour, 3, &[("pragma", "no-cache")]), "fresh");
}

#[test]
fn max_stale_does_not_override_the_response() {
    let asked: Fields<'_> = &[("cache-control", "max-stale")];
    for directive in ["must-revalidate", "proxy-revalidate"] {
        let response = format!("max-age=1, {directive}");
        assert_eq!(bench().then_asked(&[("cache-control", &response)], 5, asked), "miss", "{directive}");
    }
    assert_eq!(bench().then_asked(&[("cache-control", "s-maxage=1")], 5, asked), "miss");
}

#[test]
fn nothing_stored() {
    assert_eq!(bench().ask(&[], 0, &[]), Decision::Miss(Forward::UriMiss));
    assert_eq!(bench().ask(&[], 0, &[("cache-control", "only-if-cached")]), Decision::OnlyIfCached);
}

#[test]
fn methods() {
    let none = fields(&[]);
    let stored = [bench().stored(&[], &[("cache-control", "max-age=60")])];
    let ask = |method: &Method, seconds| {
        let request = Request { method, ..get(&none) };
        bench().0.on_request(&request, &stored, at(seconds))
    };
    assert_eq!(ask(&Method::POST, 0), Decision::Bypass(Bypass::Method));
    assert_eq!(ask(&Method::OPTIONS, 0), Decision::Bypass(Bypass::Method));
    assert!(matches!(ask(&Method::HEAD, 0), Decision::Fresh(_)));
    assert_eq!(ask(&Method::HEAD, 60), Decision::Miss(Forward::Head));
}
