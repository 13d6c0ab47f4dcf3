//! What the router does with what checks say, and what it tells those who check.

use std::collections::BTreeSet;

use health::Health;
use router::{EndpointSpec, Routing};

use crate::endpoint::{Act, Endpoint};
use crate::rig::{Proxy, proxy};

/// Which of `a`, `b` and so on answer, when these have this health. The router is new: whom it knows nothing of it asks
/// soon.
async fn answering(proxy: Proxy, healths: &[Health]) -> BTreeSet<String> {
    let mut endpoints = Vec::new();
    for name in ["a", "b", "c"].iter().take(healths.len()) {
        endpoints.push(Endpoint::saying(name).await);
    }
    let rig = proxy.start();
    let mut routing: Routing = (**rig.source_routing().borrow()).clone();
    let spec =
        |(endpoint, health): (&Endpoint, &Health)| EndpointSpec { health: *health, ..EndpointSpec::at(endpoint.addr) };
    routing.upstreams[0].endpoints = endpoints.iter().zip(healths).map(spec).collect();
    rig.source.replace(routing);
    rig.handle.applied().await;
    let mut said = BTreeSet::new();
    for _ in 0..20 {
        said.insert(rig.get("/").await.content);
    }
    said
}

const UP: Health = Health::Healthy;
const DEAD: Health = Health::Unhealthy;

#[tokio::test]
async fn when_more_than_half_look_dead_all_stay_in_rotation() {
    assert_eq!(answering(proxy(), &[UP, UP, DEAD]).await, set(&["a", "b"]));
    assert_eq!(answering(proxy(), &[UP, DEAD, DEAD]).await, set(&["a", "b", "c"]));
    assert_eq!(answering(proxy(), &[DEAD, DEAD, Health::Unknown]).await, set(&["a", "b"]));
}

#[tokio::test]
async fn the_share_that_is_not_believed_can_be_set() {
    let believing = || proxy().upstream(|upstream| upstream.rotation.fail_static_percent = 100);
    assert_eq!(answering(believing(), &[DEAD, DEAD, UP]).await, set(&["c"]));
    assert!(!answering(believing().policy(|route| route.hold_ms = 0), &[DEAD]).await.contains("a"));
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn an_endpoint_that_gave_no_reply_is_told_to_those_who_check() {
    let (dead, up) = (Endpoint::new(|_| Act::Close).await, Endpoint::saying("ok").await);
    let rig = proxy().endpoint(&dead).endpoint(&up).start();
    let handle = rig.handle.clone();
    let suspected = tokio::spawn(async move { handle.suspected().await });
    while !suspected.is_finished() {
        assert_eq!(rig.get("/").await.status, 200);
    }
    assert_eq!(suspected.await.unwrap(), [dead.addr]);
}

#[tokio::test]
async fn positions_hold_until_the_next_are_told_whatever_the_routing_does() {
    let (a, b) = (Endpoint::saying("a").await, Endpoint::saying("b").await);
    let rig = proxy().endpoint(&a).start();
    assert!(rig.handle.positions(a.addr).is_empty());
    let position: health::Position = "shop@0/2A".parse().unwrap();
    rig.handle.set_positions(a.addr, &[position.clone()].into());
    rig.route_to(&[b.addr, a.addr]);
    rig.handle.applied().await;
    assert_eq!(*rig.handle.positions(a.addr), [position]);
    assert!(rig.handle.positions(b.addr).is_empty());
}
