//! Whatever is wrong behind it, the router does not make it worse: tries beyond the first are a share of the requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use router::config::HedgeConfig;
use tokio::task::JoinSet;

use crate::endpoint::{Act, Endpoint, Received, says};
use crate::rig::{Proxy, proxy};

const CLIENTS: usize = 50;
const REQUESTS_OF_EACH: usize = 60;
const OFFERED: usize = CLIENTS * REQUESTS_OF_EACH;
/// Of one second each: a window ends before the other budget has come to anything.
const MOST: usize = OFFERED + OFFERED / 5;

/// As many tries as a route can ask for, and a hedge with each request.
fn eager() -> Proxy {
    proxy().policy(|policy| {
        (policy.retries_max, policy.try_timeout_ms, policy.deadline_ms) = (10, 10, 100);
        (policy.retry.statuses, policy.retry.backoff_ms) = (vec![500, 503], 0);
        policy.hedge = Some(HedgeConfig::always());
    })
}

fn busy() -> Act {
    Act::Reply(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n".to_vec())
}

/// Asks from many clients at once, over and over; how many requests reached the endpoints.
async fn reached(proxy: Proxy, behaviour: impl Fn(&Received) -> Act + Clone + Send + Sync + 'static) -> usize {
    let mut endpoints = Vec::new();
    for _ in 0..3 {
        endpoints.push(Endpoint::new(behaviour.clone()).await);
    }
    let rig = Arc::new(endpoints.iter().fold(proxy, Proxy::endpoint).start());
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let rig = Arc::clone(&rig);
        clients.spawn(async move {
            let mut client = rig.client().await;
            for _ in 0..REQUESTS_OF_EACH {
                client.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
                let status = client.reply().await.status;
                assert!([200, 502, 503, 504].contains(&status), "{status}");
            }
        });
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    let sent = endpoints.iter().map(|endpoint| endpoint.requests().len()).sum();
    assert!(sent <= MOST, "{sent} for {OFFERED}");
    sent
}

#[tokio::test]
async fn all_endpoints_say_that_they_have_too_much_to_do() {
    reached(eager(), |_| busy()).await;
}

#[tokio::test]
async fn all_endpoints_close_without_a_word() {
    reached(eager(), |_| Act::Close).await;
}

#[tokio::test]
async fn all_endpoints_are_slower_than_a_try_may_be() {
    reached(eager(), |_| Act::Hang).await;
}

#[tokio::test]
async fn half_of_all_requests_fail() {
    let count = Arc::new(AtomicUsize::new(0));
    let sent =
        reached(eager(), move |_| if count.fetch_add(1, Relaxed).is_multiple_of(2) { busy() } else { says("ok") })
            .await;
    assert!(sent > OFFERED, "what the budget bears is tried: {sent}");
}

#[tokio::test]
async fn a_route_that_asks_for_less_gets_less() {
    let sparing = eager().upstream(|upstream| (upstream.budget.percent, upstream.budget.floor_per_s) = (1, 0));
    let sent = reached(sparing, |_| busy()).await;
    assert!(sent <= OFFERED + OFFERED / 100 + 2, "{sent} for {OFFERED}");
}
