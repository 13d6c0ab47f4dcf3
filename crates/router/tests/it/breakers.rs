//! A route that fails is given a rest: by itself, or by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering::SeqCst};
use std::time::Duration;

use control::wire::router::BreakerByHand;
use router::BreakerState;
use router::config::BreakerConfig;

use crate::endpoint::{Act, Endpoint};
use crate::rig::{Rig, eventually, proxy};

/// An endpoint that answers with the status that the test sets, and with these fields.
async fn answering(status: &Arc<AtomicU16>, fields: &'static str) -> Endpoint {
    let status = Arc::clone(status);
    Endpoint::new(move |_| {
        let status = status.load(SeqCst);
        Act::Reply(format!("HTTP/1.1 {status} x\r\n{fields}content-length: 0\r\n\r\n").into_bytes())
    })
    .await
}

fn breaker(pause_ms: u32) -> BreakerConfig {
    BreakerConfig { failures_in_a_row: 3, pause_ms, ..BreakerConfig::default() }
}

fn state(rig: &Rig) -> BreakerState {
    rig.handle.breakers()[0].state
}

#[tokio::test]
async fn failures_in_a_row_open_a_route_for_all_workers() {
    let endpoint = answering(&Arc::new(AtomicU16::new(500)), "").await;
    let rig = proxy().endpoint(&endpoint).policy(|policy| policy.breaker = Some(breaker(60_000))).start();
    for _ in 0..3 {
        assert_eq!(rig.get("/").await.status, 500);
    }
    // Each request is a connection of its own, so that both workers have some.
    for _ in 0..20 {
        assert_eq!(rig.get("/").await.status, 503);
    }
    assert!(matches!(state(&rig), BreakerState::Open(left) if left > Duration::from_secs(30)));
    assert_eq!(endpoint.requests().len(), 3);
}

#[tokio::test]
async fn a_probe_closes_a_route_or_opens_it_for_longer() {
    let status = Arc::new(AtomicU16::new(500));
    let endpoint = answering(&status, "").await;
    let rig = proxy().endpoint(&endpoint).policy(|policy| policy.breaker = Some(breaker(10))).start();
    for _ in 0..3 {
        assert_eq!(rig.get("/").await.status, 500);
    }
    for (answers, openings, after) in [(500, 2, "still open"), (200, 2, "closed")] {
        status.store(answers, SeqCst);
        eventually(|| state(&rig) == BreakerState::Open(Duration::ZERO)).await;
        assert_eq!(rig.get("/").await.status, answers);
        let view = rig.handle.breakers().remove(0);
        assert_eq!(view.openings, openings, "{after}");
        assert_eq!(view.state == BreakerState::Closed, after == "closed");
    }
}

#[tokio::test]
async fn a_retry_after_is_heard_and_passed_on() {
    let endpoint = answering(&Arc::new(AtomicU16::new(503)), "retry-after: 40\r\n").await;
    let rig = proxy().endpoint(&endpoint).policy(|policy| policy.breaker = Some(breaker(10))).start();
    for _ in 0..3 {
        assert_eq!(rig.get("/").await.one("retry-after"), "40");
    }
    let reply = rig.get("/").await;
    let wait: u32 = reply.one("retry-after").parse().unwrap();
    assert_eq!(reply.status, 503);
    assert!((30..=40).contains(&wait), "{wait}");
    assert_eq!(endpoint.requests().len(), 3);
}

#[tokio::test]
async fn a_probe_whose_client_leaves_gives_its_turn_back() {
    let status = Arc::new(AtomicU16::new(500));
    let told = Arc::clone(&status);
    let endpoint = Endpoint::new(move |_| match told.load(SeqCst) {
        0 => Act::Hang,
        status => Act::Reply(format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n").into_bytes()),
    })
    .await;
    let rig = proxy().endpoint(&endpoint).policy(|policy| policy.breaker = Some(breaker(10))).start();
    for _ in 0..3 {
        rig.get("/").await;
    }
    eventually(|| state(&rig) == BreakerState::Open(Duration::ZERO)).await;
    status.store(0, SeqCst);
    let mut leaving = rig.client().await;
    leaving.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
    eventually(|| state(&rig) == BreakerState::Probing).await;
    assert_eq!(rig.get("/").await.status, 503);
    drop(leaving);
    eventually(|| state(&rig) == BreakerState::Open(Duration::ZERO)).await;
    status.store(200, SeqCst);
    assert_eq!(rig.get("/").await.status, 200);
    assert_eq!(state(&rig), BreakerState::Closed);
}

#[tokio::test]
async fn a_route_is_tripped_and_closed_by_hand_even_without_a_breaker() {
    let endpoint = Endpoint::saying("ok").await;
    let rig = proxy().endpoint(&endpoint).start();
    let id = rig.breaker(BreakerByHand::Tripped);
    let reply = rig.get("/").await;
    assert_eq!((reply.status, endpoint.requests().len()), (503, 0));
    assert_eq!(rig.record().await.cause.as_deref(), Some("the route was tripped by hand"));
    // It outlives its route.
    rig.source.replace(router::Routing::default());
    rig.handle.applied().await;
    rig.route_to(&[endpoint.addr]);
    rig.handle.applied().await;
    assert_eq!(rig.get("/").await.status, 503);
    rig.handle.clear_by_hand(id, "uid 7".into(), None).unwrap();
    assert_eq!(rig.get("/").await.content, "ok");
}

#[tokio::test]
async fn a_route_held_closed_by_hand_stays_closed() {
    let endpoint = answering(&Arc::new(AtomicU16::new(500)), "").await;
    let rig = proxy().endpoint(&endpoint).policy(|policy| policy.breaker = Some(breaker(60_000))).start();
    let id = rig.breaker(BreakerByHand::Closed);
    for _ in 0..10 {
        assert_eq!(rig.get("/").await.status, 500);
    }
    rig.handle.clear_by_hand(id, "uid 7".into(), None).unwrap();
    assert_eq!(rig.get("/").await.status, 500, "one more, and the row is long enough");
    assert_eq!(rig.get("/").await.status, 503);
}
