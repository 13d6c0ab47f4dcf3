//! What pages may not have of fragments.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use control::metrics::Exposition;
use router::access::{Unfit, What};
use router::config::FragmentsConfig;
use router::{RouteSpec, Routing};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::endpoint::{Act, Endpoint, says};
use crate::fragments::{assembling, fails, html, of, path, patient, whats};
use crate::rig::{Rig, eventually, proxy};

fn dropped(src: &str, why: Unfit) -> What {
    What::FragmentDropped(src.into(), why)
}

/// Adds a route by host, to the same upstream.
fn also(rig: &Rig, host: &str) {
    let routing: Arc<Routing> = rig.source_routing().borrow().clone();
    let mut routing = Routing::clone(&routing);
    routing.routes.push(RouteSpec { name: "other".into(), host: Some(host.into()), ..routing.routes[0].clone() });
    rig.source.replace(routing);
}

#[tokio::test]
async fn fragments_of_fragments_end_at_the_depth() {
    let a = Endpoint::new(|request| {
        let depth: usize = path(request).trim_start_matches('/').parse().unwrap_or_default();
        html(&format!(r#"{depth}<esi:include src="/{}"/>"#, depth + 1))
    })
    .await;
    let rig = assembling(&a).start();
    assert_eq!(rig.get("/").await.content, "0123");
    let records = rig.records(4).await;
    assert_eq!(whats(of(&records, "/")), [dropped("/4", Unfit::TooMany)]);
}

#[tokio::test]
async fn a_page_is_not_within_itself() {
    let a = Endpoint::new(|request| match path(request) {
        "/" => html(r#"<<esi:include src="/"/><esi:include src="/a"/>>"#),
        _ => html(r#"a<esi:include src="a"/>"#),
    })
    .await;
    let rig = assembling(&a).start();
    assert_eq!(rig.get("/").await.content, "<a>");
    assert_eq!(a.requests().len(), 2);
    let records = rig.records(2).await;
    assert_eq!(whats(of(&records, "/")), [dropped("/", Unfit::Refused), dropped("a", Unfit::Refused)]);
}

#[tokio::test]
async fn so_many_and_so_long() {
    let rule = FragmentsConfig { count_max: 2, fragment_bytes_max: 3, parallel_max: 1, ..patient() };
    let a = Endpoint::new(|request| match path(request) {
        "/" => html(r#"<esi:include src="/a"/><esi:include src="/long"/><esi:include src="/b"/>"#),
        "/long" => html("long"),
        _ => html("a"),
    })
    .await;
    let rig = assembling(&a).policy(|policy| policy.fragments = Some(rule)).start();
    assert_eq!(rig.get("/").await.content, "a");
    let records = rig.records(3).await;
    assert_eq!(whats(of(&records, "/")), [dropped("/b", Unfit::TooMany), dropped("/long", Unfit::Failed)]);
}

#[tokio::test]
async fn without_room_for_fragments_there_are_none() {
    let a =
        Endpoint::new(|request| if path(request) == "/" { html(r#"<<esi:include src="/a"/>>"#) } else { html("a") })
            .await;
    let rig = assembling(&a).config(|config| config.fragments_bytes_max = 0).start();
    assert_eq!(rig.get("/").await.content, "<>");
}

#[tokio::test]
async fn no_host_is_asked_that_no_route_names() {
    let evil = Endpoint::saying("evil").await;
    let template = format!(
        r#"<<esi:include src="http://{0}/"/><esi:include src="//{0}/"/><esi:include src="https://shop@{0}/"/><esi:include src="http://{0}#@shop/"/><esi:include src="http://shop:{1}/"/><esi:include src="http://169.254.169.254/"/><esi:include src="http://evil.example/"/><esi:include src="/.forebay/health"/><esi:include src="/x/../.forebay/health"/><esi:include src="http://ads.example/x"/>>"#,
        evil.addr,
        evil.addr.port()
    );
    let a = Endpoint::new(move |request| match (request.one("host"), path(request)) {
        ("shop", "/") => html(&template),
        ("ads.example", "/x") => says("ad"),
        _ => fails(),
    })
    .await;
    let rig = assembling(&a).start();
    also(&rig, "Ads.example");
    rig.handle.applied().await;
    let reply = rig.send("GET / HTTP/1.1\r\nhost: shop\r\ncookie: c=1\r\nauthorization: Basic x\r\n\r\n").await;
    assert_eq!(reply.content, "<ad>");
    assert_eq!(evil.connections(), 0);
    let requests = a.requests();
    let ad = requests.iter().find(|request| request.one("host") == "ads.example").unwrap();
    assert!(ad.all("cookie").is_empty() && ad.all("authorization").is_empty(), "{}", ad.head);
    assert_eq!(requests.len(), 2);
    let refused = whats(of(&rig.records(2).await, "/"));
    assert!(refused.len() == 9 && refused.iter().all(|what| matches!(what, What::FragmentDropped(_, Unfit::Refused))));
    let mut page = Exposition::default();
    rig.handle.metrics(&mut page);
    let counted = page.into_text();
    assert!(counted.lines().any(|line| line.contains("fragment_dropped") && line.ends_with(" 9")), "{counted}");
}

/// An application with a page of 64 MiB around one fragment that never comes; how much of the page it has got rid of.
async fn endless_page() -> (SocketAddr, Arc<AtomicUsize>, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (sent, mut tasks) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
    let count = Arc::clone(&sent);
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let sent = Arc::clone(&count);
            connections.spawn(async move {
                let mut head = [0; 4096];
                let read = stream.read(&mut head).await.unwrap();
                if head[..read].starts_with(b"GET /slow") {
                    std::future::pending::<()>().await;
                }
                let start = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n<esi:include src='/slow' maxwait='300'/>";
                stream.write_all(start).await.unwrap();
                let piece = b"<esi:vars>x</esi:vars>text ".repeat(1 << 10);
                while sent.load(SeqCst) < 64 << 20 && stream.write_all(&piece).await.is_ok() {
                    sent.fetch_add(piece.len(), SeqCst);
                }
            });
        }
    });
    (addr, sent, tasks)
}

#[tokio::test]
async fn no_more_of_a_page_is_read_than_waits_for_a_fragment_and_for_a_client() {
    let (addr, sent, _tasks) = endless_page().await;
    let rule = FragmentsConfig { bytes_max: 1 << 20, ..patient() };
    let rig = proxy()
        .address(addr)
        .config(|config| config.write_timeout_ms = 300)
        .policy(|policy| policy.fragments = Some(rule))
        .start();
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
    // It reads nothing; the router has had enough of that.
    eventually(|| rig.handle.counts().connections == 0).await;
    assert!(sent.load(SeqCst) < 24 << 20, "{} bytes of the page were read", sent.load(SeqCst));
}

#[tokio::test]
async fn fragments_that_wait_for_a_slow_one_take_the_room_of_others_and_give_it_back() {
    let long = "y".repeat(600 << 10);
    let a = Endpoint::new(move |request| match path(request) {
        "/waits" => html(r#"<<esi:include src="/long"/><esi:include src="/never" maxwait="600000"/>>"#),
        "/" => html(r#"<<esi:include src="/long"/>>"#),
        "/never" => Act::Hang,
        _ => html(&long),
    })
    .await;
    let rig = assembling(&a).config(|config| config.fragments_bytes_max = 1 << 20).start();
    assert_eq!(rig.get("/").await.content.len(), 2 + (600 << 10));
    rig.records(2).await;
    let mut waits = rig.client().await;
    waits.send("GET /waits HTTP/1.1\r\nhost: shop\r\n\r\n").await;
    assert_eq!(&*rig.record().await.target, "/long");
    assert_eq!(rig.get("/").await.content, "<>", "there is no room for a second one");
    let records = rig.records(2).await;
    assert_eq!(whats(of(&records, "/")), [dropped("/long", Unfit::Failed)]);
    drop(waits);
    rig.records(2).await;
    assert_eq!(rig.get("/").await.content.len(), 2 + (600 << 10));
}
