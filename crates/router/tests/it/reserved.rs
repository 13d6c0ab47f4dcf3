//! `/.forebay/health`: answered by the router, from what is known, never by an application.

use std::sync::Arc;
use std::time::Duration;

use health::{Failure, Health, Verdict};
use router::{Dependency, EndpointSpec, HealthSource, Routing, UpstreamName};
use serde_json::{Value, json};
use stdx::clock::Mono;
use stdx::ids::Scope;

use crate::endpoint::Endpoint;
use crate::rig::{Proxy, Reply, Rig, proxy};

/// Verdicts that are long enough ago, and one dependency.
#[derive(Debug)]
struct Known {
    silence_max: Duration,
    database: Health,
}

impl HealthSource for Known {
    fn verdict(&self, _: &UpstreamName, endpoint: &EndpointSpec) -> Option<Verdict> {
        let failure = (endpoint.health == Health::Unhealthy).then_some(Failure::Refused);
        let before = Duration::from_secs(7);
        let silence_max = self.silence_max;
        Some(Verdict {
            health: endpoint.health,
            failure,
            checked: Mono(0),
            before,
            silence_max,
            positions: Arc::default(),
        })
    }

    fn dependencies(&self, scope: &Scope) -> Vec<Dependency> {
        assert_eq!(scope.app.as_str(), "shop");
        let reason = (self.database == Health::Unhealthy).then(|| "connection refused".into());
        vec![Dependency { name: "db".into(), health: self.database, reason, age: Duration::ZERO, unchecked: false }]
    }
}

fn known(database: Health) -> Proxy {
    proxy().health(Known { silence_max: Duration::from_secs(3_600), database })
}

async fn with(proxy: Proxy, endpoints: &[(&Endpoint, Health)]) -> Rig {
    let rig = proxy.start();
    let mut routing: Routing = (**rig.source_routing().borrow()).clone();
    let spec = |(one, health): &(&Endpoint, Health)| EndpointSpec { health: *health, ..EndpointSpec::at(one.addr) };
    routing.upstreams[0].endpoints = endpoints.iter().map(spec).collect();
    rig.source.replace(routing);
    rig.handle.applied().await;
    rig
}

fn json_of(reply: &Reply) -> Value {
    assert_eq!((reply.one("content-type"), reply.one("cache-control")), ("application/json", "no-store"));
    serde_json::from_str(&reply.content).unwrap()
}

const UP: Health = Health::Healthy;
const DEAD: Health = Health::Unhealthy;

#[tokio::test]
async fn an_application_s_health_comes_from_what_is_known_and_never_reaches_it() {
    let (a, b) = (Endpoint::saying("a").await, Endpoint::saying("b").await);
    let rig = with(known(UP), &[(&a, UP), (&b, DEAD)]).await;
    for path in ["/.forebay/health/shop", "/.forebay/health/shop/production", "/.forebay/health/shop/"] {
        let reply = rig.get(path).await;
        assert_eq!(reply.status, 200, "{path}");
        let said = json_of(&reply);
        assert_eq!((&said["state"], &said["checked_s_ago"]), (&json!("degraded"), &json!(7)), "{path}");
        let counts = json!({"healthy": 1, "unhealthy": 1, "unknown": 0, "draining": 0, "unchecked": 0});
        assert_eq!(said["endpoints"], counts);
        assert_eq!(said["dependencies"], json!({"up": 1, "down": 0, "unknown": 0}));
        assert_eq!(said["details"]["endpoints"][1]["reason"], "connection refused");
    }
    assert_eq!(a.connections() + b.connections(), 0);
}

#[tokio::test]
async fn what_is_down_is_503_and_a_dependency_that_is_down_only_degrades() {
    let a = Endpoint::saying("a").await;
    let reply = with(known(UP), &[(&a, DEAD)]).await.get("/.forebay/health/shop").await;
    assert_eq!((reply.status, &json_of(&reply)["state"]), (503, &json!("down")));
    assert_eq!(json_of(&reply)["fail_static"], true, "and yet requests go there");
    let reply = with(known(UP), &[(&a, Health::Unknown)]).await.get("/.forebay/health/shop").await;
    assert_eq!((reply.status, &json_of(&reply)["state"]), (503, &json!("unknown")));
    let reply = with(known(DEAD), &[(&a, UP)]).await.get("/.forebay/health/shop").await;
    assert_eq!((reply.status, &json_of(&reply)["state"]), (200, &json!("degraded")));
    assert_eq!(json_of(&reply)["details"]["dependencies"][0]["reason"], "connection refused");
}

#[tokio::test]
async fn three_intervals_of_silence_show() {
    let a = Endpoint::saying("a").await;
    let silent = proxy().health(Known { silence_max: Duration::ZERO, database: UP });
    let said = json_of(&with(silent, &[(&a, UP)]).await.get("/.forebay/health/shop").await);
    assert_eq!((&said["state"], &said["endpoints"]["unchecked"]), (&json!("degraded"), &json!(1)));
}

#[tokio::test]
async fn peers_that_are_not_believed_see_counts_and_states_only() {
    let a = Endpoint::saying("a").await;
    let said = json_of(&with(known(DEAD).untrusting(), &[(&a, DEAD)]).await.get("/.forebay/health/shop").await);
    assert_eq!(said.get("details"), None);
    let text = said.to_string();
    assert!(!text.contains("127.0.0.1") && !text.contains("refused") && !text.contains("\"db\""), "{text}");
}

#[tokio::test]
async fn the_router_has_a_health_of_its_own_and_the_rest_below_is_nobody_s() {
    let a = Endpoint::saying("a").await;
    let rig = with(proxy(), &[(&a, UP)]).await;
    let reply = rig.get("/.forebay/health").await;
    assert_eq!((reply.status, &json_of(&reply)["state"]), (200, &json!("up")));
    for path in ["/.forebay", "/.forebay/", "/.forebay/else", "/.forebay/health/stranger", "/.forebay/healthy"] {
        assert_eq!(rig.get(path).await.status, 404, "{path}");
    }
    let reply = rig.send("POST /.forebay/health/shop HTTP/1.1\r\nhost: shop\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!((reply.status, reply.one("allow")), (405, "GET, HEAD"));
    let reply = rig.send("GET /.forebay/health HTTP/1.1\r\n\r\n").await;
    assert_eq!(reply.status, 400, "the gate stands before it");
    assert_eq!(a.connections(), 0);
    // Nobody checks: the endpoint is what the router saw of it.
    assert_eq!(json_of(&rig.get("/.forebay/health/shop").await)["state"], "up");
}
