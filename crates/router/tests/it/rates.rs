//! How often a client may ask, and what it gets when the application cannot answer or does less.

use control::wire::router::{OverrideRequest, Setting};
use router::config::{BreakerConfig, DegradeConfig, FallbackConfig, LimitConfig, RateConfig};
use router::{EndpointSpec, RouteSpec, UpstreamName, UpstreamSpec};

use crate::endpoint::{Act, Endpoint};
use crate::rig::{Rig, eventually, proxy};

fn rate(key: &str, requests: u32) -> RateConfig {
    RateConfig { key: key.parse().unwrap(), requests, window_s: 3_600, ..RateConfig::default() }
}

async fn with_key(rig: &Rig, key: &str) -> crate::rig::Reply {
    rig.send(format!("GET / HTTP/1.1\r\nhost: shop\r\nx-key: {key}\r\n\r\n")).await
}

#[tokio::test]
async fn each_key_has_its_own_rate_over_all_workers_and_replies_say_what_is_left() {
    let endpoint = Endpoint::saying("ok").await;
    let rig = proxy().endpoint(&endpoint).policy(|policy| policy.rate = Some(rate("header:x-key", 3))).start();
    for left in [2, 1, 0] {
        let reply = with_key(&rig, "a").await;
        assert_eq!((reply.status, reply.one("ratelimit-policy")), (200, "\"default\";q=3;w=3600"));
        assert!(reply.one("ratelimit").starts_with(&format!("\"default\";r={left};t=")), "{}", reply.head);
    }
    // Each is a connection of its own, so that both workers have some.
    for _ in 0..10 {
        let refused = with_key(&rig, "a").await;
        assert_eq!(refused.status, 429);
        let wait: u32 = refused.one("retry-after").parse().unwrap();
        assert!((1_100..=1_200).contains(&wait), "{wait}");
    }
    assert_eq!(with_key(&rig, "b").await.status, 200);
    assert_eq!(endpoint.requests().len(), 4);
}

#[tokio::test]
async fn a_client_behind_a_trusted_proxy_is_told_by_its_own_address() {
    let endpoint = Endpoint::saying("ok").await;
    let rig = proxy().endpoint(&endpoint).policy(|policy| policy.rate = Some(rate("ip", 1))).start();
    let from = |client: &str| {
        let request = format!("GET / HTTP/1.1\r\nhost: shop\r\nx-forwarded-for: {client}\r\n\r\n");
        let rig = &rig;
        async move { rig.send(request).await.status }
    };
    assert_eq!(from("198.51.100.7").await, 200);
    assert_eq!(from("198.51.100.8").await, 200);
    assert_eq!(from("203.0.113.1, 198.51.100.7, 127.0.0.9").await, 429);
}

fn page(text: &str) -> FallbackConfig {
    FallbackConfig { text: Some(text.into()), ..FallbackConfig::default() }
}

#[tokio::test]
async fn a_page_stands_for_the_routers_errors_and_for_the_applications_where_that_is_wanted() {
    let endpoint = Endpoint::new(|_| Act::Reply(b"HTTP/1.1 500 x\r\ncontent-length: 4\r\n\r\noops".to_vec())).await;
    let plain = proxy().endpoint(&endpoint).policy(|policy| policy.fallback = Some(page("<p>sorry"))).start();
    assert_eq!(plain.get("/").await.content, "oops");
    plain.route_to(&[]);
    plain.handle.applied().await;
    let errors = FallbackConfig { errors: true, status: Some(200), ..page("<p>sorry") };
    let rig = proxy().endpoint(&endpoint).policy(|policy| policy.fallback = Some(errors)).start();
    let reply = rig.get("/").await;
    assert_eq!((reply.status, reply.content.as_str()), (200, "<p>sorry"));
    assert_eq!((reply.one("content-type"), reply.one("cache-control")), ("text/html; charset=utf-8", "no-store"));
    let nobody = proxy()
        .policy(|policy| {
            policy.hold_ms = 0;
            policy.fallback = Some(page("<p>sorry"));
        })
        .start();
    let reply = nobody.get("/").await;
    assert_eq!((reply.status, reply.content.as_str()), (503, "<p>sorry"));
    assert_eq!(reply.one("retry-after"), "1");
    assert_eq!(
        nobody.record().await.cause.as_deref(),
        Some("no endpoint was up within the time that requests are held")
    );
}

/// Changes the routing of a rig that has one route.
fn reroute(rig: &Rig, change: impl FnOnce(&mut router::Routing)) {
    let mut routing = (**rig.source_routing().borrow()).clone();
    change(&mut routing);
    rig.source.replace(routing);
}

fn other(name: &UpstreamName, endpoint: &Endpoint) -> UpstreamSpec {
    let endpoints = vec![EndpointSpec::at(endpoint.addr)];
    UpstreamSpec {
        name: name.clone(),
        endpoints,
        policy: router::config::UpstreamPolicy::default(),
        reach: Default::default(),
    }
}

#[tokio::test]
async fn another_upstream_answers_when_the_first_cannot_and_after_it_the_page() {
    let dying = Endpoint::new(|_| Act::Close).await;
    let instead = Endpoint::saying("instead").await;
    let breaker = BreakerConfig { failures_in_a_row: 1, pause_ms: 60_000, ..BreakerConfig::default() };
    let rig = proxy()
        .endpoint(&dying)
        .policy(|policy| {
            policy.retries_max = 0;
            policy.hold_ms = 0;
            policy.breaker = Some(breaker);
            policy.fallback = Some(FallbackConfig { upstream: Some("x".into()), ..page("<p>sorry") });
        })
        .start();
    let name = UpstreamName::new("instead");
    reroute(&rig, |routing| {
        routing.routes[0].fallback = Some(name.clone());
        routing.upstreams.push(other(&name, &instead));
    });
    rig.handle.applied().await;
    assert_eq!(rig.get("/").await.content, "instead", "after a try that failed");
    let post = "POST / HTTP/1.1\r\nhost: shop\r\ncontent-length: 3\r\n\r\ntea";
    assert_eq!(rig.send(post).await.content, "instead", "the breaker is open: nothing was sent");
    assert_eq!(String::from_utf8_lossy(&instead.requests()[1].content), "tea");
    assert_eq!(dying.requests().len(), 1);
    drop(instead);
    let reply = rig.get("/").await;
    assert_eq!((reply.status, reply.content.as_str()), (503, "<p>sorry"));
}

fn level(rig: &Rig) -> u8 {
    rig.handle.degrade_levels()[0].level
}

#[tokio::test]
async fn a_degrade_level_chooses_routes_and_is_told_to_the_application() {
    let endpoint = Endpoint::saying("full").await;
    let rig = proxy().endpoint(&endpoint).start();
    reroute(&rig, |routing| {
        let mut lean: RouteSpec = routing.routes[0].clone();
        lean.name = "lean".into();
        lean.policy.degrade = Some(DegradeConfig { from: 2, to: 3 });
        lean.policy.fallback = Some(FallbackConfig { always: true, status: Some(200), ..page("lean") });
        routing.routes.insert(0, lean);
    });
    rig.handle.applied().await;
    assert_eq!(rig.get("/").await.content, "full");
    for (level, content) in [(1, "full"), (2, "lean")] {
        let (app, environment) = ("shop".parse().unwrap(), "production".parse().unwrap());
        let setting = Setting::Degrade { app, environment, level };
        let request = OverrideRequest { setting, for_ms: Some(60_000), why: Some("trying".into()) };
        rig.handle.set_by_hand(request, "test".into()).unwrap();
        let reply = rig.get("/").await;
        assert_eq!((reply.status, reply.content.as_str()), (200, content));
    }
    let told: Vec<String> = endpoint.requests().iter().map(|one| one.all("forebay-degrade").join(",")).collect();
    assert_eq!(told, ["", "1"]);
}

#[tokio::test]
async fn load_raises_the_degrade_level() {
    let endpoint = Endpoint::new(|_| Act::Hang).await;
    let limit = LimitConfig { in_flight_max: 1, waiting_max: 0, ..LimitConfig::default() };
    let rig = proxy().endpoint(&endpoint).policy(|policy| policy.limit = Some(limit)).start();
    let mut inside = rig.client().await;
    inside.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
    eventually(|| endpoint.requests().len() == 1).await;
    // A level is looked at once a second, when somebody asks.
    while level(&rig) == 0 {
        assert_eq!(rig.get("/").await.status, 503);
    }
}
