//! The shared cache of a route, over real sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use control::wire::router::{PurgeReport, PurgeRequest};
use router::access::What;
use router::config::CacheConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::endpoint::{Act, Endpoint, Received};
use crate::rig::{Proxy, Reply, Rig, eventually, proxy};

fn caching() -> Proxy {
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
async fn a_thousand_clients_and_one_request() {
    let (open, gate) = watch::channel(false);
    let count = Arc::new(AtomicUsize::new(0));
    let asked = Arc::clone(&count);
    let (addr, _origin) = origin(gate, move || asked.fetch_add(1, SeqCst)).await;
    let rig = Arc::new(caching().address(addr).start());
    // The first reads nothing of what it asked for, the second goes away.
    let mut slow = rig.client().await;
    slow.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
    let mut gone = rig.client().await;
    gone.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
    let mut clients = JoinSet::new();
    for _ in 0..1_000 {
        let rig = Arc::clone(&rig);
        clients.spawn(async move { rig.get("/").await });
    }
    eventually(|| rig.handle.counts().connections == 1_002).await;
    drop(gone);
    open.send_replace(true);
    let mut collapsed = 0;
    while let Some(reply) = clients.join_next().await {
        let reply = reply.unwrap();
        assert_eq!((reply.status, reply.content.len(), reply.cut), (200, BODY_BYTES, false));
        collapsed += usize::from(reply.one("cache-status").ends_with("; collapsed"));
    }
    assert_eq!(count.load(SeqCst), 1);
    assert!(collapsed > 500, "{collapsed}");
    assert_eq!(slow.reply().await.content.len(), BODY_BYTES);
}

const BODY_BYTES: usize = 256 << 10;

/// An origin that answers with much content when its gate is opened.
async fn origin(
    gate: watch::Receiver<bool>,
    asked: impl Fn() -> usize + Send + Sync + 'static,
) -> (std::net::SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    let asked = Arc::new(asked);
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (mut gate, asked) = (gate.clone(), Arc::clone(&asked));
            connections.spawn(async move {
                let mut buffer = [0; 4096];
                while stream.read(&mut buffer).await.is_ok_and(|bytes| bytes > 0) {
                    asked();
                    gate.wait_for(|open| *open).await.unwrap();
                    let head =
                        format!("HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: {BODY_BYTES}\r\n\r\n");
                    let mut reply = head.into_bytes();
                    reply.resize(reply.len() + BODY_BYTES, b'x');
                    if stream.write_all(&reply).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (addr, tasks)
}

#[tokio::test]
async fn a_fetch_survives_the_client_that_caused_it() {
    let (open, gate) = watch::channel(false);
    let count = Arc::new(AtomicUsize::new(0));
    let asked = Arc::clone(&count);
    let (addr, _origin) = origin(gate, move || asked.fetch_add(1, SeqCst)).await;
    let rig = caching().address(addr).start();
    let mut first = rig.client().await;
    first.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
    eventually(|| count.load(SeqCst) == 1).await;
    drop(first);
    eventually(|| rig.handle.counts().connections == 0).await;
    open.send_replace(true);
    eventually(|| rig.handle.in_flight(addr) == 0).await;
    let hit = rig.get("/").await;
    assert_eq!((hit.content.len(), count.load(SeqCst)), (BODY_BYTES, 1));
    assert!(hit.one("cache-status").contains("; hit"), "{}", hit.head);
}

#[tokio::test]
async fn who_waits_waits_no_longer_than_its_deadline() {
    let (_open, gate) = watch::channel(false);
    let (addr, _origin) = origin(gate, || 0).await;
    let rig = caching().policy(|policy| policy.deadline_ms = 100).address(addr).start();
    let (mut first, mut second) = (rig.client().await, rig.client().await);
    for client in [&mut first, &mut second] {
        client.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
    }
    assert_eq!((first.reply().await.status, second.reply().await.status), (504, 504));
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
    let (open, gate) = watch::channel(false);
    let count = Arc::new(AtomicUsize::new(0));
    let asked = Arc::clone(&count);
    let (addr, _origin) = origin(gate, move || asked.fetch_add(1, SeqCst)).await;
    let rig = caching().address(addr).start();
    let mut before = rig.client().await;
    before.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
    eventually(|| count.load(SeqCst) == 1).await;
    let all = PurgeRequest { all: true, ..PurgeRequest::default() };
    assert_eq!(rig.handle.purge(&all), Ok(PurgeReport { answers: 0, under_way: 1 }));
    open.send_replace(true);
    assert_eq!(before.reply().await.content.len(), BODY_BYTES);
    rig.get("/").await;
    assert_eq!(count.load(SeqCst), 2);
}
