//! RFC 9111 sections 3.2, 4.3.4 and 4.3.5: answers without a body change what is stored.

use http::{Method, StatusCode};
use http_cache::{HeadUpdate, Refreshed, Request, Response, Stored};

use crate::bench::{Fields, at, bench, fields, get};

fn refresh(stored: &Stored, news: Fields<'_>) -> Refreshed {
    let none = fields(&[]);
    let stored = std::slice::from_ref(stored);
    bench().0.on_304(&get(&none), stored, &fields(news), at(10), at(10)).unwrap()
}

const OLD: Fields<'_> = &[
    ("cache-control", "max-age=2"),
    ("etag", "\"a\""),
    ("test", "A"),
    ("kept", "A"),
    ("content-length", "10"),
    ("content-encoding", "gzip"),
];

#[test]
fn a_304_brings_new_fields_but_not_those_of_the_content() {
    let news = [
        ("test", "B"),
        ("test", "C"),
        ("content-length", "5"),
        ("content-encoding", "br"),
        ("etag", "\"b\""),
        ("connection", "x"),
        ("x", "1"),
        ("age", "1"),
    ];
    let refreshed = refresh(&bench().stored(&[], OLD), &news);
    let headers = refreshed.stored.headers();
    assert_eq!(headers.get_all("test").iter().collect::<Vec<_>>(), ["B", "C"]);
    let same = ["kept", "content-length", "content-encoding", "etag"].map(|name| headers[name].to_str().unwrap());
    assert_eq!(same, ["A", "10", "gzip", "\"a\""]);
    assert!(!headers.contains_key("x") && !headers.contains_key("age"));
    assert_eq!((refreshed.stored.left_s(at(10)), refreshed.keep, refreshed.stored.body_bytes()), (1, true, 10));
}

#[test]
fn a_304_brings_a_new_lifetime() {
    let refreshed = refresh(&bench().stored(&[], OLD), &[("cache-control", "max-age=3600")]);
    assert_eq!(refreshed.stored.left_s(at(10)), 3600);
}

#[test]
fn a_304_that_forbids_storing_answers_once() {
    assert!(!refresh(&bench().stored(&[], OLD), &[("cache-control", "no-store")]).keep);
    assert!(!refresh(&bench().stored(&[], OLD), &[("vary", "*")]).keep);
}

#[test]
fn a_304_with_the_tag_of_another_variant_confirms_that_one() {
    let response = |tag| [("cache-control", "max-age=2"), ("vary", "x"), ("etag", tag)];
    let stored = [bench().stored(&[("x", "1")], &response("\"1\"")), bench().stored(&[("x", "2")], &response("\"2\""))];
    let request = fields(&[("x", "3")]);
    let news = |tag| fields(&[("etag", tag)]);
    let variant = |tag| bench().0.on_304(&get(&request), &stored, &news(tag), at(5), at(5)).map(|it| it.variant);
    assert_eq!((variant("\"2\""), variant("\"3\"")), (Some(1), None));
}

#[test]
fn a_head_refreshes_or_drops() {
    let none = fields(&[]);
    let request = Request { method: &Method::HEAD, ..get(&none) };
    let stored = [bench().stored(&[], OLD)];
    let head = |status, news: Fields<'_>| {
        let headers = fields(news);
        let response = Response { status: StatusCode::from_u16(status).unwrap(), headers: &headers };
        bench().0.on_head(&request, &stored, &response, at(10), at(10))
    };
    let HeadUpdate::Refreshed(refreshed) = head(200, &[("cache-control", "max-age=1000"), ("test", "2")]) else {
        panic!("not refreshed")
    };
    let headers = refreshed.stored.headers();
    assert_eq!(
        (refreshed.stored.left_s(at(10)), &headers["test"], &headers["kept"]),
        (1000, &"2".parse().unwrap(), &"A".parse().unwrap())
    );
    assert_eq!(head(200, &[("content-length", "11")]), HeadUpdate::Gone(0));
    assert_eq!(head(200, &[("etag", "\"b\"")]), HeadUpdate::Gone(0));
    assert_eq!(head(410, &[("test", "2")]), HeadUpdate::Nothing);
}
