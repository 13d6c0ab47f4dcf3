//! How a router ends, and what does not end it.

use std::sync::Arc;
use std::time::Duration;

use control::plane::PlaneState;
use router::access::{AccessRecord, AccessRing, AccessSink};
use router::config::Config;
use router::standalone::StaticSource;
use router::{Deps, Routing, StartError};
use stdx::clock::SystemClock;
use tokio::sync::watch;

use crate::endpoint::{Act, Endpoint};
use crate::rig::{eventually, proxy};

const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn draining_lets_requests_in_flight_finish_and_takes_no_more() {
    let (open, gate) = watch::channel(false);
    let a = Endpoint::new(move |_| Act::WhenOpen(gate.clone())).await;
    let rig = proxy().endpoint(&a).start();
    let mut idle = rig.client().await;
    eventually(|| rig.handle.counts().connections == 1).await;
    let mut busy = rig.client().await;
    busy.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
    eventually(|| a.requests().len() == 1).await;
    let handle = rig.handle.clone();
    let draining = tokio::spawn(async move { handle.drain(LONG).await });
    assert!(idle.is_closed().await);
    assert_eq!(rig.handle.status().get(), PlaneState::Draining);
    open.send(true).unwrap();
    let reply = busy.reply().await;
    assert_eq!((reply.status, reply.one("connection")), (200, "close"));
    assert!(draining.await.unwrap());
    assert_eq!(rig.handle.status().get(), PlaneState::Stopped);
    assert!(tokio::net::TcpStream::connect(rig.addr).await.is_err());
}

#[tokio::test]
async fn a_connection_that_idles_as_the_router_leaves_may_send_one_more_request() {
    let a = Endpoint::saying("ok").await;
    let rig = proxy().endpoint(&a).config(|config| config.drain_idle_ms = 60_000).start();
    let mut clients = vec![rig.client().await, rig.client().await];
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
        assert!(client.reply().await.all("connection").is_empty());
    }
    let handle = rig.handle.clone();
    let draining = tokio::spawn(async move { handle.drain(Duration::from_secs(90)).await });
    eventually(|| std::net::TcpStream::connect(rig.addr).is_err()).await;
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
        let reply = client.reply().await;
        assert_eq!((reply.status, reply.one("connection")), (200, "close"));
        assert!(client.is_closed().await);
    }
    assert!(draining.await.unwrap());
}

#[tokio::test]
async fn what_does_not_finish_within_the_limit_is_cut() {
    let a = Endpoint::new(|_| Act::Hang).await;
    let rig = proxy().endpoint(&a).start();
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
    eventually(|| a.requests().len() == 1).await;
    assert!(!rig.handle.drain(Duration::from_millis(20)).await);
    assert!(client.is_closed().await);
    assert_eq!(rig.record().await.status, 499);
}

#[tokio::test]
async fn a_router_full_of_stuck_clients_still_ends() {
    let a = Endpoint::new(|_| Act::Hang).await;
    let rig = proxy().endpoint(&a).config(|config| config.connections_max = 1).start();
    let mut first = rig.client().await;
    first.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
    eventually(|| a.requests().len() == 1).await;
    let _waiting = (rig.client().await, rig.client().await);
    assert!(!rig.handle.drain(Duration::from_millis(20)).await);
    assert!(first.is_closed().await);
    assert!(tokio::net::TcpStream::connect(rig.addr).await.is_err());
}

#[tokio::test]
async fn held_requests_get_their_answer_while_the_router_drains() {
    let rig = proxy().start();
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
    eventually(|| rig.handle.counts().held == 1).await;
    let handle = rig.handle.clone();
    let draining = tokio::spawn(async move { handle.drain(LONG).await });
    eventually(|| rig.handle.status().get() == PlaneState::Draining).await;
    let late = Endpoint::saying("ok").await;
    rig.route_to(&[late.addr]);
    assert_eq!(client.reply().await.content, "ok");
    assert!(draining.await.unwrap());
}

#[derive(Debug)]
struct PanickingRing;

impl AccessRing for PanickingRing {
    fn push(&mut self, record: AccessRecord) -> bool {
        assert_ne!(&*record.target, "/panic", "the test asked for it");
        true
    }
}

impl AccessSink for PanickingRing {
    fn ring(&self, _worker: usize) -> Option<Box<dyn AccessRing>> {
        Some(Box::new(PanickingRing))
    }
}

#[tokio::test]
async fn a_panic_over_one_request_does_not_end_the_worker() {
    let config = Config { listen: vec!["127.0.0.1:0".parse().unwrap()], workers: 1, ..Config::default() };
    let source = Arc::new(StaticSource::new(Routing::default()));
    let handle = router::start(config, Deps::new(source, Arc::new(PanickingRing), SystemClock::shared())).unwrap();
    for path in ["/panic", "/", "/"] {
        let url = handle.bound()[0];
        let mut stream = tokio::net::TcpStream::connect(url).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n");
        tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.unwrap();
        let mut reply = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut reply).await.unwrap();
        assert_eq!(reply.starts_with(b"HTTP/1.1 404"), path == "/", "{path}");
    }
    assert!(!handle.status().is_failed());
    assert!(handle.drain(LONG).await);
}

#[tokio::test]
async fn a_port_in_use_and_a_bad_peer_are_said_at_the_start() {
    let start = |config| {
        let source = Arc::new(StaticSource::new(Routing::default()));
        router::start(config, Deps::new(source, Arc::new(router::access::Discard), SystemClock::shared()))
    };
    let rig = proxy().start();
    let taken = Config { listen: vec![rig.addr.to_string().parse().unwrap()], ..Config::default() };
    assert_eq!(start(taken).unwrap_err().code(), "port_in_use");
    let peer = Config { trusted_peers: vec!["lan".into()], ..Config::default() };
    let error = start(peer).unwrap_err();
    assert!(matches!(error, StartError::Peer(_)));
    assert_eq!(
        error.to_string(),
        "trusted_peers: `lan` is not an address or a network: write 10.0.0.1, 10.0.0.0/8 or fd00::/8"
    );
}

#[tokio::test]
async fn a_source_that_goes_away_leaves_the_routing_in_force() {
    let a = Endpoint::saying("ok").await;
    let mut rig = proxy().endpoint(&a).start();
    rig.source = Arc::new(StaticSource::new(Routing::default()));
    assert_eq!(rig.get("/").await.content, "ok");
}
