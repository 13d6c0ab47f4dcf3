//! The router in numbers.

use std::sync::Arc;
use std::time::Duration;

use control::metrics::Exposition;
use control::wire::router::{BreakerByHand, Fault, OverrideRequest, Setting};
use health::{Health, Verdict};
use router::config::{BalanceConfig, BalanceMethod, BreakerConfig, EjectionConfig, LimitConfig};
use router::{Dependency, EndpointSpec, HealthSource, UpstreamName};
use stdx::clock::Mono;
use stdx::ids::Scope;
use testkit::prometheus::{Sample, parse, value};

use crate::endpoint::{Act, Endpoint};
use crate::rig::{Rig, eventually, proxy};

fn page(rig: &Rig) -> Vec<Sample> {
    let mut page = Exposition::default();
    rig.handle.metrics(&mut page);
    parse(&page.into_text())
}

#[tokio::test]
async fn requests_tries_and_their_times_are_counted_over_all_workers() {
    let (dying, sound) = (Endpoint::new(|_| Act::Close).await, Endpoint::saying("ok").await);
    let rig = proxy().endpoint(&dying).endpoint(&sound).start();
    for _ in 0..40 {
        assert_eq!(rig.get("/").await.status, 200);
    }
    rig.send("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n").await;
    rig.records(41).await;
    let page = page(&rig);
    let route = ("route", "web");
    assert_eq!(value(&page, "forebay_router_answers_total", &[]), 41.0);
    assert_eq!(value(&page, "forebay_router_requests_total", &[route, ("status", "2xx")]), 40.0);
    assert_eq!(value(&page, "forebay_router_requests_total", &[route, ("status", "5xx")]), 0.0);
    assert_eq!(value(&page, "forebay_router_request_seconds_count", &[route]), 40.0);
    let retries = value(&page, "forebay_router_extra_tries_total", &[route, ("kind", "retry")]);
    let (dying, sound) = (dying.addr.to_string(), sound.addr.to_string());
    let tries = |endpoint: &str, outcome| {
        value(&page, "forebay_router_tries_total", &[("endpoint", endpoint), ("outcome", outcome)])
    };
    assert!(retries > 0.0);
    assert_eq!(tries(&dying, "died"), retries);
    assert_eq!(tries(&sound, "2xx"), 40.0);
    assert_eq!(value(&page, "forebay_router_try_seconds_count", &[("endpoint", &sound)]), 40.0);
    assert_eq!(value(&page, "forebay_router_try_seconds_count", &[("endpoint", &dying)]), 0.0);
    assert_eq!(value(&page, "forebay_router_endpoint_in_flight", &[("endpoint", &sound)]), 0.0);
    assert_eq!(value(&page, "forebay_router_budget_spent", &[("upstream", "shop/production/web")]), retries);
}

#[tokio::test]
async fn what_is_set_by_hand_and_what_it_did_are_counted() {
    let endpoint = Endpoint::saying("ok").await;
    let rig = proxy().endpoint(&endpoint).start();
    let fault = Fault { endpoint: None, share_percent: 100.0, delay_ms: 0, error: Some(503), reset: false };
    let setting = Setting::Fault { route: "web".into(), fault };
    rig.handle.set_by_hand(OverrideRequest { setting, for_ms: Some(60_000), why: None }, "uid 7".into()).unwrap();
    assert_eq!(rig.get("/").await.status, 503);
    rig.breaker(BreakerByHand::Tripped);
    rig.record().await;
    let page = page(&rig);
    let route = ("route", "web");
    assert_eq!(value(&page, "forebay_router_events_total", &[route, ("event", "fault")]), 1.0);
    assert_eq!(value(&page, "forebay_router_faults", &[route]), 1.0);
    assert_eq!(value(&page, "forebay_router_breaker", &[route, ("state", "closed")]), 1.0);
    assert_eq!(value(&page, "forebay_router_breaker_by_hand", &[route, ("state", "tripped")]), 1.0);
    assert_eq!(value(&page, "forebay_router_overrides", &[]), 2.0);
    let row = rig.handle.route_rows().remove(0);
    assert_eq!((row.breaker_by_hand.as_deref(), row.faults, row.answered["5xx"]), (Some("tripped"), 1, 1));
}

#[tokio::test]
async fn connections_and_idle_ones_towards_endpoints_are_counted() {
    let endpoint = Endpoint::saying("ok").await;
    let rig = proxy().endpoint(&endpoint).start();
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
    assert_eq!(client.reply().await.content, "ok");
    eventually(|| value(&page(&rig), "forebay_router_pool_idle", &[]) == 1.0).await;
    assert_eq!(value(&page(&rig), "forebay_router_connections", &[]), 1.0);
    let rows = rig.handle.endpoint_rows();
    assert_eq!((rows[0].state.as_str(), rows[0].tries["2xx"]), ("up", 1));
    assert!(rows[0].expected_us > 0 && rows[0].latency.quantile_us(0.99).is_some());
}

#[tokio::test]
async fn a_client_that_leaves_early_counts_as_no_time() {
    let hanging = Endpoint::new(|_| Act::Hang).await;
    let rig = proxy().endpoint(&hanging).start();
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
    eventually(|| !hanging.requests().is_empty()).await;
    drop(client);
    assert_eq!(rig.record().await.status, 499);
    let page = page(&rig);
    assert_eq!(value(&page, "forebay_router_requests_total", &[("route", "web"), ("status", "4xx")]), 1.0);
    assert_eq!(value(&page, "forebay_router_request_seconds_count", &[("route", "web")]), 0.0);
}

#[tokio::test]
async fn a_reply_tells_its_times_where_the_route_says_so() {
    let own = "HTTP/1.1 200 OK\r\nserver-timing: db;dur=3\r\ncontent-length: 0\r\n\r\n";
    let endpoint = Endpoint::new(move |_| Act::Reply(own.as_bytes().to_vec())).await;
    let silent = proxy().endpoint(&endpoint).start();
    assert_eq!(silent.get("/").await.all("server-timing"), ["db;dur=3"]);
    let telling = proxy().endpoint(&endpoint).policy(|policy| policy.server_timing = true).start();
    let reply = telling.get("/").await;
    let [own, times] = reply.all("server-timing")[..] else { panic!("{}", reply.head) };
    assert_eq!(own, "db;dur=3");
    let parts: Vec<&str> = times.split(", ").collect();
    assert!(parts[0].starts_with("total;dur=") && parts[1].starts_with("endpoint;dur="), "{times}");
    assert_eq!(parts[2], "tries;desc=\"1\"");
}

#[tokio::test]
async fn a_hedge_meets_faults_of_its_own_endpoint() {
    let (slow, sound) = (Endpoint::saying("slow").await, Endpoint::saying("sound").await);
    let hedge = router::config::HedgeConfig { delay_ms: Some(5), ..router::config::HedgeConfig::default() };
    let rig = proxy()
        .endpoint(&slow)
        .endpoint(&sound)
        .policy(|policy| policy.hedge = Some(hedge))
        .upstream(|policy| policy.budget.floor_per_s = 1_000)
        .start();
    let endpoint = Some(slow.addr.to_string());
    let fault = Fault { endpoint, share_percent: 100.0, delay_ms: 20_000, error: None, reset: false };
    let setting = Setting::Fault { route: "web".into(), fault };
    rig.handle.set_by_hand(OverrideRequest { setting, for_ms: Some(60_000), why: None }, "uid 7".into()).unwrap();
    for _ in 0..20 {
        assert_eq!(rig.get("/").await.content, "sound");
    }
    let hedges = rig.handle.route_rows()[0].hedges;
    assert!(hedges > 0, "no request began at the slow one");
    assert_eq!(value(&page(&rig), "forebay_router_extra_tries_total", &[("kind", "hedge")]), hedges as f64);
}

#[tokio::test]
async fn series_are_bounded_and_what_is_left_out_is_counted() {
    let rig = proxy().start();
    let mut routing = (**rig.source_routing().borrow()).clone();
    let route = routing.routes.remove(0);
    for index in 0..600 {
        let name = format!("route-{index}");
        routing.routes.push(router::RouteSpec { path_prefix: format!("/{index}"), name, ..route.clone() });
    }
    rig.source.replace(routing);
    rig.handle.applied().await;
    let page = page(&rig);
    let routes = page.iter().filter(|sample| sample.name == "forebay_router_faults").count();
    assert_eq!((routes, value(&page, "forebay_router_series_omitted", &[])), (500, 100.0));
}

/// Somebody checked everything once, and nobody since.
#[derive(Debug)]
struct Silent;

impl HealthSource for Silent {
    fn verdict(&self, _: &UpstreamName, endpoint: &EndpointSpec) -> Option<Verdict> {
        let (failure, before, silence_max) = (None, Duration::from_secs(60), Duration::ZERO);
        Some(Verdict {
            health: endpoint.health,
            failure,
            checked: Mono(0),
            before,
            silence_max,
            positions: Arc::default(),
        })
    }

    fn dependencies(&self, _: &Scope) -> Vec<Dependency> {
        let (health, age) = (Health::Unhealthy, Duration::from_secs(60));
        vec![Dependency { name: "db".into(), health, reason: None, age, unchecked: true }]
    }
}

#[tokio::test]
async fn who_is_left_alone_or_checked_by_nobody_is_counted_and_so_are_limits_of_upstreams() {
    let failing = Endpoint::new(|_| Act::Reply(b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n".to_vec())).await;
    let sound = Endpoint::saying("ok").await;
    let breaker = BreakerConfig { failures_in_a_row: 1, pause_ms: 600_000, ..BreakerConfig::default() };
    let rig = proxy()
        .endpoint(&failing)
        .endpoint(&sound)
        .upstream(|upstream| {
            upstream.balance = Some(BalanceConfig { method: BalanceMethod::RoundRobin, ..BalanceConfig::default() });
            upstream.ejection = Some(EjectionConfig { breaker, ..EjectionConfig::default() });
            upstream.limit = Some(LimitConfig { in_flight_max: 7, ..LimitConfig::default() });
        })
        .health(Silent)
        .start();
    for _ in 0..10 {
        rig.get("/").await;
    }
    let page = page(&rig);
    let (failing, sound) = (failing.addr.to_string(), sound.addr.to_string());
    let of = |name: &str, endpoint: &str| value(&page, name, &[("endpoint", endpoint)]);
    let ejected = "forebay_router_endpoint_ejected";
    assert_eq!((of(ejected, &failing), of(ejected, &sound)), (1.0, 0.0));
    assert_eq!(of("forebay_router_endpoint_unchecked", &sound), 1.0);
    let upstream = ("upstream", "shop/production/web");
    assert_eq!(value(&page, "forebay_router_upstream_limit", &[upstream]), 14.0, "seven for each of two");
    assert_eq!(value(&page, "forebay_router_upstream_limit_in_use", &[upstream]), 0.0);
    let db = [("app", "shop/production"), ("dependency", "db")];
    let silent = value(&page, "forebay_dependency_unchecked", &db);
    assert_eq!((value(&page, "forebay_dependency_up", &db), silent), (0.0, 1.0));
    let rows = rig.handle.endpoint_rows();
    let row = rows.iter().find(|row| row.endpoint == failing).unwrap();
    assert_eq!((row.state.as_str(), row.unchecked), ("left alone", true));
    assert!(row.checked_s_ago >= Some(60));
}
