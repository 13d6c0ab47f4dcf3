//! The shared cache of a route, over real sockets.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use control::wire::router::{BreakerByHand, PurgeReport, PurgeRequest};
use router::access::What;
use router::config::{BreakerConfig, CacheConfig, LimitConfig, RewriteConfig};
use router::{RouteSpec, Routing};

use crate::coalescing::Origin;
use crate::endpoint::{Act, Endpoint, Received};
use crate::rig::{Proxy, Reply, Rig, eventually, proxy};

pub(crate) fn caching() -> Proxy {
    proxy().policy(|policy| policy.cache = Some(CacheConfig::default()))
}

fn ok(fields: &str, content: &str) -> Act {
    let length = content.len();
    Act::Reply(format!("HTTP/1.1 200 OK\r\n{fields}\r\ncontent-length: {length}\r\n\r\n{content}").into_bytes())
}

/// Numbers its answers.
async fn counting(fields: &'static str) -> Endpoint {
    let count = AtomicUsize::new(0);
    Endpoint::new(move |_| ok(fields, &format!("answer {}", count.fetch_add(1, SeqCst)))).await
}

async fn with(rig: &Rig, fields: &str) -> Reply {
    rig.send(format!("GET / HTTP/1.1\r\nhost: shop\r\n{fields}\r\n\r\n")).await
}

#[tokio::test]
async fn the_second_is_a_hit_on_every_worker() {
    let a = counting("cache-control: max-age=60").await;
    let rig = caching().endpoint(&a).start();
    let first = rig.get("/").await;
    assert_eq!((first.content.as_str(), first.one("cache-status")), ("answer 0", "forebay; fwd=uri-miss; stored"));
    for _ in 0..20 {
        let hit = rig.get("/").await;
        assert_eq!((hit.status, hit.content.as_str()), (200, "answer 0"));
        assert!(hit.one("cache-status").starts_with("forebay; hit; ttl="), "{}", hit.head);
        assert!(hit.one("age").parse::<u32>().unwrap() < 60);
    }
    assert_eq!(rig.get("/other").await.content, "answer 1");
    let other = rig.send("GET / HTTP/1.1\r\nhost: other\r\n\r\n").await;
    assert_eq!(other.content, "answer 2", "another host is another resource");
    let hits = rig.records(23).await;
    assert_eq!(hits.iter().filter(|record| record.events.iter().any(|event| event.what == What::CacheHit)).count(), 20);
    assert_eq!(a.requests().len(), 3);
}

#[tokio::test]
async fn without_the_table_nothing_is_kept() {
    let a = counting("cache-control: max-age=60").await;
    let rig = proxy().endpoint(&a).start();
    assert_ne!(rig.get("/").await.content, rig.get("/").await.content);
    assert!(rig.get("/").await.all("cache-status").is_empty());
}

#[tokio::test]
async fn what_says_nothing_or_forbids_is_not_kept() {
    for fields in [
        "x-a: b",
        "cache-control: no-store",
        "cache-control: private, max-age=60",
        "vary: *\r\ncache-control: max-age=60",
    ] {
        let a = counting(fields).await;
        let rig = caching().endpoint(&a).start();
        for nth in 0..3 {
            let reply = rig.get("/").await;
            assert_eq!(reply.content, format!("answer {nth}"), "{fields}");
            assert!(reply.one("cache-status").contains("fwd=uri-miss"), "{}", reply.head);
        }
    }
}

#[tokio::test]
async fn ours_goes_before_the_common_field() {
    let a = counting("cache-control: no-store\r\ncdn-cache-control: max-age=60").await;
    let rig = caching().endpoint(&a).start();
    assert_eq!(rig.get("/").await.content, rig.get("/").await.content);
}

#[tokio::test]
async fn stale_while_it_is_fetched_anew() {
    let a = counting("cache-control: max-age=0, stale-while-revalidate=60").await;
    let rig = caching().endpoint(&a).start();
    assert_eq!(rig.get("/").await.content, "answer 0");
    let stale = rig.get("/").await;
    assert_eq!(stale.content, "answer 0");
    assert!(stale.one("cache-status").starts_with("forebay; hit; ttl="), "{}", stale.head);
    eventually(|| a.requests().len() == 2).await;
    let mut newest = String::new();
    while newest != "answer 1" {
        newest = rig.get("/").await.content;
    }
}

#[tokio::test]
async fn stale_in_place_of_failures() {
    let failing = AtomicUsize::new(0);
    let a = Endpoint::new(move |_| match failing.fetch_add(1, SeqCst) {
        0 => ok("cache-control: max-age=0, stale-if-error=60", "good"),
        1 => Act::Reply(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n".to_vec()),
        _ => Act::Close,
    })
    .await;
    let rig = caching().policy(|policy| policy.retries_max = 0).endpoint(&a).start();
    assert_eq!(rig.get("/").await.content, "good");
    for _ in 0..2 {
        let stale = rig.get("/").await;
        assert_eq!((stale.status, stale.content.as_str()), (200, "good"));
        assert!(stale.one("cache-status").ends_with("; detail=stale-if-error"), "{}", stale.head);
    }
    assert_eq!(rig.get("/other").await.status, 502, "where nothing is kept the failure is told");
    let addr = a.kill().await;
    assert_eq!(rig.get("/").await.content, "good", "nobody listens at {addr}");
}

#[tokio::test]
async fn variants_by_what_they_vary_by() {
    let count = AtomicUsize::new(0);
    let a = Endpoint::new(move |request: &Received| {
        let language = request.one("accept-language").to_string();
        ok("cache-control: max-age=60\r\nvary: accept-language", &format!("{language} {}", count.fetch_add(1, SeqCst)))
    })
    .await;
    let rig = caching().endpoint(&a).start();
    for _ in 0..2 {
        assert_eq!(with(&rig, "accept-language: de").await.content, "de 0");
        assert_eq!(with(&rig, "accept-language: en").await.content, "en 1");
    }
}

#[tokio::test]
async fn conditions_are_answered_and_asked() {
    let a = Endpoint::new(|request: &Received| match request.all("if-none-match")[..] {
        ["\"1\""] => {
            Act::Reply(b"HTTP/1.1 304 Not Modified\r\netag: \"1\"\r\ncache-control: max-age=60\r\n\r\n".to_vec())
        }
        _ => ok("cache-control: max-age=0\r\netag: \"1\"", "one"),
    })
    .await;
    let rig = caching().endpoint(&a).start();
    assert_eq!(rig.get("/").await.content, "one");
    let confirmed = rig.get("/").await;
    assert_eq!((confirmed.status, confirmed.content.as_str()), (200, "one"));
    assert_eq!(confirmed.one("cache-status"), "forebay; fwd=stale; fwd-status=304; stored");
    let known = with(&rig, "if-none-match: \"1\"").await;
    assert_eq!((known.status, known.one("etag")), (304, "\"1\""));
    assert_eq!(with(&rig, "if-none-match: \"2\"").await.status, 200);
    assert_eq!(a.requests().len(), 2);
}

#[tokio::test]
async fn ranges_and_heads_of_what_is_kept() {
    let a = Endpoint::new(|_| ok("cache-control: max-age=60", "0123456789")).await;
    let rig = caching().endpoint(&a).start();
    assert_eq!(rig.get("/").await.content, "0123456789");
    let part = with(&rig, "range: bytes=2-4").await;
    assert_eq!((part.status, part.content.as_str(), part.one("content-range")), (206, "234", "bytes 2-4/10"));
    assert_eq!(with(&rig, "range: bytes=90-").await.status, 416);
    let mut client = rig.client().await;
    client.send("HEAD / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
    let head = client.reply_to("HEAD").await;
    assert_eq!((head.status, head.one("content-length")), (200, "10"));
    assert_eq!(a.requests().len(), 1);
}

#[tokio::test]
async fn a_write_makes_what_is_kept_worthless() {
    let count = AtomicUsize::new(0);
    let a = Endpoint::new(move |request: &Received| {
        let fields = if request.line().starts_with("POST") { "location: /list" } else { "cache-control: max-age=60" };
        ok(fields, &count.fetch_add(1, SeqCst).to_string())
    })
    .await;
    let rig = caching().endpoint(&a).start();
    let before = (rig.get("/").await.content, rig.get("/list").await.content, rig.get("/else").await.content);
    assert_eq!(before, ("0".into(), "1".into(), "2".into()));
    let post = rig.send("POST / HTTP/1.1\r\nhost: shop\r\ncontent-length: 1\r\n\r\nx").await;
    assert_eq!(post.one("cache-status"), "forebay; fwd=method");
    let after = (rig.get("/").await.content, rig.get("/list").await.content, rig.get("/else").await.content);
    assert_eq!(after, ("4".into(), "5".into(), "2".into()));
}

#[tokio::test]
async fn what_is_too_long_passes_through() {
    let a = counting("cache-control: max-age=60").await;
    let chunked = Endpoint::new(|_| {
        let piece = format!("4000\r\n{}\r\n", "y".repeat(0x4000));
        let all = format!(
            "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ntransfer-encoding: chunked\r\n\r\n{}0\r\n\r\n",
            piece.repeat(64)
        );
        Act::Reply(all.into_bytes())
    })
    .await;
    let small = |config: &mut router::config::Config| config.cache_object_bytes_max = 4;
    let rig = caching().config(small).endpoint(&a).start();
    assert_eq!((rig.get("/").await.content, rig.get("/").await.content), ("answer 0".into(), "answer 1".into()));
    let rig = caching().config(|config| config.cache_object_bytes_max = 100_000).endpoint(&chunked).start();
    for _ in 0..2 {
        let long = rig.get("/").await;
        assert_eq!((long.content.len(), long.cut), (0x4000 * 64, false));
    }
    assert_eq!(chunked.requests().len(), 2);
}

#[tokio::test]
async fn clients_may_ask_for_less_and_for_nothing_else() {
    let a = counting("cache-control: max-age=60").await;
    let rig = caching().endpoint(&a).start();
    assert_eq!(with(&rig, "cache-control: only-if-cached").await.status, 504);
    assert_eq!(rig.get("/").await.content, "answer 0");
    assert_eq!(with(&rig, "cache-control: only-if-cached").await.content, "answer 0");
    assert_eq!(with(&rig, "cache-control: no-cache").await.content, "answer 1");
    assert_eq!(rig.get("/").await.content, "answer 1");
}

#[tokio::test]
async fn a_tunnel_is_nobody_elses() {
    let a = Endpoint::new(|request: &Received| match request.all("upgrade")[..] {
        [] => ok("cache-control: max-age=60", "page"),
        _ => Act::Reply(
            b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\ncache-control: max-age=60\r\n\r\n"
                .to_vec(),
        ),
    })
    .await;
    let rig = caching().endpoint(&a).start();
    for _ in 0..2 {
        let mut client = rig.client().await;
        client.send("GET / HTTP/1.1\r\nhost: shop\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n").await;
        assert_eq!(client.reply().await.status, 101);
    }
    assert_eq!(rig.get("/").await.content, "page");
    assert_eq!(a.requests().len(), 3);
}

#[tokio::test]
async fn what_is_purged_is_fetched_anew() {
    let a = counting("cache-control: max-age=60, stale-if-error=60\r\nsurrogate-key: all even").await;
    let rig = caching().policy(|policy| policy.retries_max = 0).endpoint(&a).start();
    let purge = |urls: &[&str], keys: &[&str], soft| {
        let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_string()).collect();
        rig.handle.purge(&PurgeRequest { urls: own(urls), keys: own(keys), all: false, soft }).unwrap()
    };
    for path in ["/a/1", "/a/2", "/b"] {
        rig.get(path).await;
    }
    assert_eq!(purge(&["http://shop/a/1", "/c"], &["odd"], false), PurgeReport { answers: 1, under_way: 0 });
    assert_eq!(
        (rig.get("/a/1").await.content.as_str(), rig.get("/a/2").await.content.as_str()),
        ("answer 3", "answer 1")
    );
    assert_eq!(purge(&["/a/*"], &[], false).answers, 2);
    assert_eq!(
        (rig.get("/a/2").await.content.as_str(), rig.get("/b").await.content.as_str()),
        ("answer 4", "answer 2")
    );
    assert_eq!(purge(&[], &["even"], true).answers, 2);
    assert_eq!(rig.get("/b").await.content, "answer 5", "stale");
    a.kill().await;
    assert_eq!(rig.get("/a/2").await.content, "answer 4", "what is stale stands in for it");
    assert!(rig.handle.purge(&PurgeRequest::default()).is_err());
}

#[tokio::test]
async fn what_was_asked_before_a_purge_is_not_kept_after_it() {
    let a = Origin::of(10).await;
    let rig = caching().address(a.addr).start();
    let mut before = rig.client().await;
    before.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
    eventually(|| a.asked() == 1).await;
    let all = PurgeRequest { all: true, ..PurgeRequest::default() };
    assert_eq!(rig.handle.purge(&all), Ok(PurgeReport { answers: 0, under_way: 1 }));
    a.allow(10);
    assert_eq!(before.reply().await.content.len(), 10);
    rig.get("/").await;
    assert_eq!(a.asked(), 2);
}

#[tokio::test]
async fn stale_in_place_of_a_route_that_is_given_a_rest() {
    let failing = AtomicUsize::new(0);
    let a = Endpoint::new(move |request| match request.line().split(' ').nth(1) {
        Some("/") => ok("cache-control: max-age=0, stale-if-error=60", "good"),
        Some("/plain") => ok("cache-control: max-age=0, must-revalidate\r\netag: \"1\"", "must be asked for"),
        _ => Act::Reply(
            format!("HTTP/1.1 500 Oh\r\nx-count: {}\r\ncontent-length: 0\r\n\r\n", failing.fetch_add(1, SeqCst)).into(),
        ),
    })
    .await;
    let breaker = BreakerConfig { failures_in_a_row: 3, pause_ms: 600_000, ..BreakerConfig::default() };
    let rig = caching().endpoint(&a).policy(|policy| (policy.breaker, policy.retries_max) = (Some(breaker), 0)).start();
    let stale = async || {
        let reply = rig.get("/").await;
        assert_eq!((reply.status, reply.content.as_str()), (200, "good"));
        assert!(reply.one("cache-status").ends_with("; detail=stale-if-error"), "{}", reply.head);
    };
    assert_eq!(rig.get("/").await.content, "good");
    assert_eq!(rig.get("/plain").await.status, 200);
    let by_hand = rig.breaker(BreakerByHand::Tripped);
    stale().await;
    assert_eq!(rig.get("/plain").await.status, 503, "what may not be given stale is not");
    rig.handle.clear_by_hand(by_hand, "uid 7".into(), None).unwrap();
    // By itself it opens too.
    for _ in 0..3 {
        assert_eq!(rig.get("/fails").await.status, 500);
    }
    let before = a.requests().len();
    for _ in 0..5 {
        stale().await;
    }
    assert_eq!((rig.get("/fails").await.status, a.requests().len()), (503, before));
}

#[tokio::test]
async fn stale_in_place_of_what_is_turned_away() {
    let a = Endpoint::new(|request| match request.line().split(' ').nth(1) {
        Some("/") => ok("cache-control: max-age=0, stale-if-error=60", "good"),
        _ => Act::Hang,
    })
    .await;
    let limit = LimitConfig { in_flight_max: 1, waiting_max: 0, ..LimitConfig::default() };
    let rig = caching().endpoint(&a).policy(|policy| policy.limit = Some(limit)).start();
    assert_eq!(rig.get("/").await.content, "good");
    eventually(|| rig.handle.limits()[0].figures.in_flight == 0).await;
    let mut holds = rig.client().await;
    holds.send("GET /holds HTTP/1.1\r\nhost: shop\r\n\r\n").await;
    eventually(|| a.requests().len() == 2).await;
    for _ in 0..5 {
        let stale = rig.get("/").await;
        assert_eq!((stale.status, stale.content.as_str()), (200, "good"));
        assert!(stale.one("cache-status").ends_with("; detail=stale-if-error"), "{}", stale.head);
    }
    assert_eq!((rig.get("/other").await.status, a.requests().len()), (503, 2));
}

#[tokio::test]
async fn what_is_kept_goes_by_the_address_that_clients_ask_for() {
    let count = AtomicUsize::new(0);
    let a = Endpoint::new(move |request: &Received| {
        let fields = if request.line().starts_with("POST") { "location: /shop/b" } else { "cache-control: max-age=60" };
        let path = request.line().split(' ').nth(1).unwrap();
        ok(fields, &format!("{path} {}", count.fetch_add(1, SeqCst)))
    })
    .await;
    let rig = caching().endpoint(&a).start();
    let routing = rig.source_routing().borrow().clone();
    let mut routing = Routing::clone(&routing);
    let mut shop = RouteSpec { name: "shop".into(), path_prefix: "/shop".into(), ..routing.routes[0].clone() };
    shop.policy.rewrite = Some(RewriteConfig { prefix: "/v2".into() });
    routing.routes.insert(0, shop);
    rig.source.replace(routing);
    rig.handle.applied().await;
    for _ in 0..2 {
        assert_eq!(rig.get("/shop/a?n=1").await.content, "/v2/a?n=1 0");
        assert_eq!(rig.get("/v2/a?n=1").await.content, "/v2/a?n=1 1", "another address, another route");
        assert_eq!(rig.get("/shop/b").await.content, "/v2/b 2");
    }
    let purge = |url: &str| {
        let report = rig.handle.purge(&PurgeRequest { urls: vec![url.into()], ..PurgeRequest::default() }).unwrap();
        report.answers
    };
    assert_eq!((purge("http://shop/shop/a?n=1"), purge("/shop/none")), (1, 0));
    assert_eq!(rig.get("/shop/a?n=1").await.content, "/v2/a?n=1 3");
    assert_eq!(rig.get("/v2/a?n=1").await.content, "/v2/a?n=1 1");
    // A write by another route names it, and itself.
    rig.send("POST /other HTTP/1.1\r\nhost: shop\r\ncontent-length: 1\r\n\r\nx").await;
    assert_eq!(rig.get("/shop/b").await.content, "/v2/b 5");
    rig.send("POST /shop/a?n=1 HTTP/1.1\r\nhost: shop\r\ncontent-length: 1\r\n\r\nx").await;
    assert_eq!(rig.get("/shop/a?n=1").await.content, "/v2/a?n=1 7");
}
