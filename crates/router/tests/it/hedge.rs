//! A second try beside a slow first one: paid from the budget, never at the same endpoint.

use router::AccessRecord;
use router::access::{Outcome, TryKind, What};
use router::config::HedgeConfig;
use tokio::sync::watch;

use crate::endpoint::{Act, Endpoint, says};
use crate::rig::{Proxy, eventually, proxy};

fn after(delay_ms: u32) -> Option<HedgeConfig> {
    Some(HedgeConfig { delay_ms: Some(delay_ms), ..HedgeConfig::default() })
}

/// A router that hedges each request at once, if it can pay for it.
fn always() -> Proxy {
    proxy().policy(|policy| policy.hedge = Some(HedgeConfig::always()))
}

fn told(record: &AccessRecord) -> Vec<(TryKind, Outcome)> {
    record.tries.iter().map(|one| (one.kind, one.outcome)).collect()
}

#[tokio::test]
async fn a_try_that_was_overtaken_keeps_its_connection() {
    let (open_a, gate_a) = watch::channel(false);
    let (open_b, gate_b) = watch::channel(false);
    let a = Endpoint::new(move |_| Act::WhenOpen(gate_a.clone())).await;
    let b = Endpoint::new(move |_| Act::WhenOpen(gate_b.clone())).await;
    let rig = always().config(|config| config.workers = 1).endpoint(&a).endpoint(&b).start();
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
    eventually(|| a.requests().len() == 1 && b.requests().len() == 1).await;
    open_a.send_replace(true);
    assert_eq!(client.reply().await.content, "open");
    assert_eq!(rig.handle.in_flight(b.addr), 1, "an overtaken try is still in hand");
    open_b.send_replace(true);
    eventually(|| rig.handle.in_flight(b.addr) == 0).await;
    rig.route_to(&[b.addr]);
    rig.handle.applied().await;
    assert_eq!(rig.get("/").await.content, "open");
    assert_eq!(b.connections(), 1);
}

#[tokio::test]
async fn when_too_many_were_overtaken_they_are_cut() {
    let (_never, gate) = watch::channel(false);
    let (stuck, quick) = (Endpoint::new(move |_| Act::WhenOpen(gate.clone())).await, Endpoint::saying("ok").await);
    let rig = always()
        .config(|config| (config.workers, config.overtaken_max) = (1, 2))
        .upstream(|upstream| upstream.budget.percent = 100)
        .endpoint(&stuck)
        .endpoint(&quick)
        .start();
    for _ in 0..5 {
        assert_eq!(rig.get("/").await.content, "ok");
    }
    assert_eq!(rig.handle.in_flight(stuck.addr), 2);
}

#[tokio::test]
async fn the_record_tells_who_was_overtaken_by_whom() {
    let (_never, gate) = watch::channel(false);
    let slow = Endpoint::new(move |_| Act::WhenOpen(gate.clone())).await;
    let fast = Endpoint::saying("fast").await;
    let rig = proxy().endpoint(&slow).endpoint(&fast).policy(|policy| policy.hedge = after(10)).start();
    loop {
        assert_eq!(rig.get("/").await.content, "fast");
        let record = rig.record().await;
        if record.tries.len() == 2 {
            assert_eq!(told(&record), [(TryKind::First, Outcome::Cancelled), (TryKind::Hedge, Outcome::Answered(200))]);
            assert_eq!(record.endpoint().unwrap().addr, fast.addr);
            break;
        }
    }
}

#[tokio::test]
async fn always_means_both_at_once() {
    let (a, b) = (Endpoint::saying("a").await, Endpoint::saying("b").await);
    let rig = always().endpoint(&a).endpoint(&b).upstream(|upstream| upstream.budget.percent = 100).start();
    for _ in 0..20 {
        assert_eq!(rig.get("/").await.status, 200);
    }
    eventually(|| a.requests().len() == 20 && b.requests().len() == 20).await;
}

#[tokio::test]
async fn one_endpoint_is_never_asked_twice_at_once() {
    let a = Endpoint::saying("a").await;
    let rig = always().endpoint(&a).start();
    for _ in 0..20 {
        assert_eq!(rig.get("/").await.status, 200);
    }
    assert_eq!(a.requests().len(), 20);
}

#[tokio::test]
async fn what_is_not_safe_to_repeat_is_not_hedged() {
    let (a, b) = (Endpoint::saying("a").await, Endpoint::saying("b").await);
    let rig = always().endpoint(&a).endpoint(&b).start();
    for request in
        ["POST / HTTP/1.1\r\nhost: shop\r\ncontent-length: 0\r\n\r\n", "PATCH / HTTP/1.1\r\nhost: shop\r\n\r\n"]
    {
        assert_eq!(rig.send(request).await.status, 200);
    }
    assert_eq!(a.requests().len() + b.requests().len(), 2);
}

#[tokio::test]
async fn the_budget_of_all_workers_bounds_hedges() {
    let (a, b) = (Endpoint::saying("a").await, Endpoint::saying("b").await);
    let rig = always().endpoint(&a).endpoint(&b).upstream(|upstream| upstream.budget.floor_per_s = 0).start();
    for _ in 0..200 {
        assert_eq!(rig.get("/").await.status, 200);
    }
    eventually(|| a.requests().len() + b.requests().len() == 220).await;
    let denied = rig.records(200).await;
    let denied = denied
        .iter()
        .filter(|record| record.events.iter().any(|event| event.what == What::BudgetDenied(TryKind::Hedge)));
    assert_eq!(denied.count(), 180);
}

#[tokio::test]
async fn an_upstream_that_has_too_much_to_do_is_not_hedged() {
    let busy = |_: &_| Act::Reply(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n".to_vec());
    let (a, b) = (Endpoint::new(busy).await, Endpoint::new(busy).await);
    let rig = always().endpoint(&a).endpoint(&b).upstream(|upstream| upstream.budget.percent = 100).start();
    for _ in 0..20 {
        assert_eq!(rig.get("/").await.status, 503);
    }
    // Only requests that came when it was not yet known, or a second later, were sent twice.
    assert!(a.requests().len() + b.requests().len() < 30);
}

#[tokio::test]
async fn when_one_of_the_two_fails_the_other_one_counts() {
    let (dying, sound) = (Endpoint::new(|_| Act::Close).await, Endpoint::new(|_| says("ok")).await);
    let rig = always().endpoint(&dying).endpoint(&sound).policy(|policy| policy.retries_max = 0).start();
    for _ in 0..10 {
        assert_eq!(rig.get("/").await.content, "ok");
    }
    for record in rig.records(10).await {
        assert_eq!(record.tries.last().unwrap().outcome, Outcome::Answered(200));
    }
}
