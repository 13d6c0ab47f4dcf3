//! Which endpoint gets a request, and which is left alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering::SeqCst};

use router::config::{BalanceConfig, BalanceMethod, BreakerConfig, EjectionConfig, LimitConfig};
use tokio::sync::watch;

use crate::endpoint::{Act, Endpoint};
use crate::rig::{Rig, eventually, proxy};

async fn named() -> [Endpoint; 3] {
    [Endpoint::saying("a").await, Endpoint::saying("b").await, Endpoint::saying("c").await]
}

fn balanced(endpoints: &[Endpoint], balance: BalanceConfig) -> Rig {
    let proxy = endpoints.iter().fold(proxy(), |proxy, endpoint| proxy.endpoint(endpoint));
    proxy.upstream(|upstream| upstream.balance = Some(balance)).start()
}

fn counts(endpoints: &[Endpoint]) -> Vec<usize> {
    endpoints.iter().map(|endpoint| endpoint.requests().len()).collect()
}

#[tokio::test]
async fn endpoints_take_turns_over_all_workers_by_weight() {
    let endpoints = named().await;
    let weights = [(endpoints[2].addr.to_string(), 2)].into();
    let by_turn = BalanceConfig { method: BalanceMethod::RoundRobin, weights, ..BalanceConfig::default() };
    let rig = balanced(&endpoints, by_turn);
    for _ in 0..40 {
        assert_eq!(rig.get("/").await.status, 200);
    }
    assert_eq!(counts(&endpoints), [10, 10, 20]);
}

#[tokio::test]
async fn the_same_key_goes_to_the_same_endpoint_and_moves_only_when_that_is_gone() {
    let endpoints = named().await;
    let key = "header:x-user".parse().unwrap();
    let rig = balanced(&endpoints, BalanceConfig { method: BalanceMethod::Hash, key, ..BalanceConfig::default() });
    let ask = |user: usize| {
        let rig = &rig;
        async move { rig.send(format!("GET / HTTP/1.1\r\nhost: shop\r\nx-user: {user}\r\n\r\n")).await.content }
    };
    let mut first = Vec::new();
    for user in 0..30 {
        first.push(ask(user).await);
    }
    assert!(["a", "b", "c"].iter().all(|name| first.iter().any(|one| one == name)), "{first:?}");
    rig.route_to(&[endpoints[0].addr, endpoints[1].addr]);
    rig.handle.applied().await;
    for (user, before) in first.iter().enumerate() {
        let now = ask(user).await;
        assert!(now == *before || before == "c", "{user} moved from {before} to {now}");
    }
}

#[tokio::test]
async fn a_client_stays_where_its_cookie_says_while_that_is_up() {
    let endpoints = named().await;
    let rig = balanced(&endpoints, BalanceConfig { sticky_cookie: Some("at".into()), ..BalanceConfig::default() });
    let first = rig.get("/").await;
    let cookie = first.one("set-cookie").split(';').next().unwrap().to_owned();
    assert!(cookie.starts_with("at=") && cookie.len() == 19, "{cookie}");
    let ask = || rig.send(format!("GET / HTTP/1.1\r\nhost: shop\r\ncookie: x=1; {cookie}\r\n\r\n"));
    for _ in 0..20 {
        let again = ask().await;
        assert_eq!((again.content.as_str(), again.all("set-cookie").len()), (first.content.as_str(), 0));
    }
    let left: Vec<_> =
        endpoints.iter().zip(["a", "b", "c"]).filter(|one| one.1 != first.content).map(|one| one.0.addr).collect();
    rig.route_to(&left);
    rig.handle.applied().await;
    let moved = ask().await;
    assert_ne!(moved.content, first.content);
    assert_eq!(moved.all("set-cookie").len(), 1, "it stays there from now on");
}

#[tokio::test]
async fn an_endpoint_that_fails_is_left_alone_until_a_probe_succeeds() {
    let status = Arc::new(AtomicU16::new(500));
    let told = Arc::clone(&status);
    let failing = Endpoint::new(move |_| {
        Act::Reply(format!("HTTP/1.1 {} x\r\ncontent-length: 0\r\n\r\n", told.load(SeqCst)).into_bytes())
    })
    .await;
    let sound = Endpoint::saying("ok").await;
    let breaker = BreakerConfig { failures_in_a_row: 2, pause_ms: 60_000, ..BreakerConfig::default() };
    let turns = BalanceConfig { method: BalanceMethod::RoundRobin, ..BalanceConfig::default() };
    let start = |breaker: BreakerConfig| {
        let (turns, ejection) = (turns.clone(), EjectionConfig { breaker, ..EjectionConfig::default() });
        let proxy = proxy().endpoint(&failing).endpoint(&sound);
        proxy.upstream(|upstream| (upstream.balance, upstream.ejection) = (Some(turns), Some(ejection))).start()
    };
    let rig = start(breaker.clone());
    for _ in 0..30 {
        rig.get("/").await;
    }
    assert_eq!(failing.requests().len(), 2);
    let soon = start(BreakerConfig { pause_ms: 10, ..breaker });
    for _ in 0..10 {
        soon.get("/").await;
    }
    status.store(200, SeqCst);
    let before = failing.requests().len();
    while failing.requests().len() < before + 20 {
        soon.get("/").await;
    }
    assert_eq!(soon.get("/").await.status, 200);
}

#[tokio::test]
async fn each_endpoint_has_no_more_under_way_than_it_may_and_the_others_wait_in_one_line() {
    let (gate, opened) = watch::channel(false);
    let endpoints = [opened.clone(), opened].map(|opened| Endpoint::new(move |_| Act::WhenOpen(opened.clone())));
    let [first, second] = endpoints;
    let endpoints = [first.await, second.await];
    let limit = LimitConfig { in_flight_max: 2, waiting_max: 10, wait_ms: 30_000, ..LimitConfig::default() };
    let rig = proxy()
        .endpoint(&endpoints[0])
        .endpoint(&endpoints[1])
        .upstream(|upstream| upstream.limit = Some(limit))
        .start();
    let mut clients = Vec::new();
    for sent in 1..=6 {
        let mut client = rig.client().await;
        client.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
        clients.push(client);
        let limits = || rig.handle.upstream_limits()[0].figures;
        eventually(|| limits().in_flight + limits().waiting == sent).await;
    }
    eventually(|| counts(&endpoints) == [2, 2]).await;
    gate.send_replace(true);
    for client in &mut clients {
        assert_eq!(client.reply().await.content, "open");
    }
}
