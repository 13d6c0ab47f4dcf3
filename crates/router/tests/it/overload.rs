//! More is asked than may be under way at once.

use std::time::Duration;

use router::Figures;
use router::access::What;
use router::config::{LimitConfig, PriorityClass, PriorityConfig, RequestMatch};
use tokio::sync::watch;

use crate::endpoint::{Act, Endpoint};
use crate::rig::{Client, Rig, eventually, proxy};

/// An endpoint that answers when the test opens the gate.
async fn gated() -> (Endpoint, watch::Sender<bool>) {
    let (gate, opened) = watch::channel(false);
    (Endpoint::new(move |_| Act::WhenOpen(opened.clone())).await, gate)
}

fn limit(in_flight_max: u32, waiting_max: u32) -> LimitConfig {
    LimitConfig { in_flight_max, waiting_max, wait_ms: 30_000, ..LimitConfig::default() }
}

fn figures(rig: &Rig) -> Figures {
    rig.handle.limits()[0].figures
}

/// A client whose request has come as far as it can.
async fn asking(rig: &Rig, fields: &str) -> Client {
    let before = figures(rig);
    let mut client = rig.client().await;
    client.send(format!("GET / HTTP/1.1\r\nhost: shop\r\n{fields}\r\n")).await;
    eventually(|| figures(rig) != before).await;
    client
}

#[tokio::test]
async fn so_many_are_under_way_so_many_wait_and_the_next_is_turned_away() {
    let (endpoint, gate) = gated().await;
    let rig = proxy().endpoint(&endpoint).policy(|policy| policy.limit = Some(limit(2, 1))).start();
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(asking(&rig, "").await);
    }
    assert_eq!(figures(&rig), Figures { in_flight: 2, limit: 2, waiting: 1, shed: 0 });
    let reply = rig.get("/").await;
    assert_eq!((reply.status, reply.one("retry-after")), (503, "1"));
    // A wait is told in milliseconds, and not at all below one: the third has waited for longer than this.
    tokio::time::sleep(Duration::from_millis(2)).await;
    gate.send_replace(true);
    for client in &mut clients {
        assert_eq!(client.reply().await.content, "open");
    }
    let records = rig.records(4).await;
    let waited = |what: &What| matches!(what, What::Waited(_));
    assert!(records.iter().any(|one| one.events.iter().any(|event| waited(&event.what))));
    assert_eq!(
        records.iter().find(|one| one.status == 503).unwrap().cause.as_deref(),
        Some("turned away: as many requests wait as may")
    );
    eventually(|| figures(&rig) == Figures { in_flight: 0, limit: 2, waiting: 0, shed: 1 }).await;
}

#[tokio::test]
async fn a_client_that_leaves_gives_its_place_back_wherever_it_was() {
    let (endpoint, gate) = gated().await;
    let rig = proxy().endpoint(&endpoint).policy(|policy| policy.limit = Some(limit(1, 5))).start();
    let inside = asking(&rig, "").await;
    let waiting = asking(&rig, "").await;
    let mut last = asking(&rig, "").await;
    drop(waiting);
    eventually(|| figures(&rig).waiting == 1).await;
    drop(inside);
    eventually(|| figures(&rig).waiting == 0).await;
    gate.send_replace(true);
    assert_eq!(last.reply().await.content, "open");
    eventually(|| figures(&rig).in_flight == 0).await;
}

#[tokio::test]
async fn a_place_is_held_to_the_last_byte_of_the_reply() {
    let endpoint = Endpoint::new(|_| Act::Reply(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nha".to_vec())).await;
    let rig = proxy().endpoint(&endpoint).policy(|policy| policy.limit = Some(limit(1, 0))).start();
    let mut first = asking(&rig, "").await;
    eventually(|| endpoint.requests().len() == 1).await;
    assert_eq!(rig.get("/").await.status, 503);
    drop(endpoint);
    assert!(first.reply().await.cut);
    eventually(|| figures(&rig).in_flight == 0).await;
}

#[tokio::test]
async fn a_higher_priority_goes_first_and_takes_the_place_of_a_lower_one() {
    let (endpoint, gate) = gated().await;
    let of = RequestMatch { header: Some("x-plan".into()), value: Some("paid".into()), ..RequestMatch::default() };
    let priority = PriorityConfig { default: 4, classes: vec![PriorityClass { of, priority: 1 }] };
    let rig = proxy()
        .endpoint(&endpoint)
        .policy(|policy| (policy.limit, policy.priority) = (Some(limit(1, 1)), Some(priority)))
        .start();
    let mut inside = asking(&rig, "").await;
    let mut low = asking(&rig, "x-plan: free\r\n").await;
    let mut high = asking(&rig, "x-plan: paid\r\n").await;
    let turned_away = low.reply().await;
    assert_eq!((turned_away.status, turned_away.one("retry-after")), (503, "1"));
    gate.send_replace(true);
    for client in [&mut inside, &mut high] {
        assert_eq!(client.reply().await.status, 200);
    }
}

#[tokio::test]
async fn nobody_waits_longer_than_it_may() {
    let (endpoint, _gate) = gated().await;
    let short = LimitConfig { wait_ms: 20, ..limit(1, 5) };
    let rig = proxy().endpoint(&endpoint).policy(|policy| policy.limit = Some(short)).start();
    let _inside = asking(&rig, "").await;
    assert_eq!(rig.get("/").await.status, 503);
    assert_eq!(rig.record().await.cause.as_deref(), Some("turned away: its turn did not come in time"));
}

#[tokio::test]
async fn under_a_storm_from_both_workers_the_limit_holds_and_everybody_is_answered() {
    let endpoint = Endpoint::saying("ok").await;
    let most = limit(3, 1_000);
    let rig = proxy().endpoint(&endpoint).policy(|policy| policy.limit = Some(most)).start();
    let mut clients = Vec::new();
    for _ in 0..40 {
        clients.push(rig.client().await);
    }
    let asking = clients.into_iter().map(|mut client| async move {
        for _ in 0..25 {
            client.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
            assert_eq!(client.reply().await.content, "ok");
        }
    });
    let mut tasks = tokio::task::JoinSet::new();
    asking.for_each(|one| drop(tasks.spawn(one)));
    let all = async { while tasks.join_next().await.transpose().unwrap().is_some() {} };
    tokio::time::timeout(Duration::from_secs(30), all).await.expect("somebody waits for ever");
    assert!(endpoint.connections() <= 6, "each worker has kept at most three: {}", endpoint.connections());
    eventually(|| figures(&rig).in_flight == 0).await;
    assert_eq!(figures(&rig), Figures { in_flight: 0, limit: 3, waiting: 0, shed: 0 });
}

#[tokio::test]
async fn an_adaptive_limit_lets_quick_requests_through() {
    let endpoint = Endpoint::saying("ok").await;
    let adaptive = LimitConfig { adaptive: true, in_flight_max: 1_000, ..LimitConfig::default() };
    let rig = proxy().endpoint(&endpoint).policy(|policy| policy.limit = Some(adaptive)).start();
    let mut client = rig.client().await;
    for _ in 0..100 {
        client.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
        assert_eq!(client.reply().await.content, "ok");
    }
    assert_eq!(figures(&rig).limit, 20, "nobody needs more, and nobody has to make do with less");
}

#[tokio::test]
async fn a_routes_priority_counts_at_the_limit_of_its_upstream() {
    let (endpoint, gate) = gated().await;
    let rig = proxy().endpoint(&endpoint).upstream(|upstream| upstream.limit = Some(limit(1, 1))).start();
    let mut routing = (**rig.source_routing().borrow()).clone();
    let mut high = routing.routes[0].clone();
    (high.name, high.path_prefix) = ("high".into(), "/high".into());
    high.policy.priority = Some(PriorityConfig { default: 0, classes: Vec::new() });
    routing.routes.push(high);
    rig.source.replace(routing);
    rig.handle.applied().await;
    let figures = || rig.handle.upstream_limits()[0].figures;
    let mut clients = Vec::new();
    for (path, waiting) in [("/", 0), ("/", 1), ("/high", 1)] {
        let mut client = rig.client().await;
        client.send(format!("GET {path} HTTP/1.1\r\nhost: shop\r\n\r\n")).await;
        eventually(|| figures().in_flight == 1 && figures().waiting == waiting).await;
        clients.push(client);
    }
    assert_eq!(clients[1].reply().await.status, 503, "the other has its place");
    gate.send_replace(true);
    for index in [0, 2] {
        assert_eq!(clients[index].reply().await.status, 200);
    }
}
