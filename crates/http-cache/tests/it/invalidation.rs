//! RFC 9111 section 4.4: writes.

use http::{Method, StatusCode};
use http_cache::{Request, Response};

use crate::bench::{Fields, bench, fields, get};

fn gone(method: &str, status: u16, response: Fields<'_>) -> Vec<String> {
    let none = fields(&[]);
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let request = Request { method: &method, target: "/a/b?q", ..get(&none) };
    let headers = fields(response);
    let response = Response { status: StatusCode::from_u16(status).unwrap(), headers: &headers };
    bench().0.invalidates(&request, &response).targets
}

#[test]
fn methods_and_statuses() {
    for method in ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH"] {
        assert_eq!(gone(method, 200, &[]), ["/a/b?q"], "{method}");
        assert_eq!(gone(method, 303, &[]), ["/a/b?q"], "{method}");
        assert!(gone(method, 500, &[]).is_empty() && gone(method, 404, &[]).is_empty(), "{method}");
    }
    for method in ["GET", "HEAD", "OPTIONS", "TRACE"] {
        assert!(gone(method, 200, &[]).is_empty(), "{method}");
    }
}

#[test]
fn locations_of_the_same_origin() {
    for (location, expected) in [
        ("/new", Some("/new")),
        ("new", Some("/a/new")),
        ("../x/./y?z", Some("/x/y?z")),
        ("?other", Some("/a/b?other")),
        ("http://a.example/new#part", Some("/new")),
        ("http://A.EXAMPLE:80/new", Some("/new")),
        ("//a.example/new", Some("/new")),
        ("http://a.example", Some("/")),
        ("http://b.example/new", None),
        ("https://a.example/new", None),
        ("http://a.example:8080/new", None),
        ("http://a.example@b.example/new", None),
        ("mailto:me", None),
    ] {
        for name in ["location", "content-location"] {
            let targets = gone("POST", 201, &[(name, location)]);
            assert_eq!(targets.get(1).map(String::as_str), expected, "{name}: {location}");
        }
    }
    assert_eq!(gone("POST", 201, &[("location", "/x"), ("content-location", "/y")]), ["/a/b?q", "/x", "/y"]);
}
