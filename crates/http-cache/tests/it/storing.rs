//! RFC 9111 sections 3 and 5.2.2: what is stored.

use http::{Method, StatusCode};
use http_cache::{Request, Response, SetCookie, Storing, WhyNot};

use crate::bench::{Fields, at, bench, fields, get, with};

fn why(request: Fields<'_>, status: u16, response: Fields<'_>) -> Option<WhyNot> {
    match bench().storing(request, status, response) {
        Storing::Store(_) => None,
        Storing::Pass(why) => Some(why),
    }
}

#[test]
fn what_forbids_storing() {
    let auth: Fields<'_> = &[("authorization", "Basic x")];
    for (request, response, expected) in [
        (&[][..], "max-age=60", None),
        (&[], "max-age=60, nO-StOrE", Some(WhyNot::NoStore)),
        (&[("cache-control", "no-store")], "max-age=60", Some(WhyNot::NoStore)),
        (&[], "max-age=60, private", Some(WhyNot::Private)),
        (auth, "max-age=60", Some(WhyNot::Authorization)),
        (auth, "max-age=60, public", None),
        (auth, "max-age=60, must-revalidate", None),
        (auth, "s-maxage=60", None),
        (&[], "no-cache", Some(WhyNot::Useless)),
    ] {
        assert_eq!(why(request, 200, &[("cache-control", response)]), expected, "{request:?} {response}");
    }
}

#[test]
fn statuses() {
    let fresh: Fields<'_> = &[("expires", "@100000"), ("last-modified", "@0"), ("date", "@0")];
    for status in [200, 203, 204, 299, 301, 302, 303, 307, 308, 400, 404, 410, 499, 500, 502, 503, 504, 599] {
        assert_eq!(why(&[], status, fresh), None, "{status}");
    }
    for status in [100, 103, 206, 304] {
        assert_eq!(why(&[], status, fresh), Some(WhyNot::Status), "{status}");
    }
    assert_eq!(why(&[], 599, &[("cache-control", "max-age=60, must-understand")]), Some(WhyNot::Status));
    assert_eq!(why(&[], 200, &[("cache-control", "max-age=60, no-store, must-understand")]), None);
}

#[test]
fn stored_for_revalidation_only() {
    assert_eq!(bench().then(&[("cache-control", "no-cache"), ("etag", "\"a\"")], 0), "revalidate");
    assert_eq!(bench().then(&[("cache-control", "max-age=99, no-cache"), ("etag", "\"a\"")], 0), "revalidate");
    assert_eq!(bench().then(&[("etag", "\"a\"")], 0), "revalidate");
    assert_eq!(why(&[], 500, &[("etag", "\"a\"")]), Some(WhyNot::Useless));
}

#[test]
fn cookies() {
    let plain: Fields<'_> = &[("cache-control", "max-age=60"), ("set-cookie", "a=b")];
    let named: Fields<'_> = &[("cache-control", "public, max-age=60"), ("set-cookie", "a=b")];
    assert_eq!(why(&[], 200, plain), Some(WhyNot::SetCookie));
    assert_eq!(why(&[], 200, named), None);
    assert_eq!(why(&[("cookie", "a=b")], 200, &[("cache-control", "max-age=60")]), None);
    let never = with(|options| options.set_cookie = SetCookie::Never);
    assert_eq!(never.storing(&[], 200, named), Storing::Pass(WhyNot::SetCookie));
    let without = with(|options| options.set_cookie = SetCookie::Without);
    assert!(!without.stored(&[], plain).headers().contains_key("set-cookie"));
    let always = with(|options| options.set_cookie = SetCookie::Always);
    assert_eq!(always.stored(&[], plain).headers()["set-cookie"], "a=b");
}

#[test]
fn fields_of_the_connection_are_not_stored() {
    let response = [
        ("cache-control", "max-age=60"),
        ("connection", "a, b"),
        ("a", "1"),
        ("b", "2"),
        ("c", "3"),
        ("keep-alive", "x"),
        ("te", "x"),
        ("transfer-encoding", "chunked"),
        ("proxy-authenticate", "x"),
        ("upgrade", "x"),
    ];
    let stored = bench().stored(&[], &response);
    let mut names: Vec<&str> = stored.headers().keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["c", "cache-control", "date"], "and a date is added where the origin sent none");
}

#[test]
fn a_post_that_answers_with_the_page_itself() {
    let post = |location: &str, fresh: &str| {
        let request = fields(&[]);
        let request = Request { method: &Method::POST, ..get(&request) };
        let headers = fields(&[("content-location", location), ("expires", fresh), ("date", "@0")]);
        let response = Response { status: StatusCode::OK, headers: &headers };
        matches!(bench().0.on_response(&request, &response, at(0), at(0)), Storing::Store(_))
    };
    assert!(post("/page?x=1", "@60"));
    assert!(post("http://A.example:80/page?x=1", "@60"));
    assert!(!post("/other", "@60"));
    assert!(!post("http://b.example/page?x=1", "@60"));
    assert!(!post("/page?x=1", "@0"));
}

#[test]
fn vary() {
    let response: Fields<'_> = &[("cache-control", "max-age=60"), ("vary", "Foo, Bar")];
    let stored = bench().stored(&[("foo", "1")], response);
    let ask = |request: Fields<'_>| crate::bench::name(&bench().ask(std::slice::from_ref(&stored), 1, request));
    assert_eq!(ask(&[("foo", "1")]), "fresh");
    assert_eq!(ask(&[("foo", "1"), ("other", "2")]), "fresh");
    assert_eq!(ask(&[("foo", "2")]), "miss");
    assert_eq!(ask(&[]), "miss");
    assert_eq!(ask(&[("foo", "1"), ("bar", "1")]), "miss");
    assert_eq!(why(&[], 200, &[("cache-control", "max-age=60"), ("vary", "Foo, *")]), Some(WhyNot::Vary));
}
