//! RFC 9211, keys and tags.

use http_cache::{CacheStatus, Forward, Forwarded, primary_key, tags};

use crate::bench::fields;

#[test]
fn cache_status() {
    let hit = CacheStatus { cache: "forebay", hit_left_s: Some(-412), forwarded: None, detail: None };
    assert_eq!(hit.to_string(), "forebay; hit; ttl=-412");
    let forwarded = Forwarded { why: Forward::Stale.token(), status: Some(304), stored: true, collapsed: true };
    let miss = CacheStatus { cache: "forebay", hit_left_s: None, forwarded: Some(forwarded), detail: Some("x") };
    assert_eq!(miss.value().unwrap(), "forebay; fwd=stale; fwd-status=304; stored; collapsed; detail=x");
}

#[test]
fn keys_hold_all_that_tells_resources_apart() {
    let key = primary_key("shop@7", "HTTP", "A.example:80", "/x?Y");
    assert_eq!(&*key, "shop@7\nhttp://a.example/x?Y");
    for other in [
        primary_key("shop@8", "http", "a.example", "/x?Y"),
        primary_key("shop@7", "https", "a.example", "/x?Y"),
        primary_key("shop@7", "http", "a.example:8080", "/x?Y"),
        primary_key("shop@7", "http", "a.example", "/x?y"),
    ] {
        assert_ne!(key, other);
    }
}

#[test]
fn surrogate_keys() {
    let headers = fields(&[("surrogate-key", "a  b\tc"), ("surrogate-key", "a"), ("cache-tag", "d, e f ,")]);
    assert_eq!(tags(&headers).iter().map(|tag| &**tag).collect::<Vec<_>>(), ["a", "b", "c", "d", "e f"]);
    let long = "x".repeat(257);
    assert!(tags(&fields(&[("cache-tag", &long)])).is_empty());
}
