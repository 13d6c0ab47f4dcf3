//! What is tried again, after which status, and for how long.

use router::access::{Outcome, TryKind};

use crate::endpoint::{Act, Endpoint, says};
use crate::rig::proxy;

async fn failing() -> Endpoint {
    Endpoint::new(|_| Act::Reply(b"HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nbusy".to_vec())).await
}

#[tokio::test]
async fn a_status_that_the_route_names_is_tried_again_elsewhere() {
    let (bad, good) = (failing().await, Endpoint::saying("ok").await);
    let rig = proxy().endpoint(&bad).endpoint(&good).policy(|policy| policy.retry.statuses = vec![502, 503]).start();
    let mut client = rig.client().await;
    for _ in 0..20 {
        client.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
        assert_eq!(client.reply().await.content, "ok");
    }
    let records = rig.records(20).await;
    let retried: Vec<_> = records.iter().filter(|record| record.tries.len() == 2).collect();
    assert!(!retried.is_empty());
    for record in retried {
        let told: Vec<_> = record.tries.iter().map(|one| (one.kind, one.outcome)).collect();
        assert_eq!(told, [(TryKind::First, Outcome::Answered(503)), (TryKind::Retry, Outcome::Answered(200))]);
    }
    assert_eq!(bad.connections(), 1, "the reply that nobody wanted was read to its end");
}

#[tokio::test]
async fn the_last_reply_is_passed_on_whatever_it_says() {
    let (a, b) = (failing().await, failing().await);
    let rig = proxy().endpoint(&a).endpoint(&b).policy(|policy| policy.retry.statuses = vec![503]).start();
    let reply = rig.get("/").await;
    assert_eq!((reply.status, reply.content.as_str()), (503, "busy"));
    assert_eq!((a.requests().len(), b.requests().len()), (1, 1));
    let posted = rig.send("POST / HTTP/1.1\r\nhost: shop\r\ncontent-length: 3\r\n\r\ntea").await;
    assert_eq!((posted.status, a.requests().len() + b.requests().len()), (503, 3));
}

#[tokio::test]
async fn a_budget_that_is_spent_passes_the_first_reply_on() {
    let (a, b) = (failing().await, failing().await);
    let rig = proxy()
        .endpoint(&a)
        .endpoint(&b)
        .policy(|policy| policy.retry.statuses = vec![503])
        .upstream(|upstream| (upstream.budget.floor_per_s, upstream.budget.percent) = (0, 0))
        .start();
    assert_eq!(rig.get("/").await.content, "busy");
    assert_eq!(a.requests().len() + b.requests().len(), 1);
}

#[tokio::test]
async fn grpcs_timeout_is_believed_of_trusted_peers_and_told_anew() {
    let a = Endpoint::new(|request| says(request.one("grpc-timeout"))).await;
    let request = "GET / HTTP/1.1\r\nhost: shop\r\ngrpc-timeout: 5S\r\n\r\n";
    let millis = |text: String| text.strip_suffix('m').unwrap().parse::<u32>().unwrap();
    let believing = proxy().endpoint(&a).policy(|policy| policy.deadline_ms = 20_000).start();
    assert!(millis(believing.send(request).await.content) <= 5_000);
    let doubting = proxy().untrusting().endpoint(&a).policy(|policy| policy.deadline_ms = 20_000).start();
    assert!(millis(doubting.send(request).await.content) > 5_000);
}
