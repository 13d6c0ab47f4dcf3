//! Endpoints fail; clients should not notice where that can be had.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use health::Health;
use router::access::{AccessRecord, Outcome, TryKind, What};
use router::{EndpointSpec, Routing};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::endpoint::{Act, Endpoint, says};
use crate::rig::{Rig, eventually, proxy};

/// An address where nobody listens.
async fn nobody() -> std::net::SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

async fn outcomes(rig: &Rig) -> Vec<Outcome> {
    rig.record().await.tries.iter().map(|one| one.outcome).collect()
}

#[tokio::test]
async fn a_get_that_died_is_tried_on_the_other_endpoint() {
    let (dying, sound) = (Endpoint::new(|_| Act::Close).await, Endpoint::saying("ok").await);
    let rig = proxy().endpoint(&dying).endpoint(&sound).start();
    let mut client = rig.client().await;
    for _ in 0..20 {
        client.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
        assert_eq!(client.reply().await.content, "ok");
    }
    assert!(!dying.requests().is_empty());
    for record in rig.records(20).await {
        let outcomes: Vec<Outcome> = record.tries.iter().map(|one| one.outcome).collect();
        assert!(outcomes == [Outcome::Answered(200)] || outcomes == [Outcome::Died, Outcome::Answered(200)]);
        assert_eq!(record.endpoint().unwrap().addr, sound.addr);
        if let [first, second] = &record.tries[..] {
            assert_eq!([first.kind, second.kind], [TryKind::First, TryKind::Retry]);
            assert!(second.at >= first.at + first.took);
        }
    }
}

#[tokio::test]
async fn a_post_that_may_have_arrived_is_not_tried_again() {
    let dying = Endpoint::new(|_| Act::Close).await;
    let rig = proxy().endpoint(&dying).policy(|policy| policy.retries_max = 5).start();
    let reply = rig.send("POST / HTTP/1.1\r\nhost: shop\r\ncontent-length: 3\r\n\r\ntea").await;
    assert_eq!(reply.status, 502);
    assert_eq!(dying.requests().len(), 1);
    assert_eq!(outcomes(&rig).await, [Outcome::Died]);
}

#[tokio::test]
async fn a_post_that_could_not_be_sent_is_sent_elsewhere() {
    let sound = Endpoint::new(|request| says(&String::from_utf8_lossy(&request.content))).await;
    let rig = proxy().address(nobody().await).endpoint(&sound).start();
    for _ in 0..20 {
        let reply = rig.send("POST / HTTP/1.1\r\nhost: shop\r\ncontent-length: 3\r\n\r\ntea").await;
        assert_eq!((reply.status, reply.content.as_str()), (200, "tea"));
    }
}

#[tokio::test]
async fn an_endpoint_that_refused_is_passed_over_while_another_is_up() {
    let gone = nobody().await;
    let sound = Endpoint::saying("ok").await;
    let rig = proxy().config(|config| config.workers = 1).address(gone).endpoint(&sound).start();
    let mut client = rig.client().await;
    for _ in 0..200 {
        client.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
        assert_eq!(client.reply().await.status, 200);
    }
    let records = rig.records(200).await;
    let first = records.iter().position(|record| record.tries.len() > 1);
    let refused = records.iter().filter(|record| record.tries[0].outcome == Outcome::Refused).count();
    // At least a coin per request would have fallen on it a hundred times.
    assert!(first.is_some() && refused < 20, "asked {refused} times");
}

#[tokio::test]
async fn a_try_that_takes_too_long_gives_way_to_another() {
    let (slow, fast) = (Endpoint::new(|_| Act::Hang).await, Endpoint::saying("ok").await);
    let rig = proxy().endpoint(&slow).endpoint(&fast).policy(|policy| policy.try_timeout_ms = 250).start();
    loop {
        assert_eq!(rig.get("/").await.content, "ok");
        let outcomes = outcomes(&rig).await;
        if outcomes.len() == 2 {
            assert_eq!(outcomes, [Outcome::TimedOut, Outcome::Answered(200)]);
            break;
        }
    }
}

#[tokio::test]
async fn the_deadline_ends_the_last_try() {
    let slow = Endpoint::new(|_| Act::Hang).await;
    let rig = proxy().endpoint(&slow).policy(|policy| policy.deadline_ms = 250).start();
    let reply = rig.get("/").await;
    assert_eq!(reply.status, 504);
    assert_eq!(outcomes(&rig).await, [Outcome::TimedOut]);
}

#[tokio::test]
async fn a_reply_that_is_not_http_is_502() {
    let odd = Endpoint::new(|_| Act::ReplyAndClose(b"SSH-2.0-OpenSSH\r\n\r\n".to_vec())).await;
    let rig = proxy().endpoint(&odd).policy(|policy| policy.retries_max = 0).start();
    assert_eq!(rig.get("/").await.status, 502);
    assert_eq!(outcomes(&rig).await, [Outcome::Malformed]);
}

#[tokio::test]
async fn a_reply_that_breaks_off_breaks_off_for_the_client_too() {
    let a = Endpoint::new(|_| Act::ReplyAndClose(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhal".to_vec())).await;
    let rig = proxy().endpoint(&a).start();
    let reply = rig.get("/").await;
    assert!(reply.cut, "{reply:?}");
    let record = rig.record().await;
    assert!(!record.whole);
    assert!(record.cause.unwrap().starts_with("the endpoint's reply broke off: "));
    assert_eq!(a.requests().len(), 1);
}

#[tokio::test]
async fn a_switch_of_protocols_that_nobody_asked_for_is_502() {
    let raw = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n";
    let a = Endpoint::new(|_| Act::Reply(raw.to_vec())).await;
    let rig = proxy().endpoint(&a).policy(|policy| policy.retries_max = 0).start();
    assert_eq!(rig.get("/").await.status, 502);
}

#[tokio::test]
async fn an_idle_connection_that_died_costs_no_try() {
    let a = Endpoint::new(|_| Act::ReplyAndClose(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec())).await;
    let rig = proxy().endpoint(&a).policy(|policy| policy.retries_max = 0).start();
    let mut client = rig.client().await;
    for _ in 0..20 {
        client.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
        assert_eq!(client.reply().await.status, 200);
    }
}

#[tokio::test]
async fn killing_an_endpoint_with_requests_in_flight_fails_no_get() {
    let (_never, gate) = watch::channel(false);
    let dying = Endpoint::new(move |_| Act::WhenOpen(gate.clone())).await;
    let rig = proxy().endpoint(&dying).start();
    let mut waiting = Vec::new();
    for _ in 0..20 {
        let mut client = rig.client().await;
        client.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
        waiting.push(client);
    }
    eventually(|| dying.requests().len() == 20).await;
    assert_eq!(rig.handle.in_flight(dying.addr), 20);
    let other = Endpoint::saying("ok").await;
    rig.route_to(&[dying.addr, other.addr]);
    rig.handle.applied().await;
    let dead = dying.kill().await;
    for mut client in waiting {
        assert_eq!(client.reply().await.content, "ok");
    }
    eventually(|| rig.handle.in_flight(dead) == 0).await;
}

#[tokio::test]
async fn a_storm_of_failures_adds_no_more_tries_than_the_budget_has() {
    let a = Endpoint::new(|_| Act::Close).await;
    let b = Endpoint::new(|_| Act::Close).await;
    let rig = proxy().endpoint(&a).endpoint(&b).upstream(|policy| policy.budget.floor_per_s = 0).start();
    for _ in 0..200 {
        assert_eq!(rig.get("/").await.status, 502);
    }
    assert_eq!(a.requests().len() + b.requests().len(), 220);
    assert_eq!(rig.handle.route_counts()[0].answered, [0, 0, 0, 0, 0, 200]);
    let records = rig.records(200).await;
    let denied = |record: &&AccessRecord| record.events.iter().any(|e| e.what == What::BudgetDenied(TryKind::Retry));
    assert_eq!(records.iter().filter(denied).count(), 180);
}

#[tokio::test]
async fn a_request_is_held_until_an_endpoint_appears() {
    let rig = proxy().start();
    let mut client = rig.client().await;
    client.send("POST / HTTP/1.1\r\nhost: shop\r\ncontent-length: 3\r\n\r\ntea").await;
    eventually(|| rig.handle.counts().held == 1).await;
    let late = Endpoint::new(|request| says(&String::from_utf8_lossy(&request.content))).await;
    rig.route_to(&[late.addr]);
    assert_eq!(client.reply().await.content, "tea");
    assert!(rig.record().await.held.as_nanos() > 0);
    assert_eq!(rig.handle.counts().held, 0);
}

#[tokio::test]
async fn a_request_is_held_until_an_endpoint_comes_back() {
    let first = Endpoint::saying("before").await;
    let rig = proxy().endpoint(&first).start();
    assert_eq!(rig.get("/").await.content, "before");
    let addr = first.kill().await;
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
    eventually(|| rig.handle.counts().held == 1).await;
    let _again = Endpoint::on(addr, |_| says("after")).await;
    assert_eq!(client.reply().await.content, "after");
}

#[tokio::test]
async fn nobody_up_in_time_is_503_and_says_when_to_come_again() {
    let rig = proxy().policy(|policy| policy.hold_ms = 20).start();
    let reply = rig.get("/").await;
    assert_eq!((reply.status, reply.one("retry-after")), (503, "1"));
    let none = proxy().policy(|policy| policy.hold_ms = 0).start();
    assert_eq!(none.get("/").await.status, 503);
}

#[tokio::test]
async fn only_so_many_requests_are_held() {
    let rig = proxy().config(|config| config.held_max = 2).start();
    let mut held = Vec::new();
    for count in 1..=2 {
        let mut client = rig.client().await;
        client.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
        eventually(|| rig.handle.counts().held == count).await;
        held.push(client);
    }
    assert_eq!(rig.get("/").await.status, 503);
    let late = Endpoint::saying("ok").await;
    rig.route_to(&[late.addr]);
    for mut client in held {
        assert_eq!(client.reply().await.content, "ok");
    }
}

#[tokio::test]
async fn unhealthy_and_draining_endpoints_get_nothing_new() {
    let (up, ill, leaving) =
        (Endpoint::saying("up").await, Endpoint::saying("ill").await, Endpoint::saying("bye").await);
    let rig = proxy().start();
    let mut routing: Routing = (**rig.source_routing().borrow()).clone();
    routing.upstreams[0].endpoints = vec![
        EndpointSpec::at(up.addr),
        EndpointSpec { health: Health::Unhealthy, ..EndpointSpec::at(ill.addr) },
        EndpointSpec { draining: true, ..EndpointSpec::at(leaving.addr) },
    ];
    rig.source.replace(routing);
    rig.handle.applied().await;
    let mut said = BTreeSet::new();
    for _ in 0..20 {
        said.insert(rig.get("/").await.content);
    }
    assert_eq!(said, BTreeSet::from(["up".to_string()]));
}

#[tokio::test]
async fn swapping_the_routing_loses_no_request() {
    let mut current = Endpoint::saying("ok").await;
    let rig = Arc::new(proxy().endpoint(&current).start());
    let answered = Arc::new(AtomicUsize::new(0));
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (rig, answered) = (Arc::clone(&rig), Arc::clone(&answered));
        asking.spawn(async move {
            let mut client = rig.client().await;
            for _ in 0..400 {
                client.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
                assert_eq!(client.reply().await.content, "ok");
                answered.fetch_add(1, SeqCst);
            }
        });
    }
    // Every swap replaces the only endpoint; the old one is killed once it is drained, as a deploy does.
    while answered.load(SeqCst) < 3_000 {
        let next = Endpoint::saying("ok").await;
        rig.route_to(&[next.addr]);
        rig.handle.applied().await;
        assert!(rig.handle.drained(&[current.addr], std::time::Duration::from_secs(20)).await);
        std::mem::replace(&mut current, next).kill().await;
    }
    while let Some(done) = asking.join_next().await {
        done.unwrap();
    }
    let records = rig.records(3_200).await;
    let retried = records.iter().filter(|record| record.tries.len() > 1).count();
    assert_eq!(retried, 0, "a drained endpoint was asked");
}
