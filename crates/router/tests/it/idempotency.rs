//! One request, however often it is sent, has one effect and one answer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use router::access::What;
use router::config::IdempotencyConfig;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::endpoint::{Act, Endpoint, Received, says};
use crate::rig::{Proxy, Reply, Rig, eventually, proxy};

fn keyed() -> Proxy {
    proxy().policy(|policy| policy.idempotency = Some(IdempotencyConfig::default()))
}

fn post(key: &str, content: &str) -> String {
    let length = content.len();
    format!(
        "POST /orders HTTP/1.1\r\nhost: shop\r\nidempotency-key: \"{key}\"\r\ncontent-length: {length}\r\n\r\n{content}"
    )
}

/// Answers 201 with a number of its own for each request.
async fn counting() -> Endpoint {
    let count = AtomicUsize::new(0);
    Endpoint::new(move |request| {
        let order = format!("order {} of {}", count.fetch_add(1, SeqCst), String::from_utf8_lossy(&request.content));
        let length = order.len();
        Act::Reply(
            format!("HTTP/1.1 201 Created\r\nlocation: /orders/1\r\ncontent-length: {length}\r\n\r\n{order}")
                .into_bytes(),
        )
    })
    .await
}

fn is_first(reply: &Reply) -> bool {
    reply.all("idempotency-replayed").is_empty()
}

#[tokio::test]
async fn the_second_gets_the_first_ones_answer() {
    let a = counting().await;
    let rig = keyed().endpoint(&a).start();
    let first = rig.send(post("k-1", "tea")).await;
    assert_eq!((first.status, first.content.as_str(), is_first(&first)), (201, "order 0 of tea", true));
    for _ in 0..5 {
        let again = rig.send(post("k-1", "tea")).await;
        assert_eq!((again.status, again.content.as_str()), (201, "order 0 of tea"));
        assert_eq!((again.one("location"), again.one("idempotency-replayed")), ("/orders/1", "true"));
    }
    assert_eq!(rig.send(post("k-2", "tea")).await.content, "order 1 of tea");
    assert_eq!(a.requests().len(), 2);
    let told = rig
        .records(7)
        .await
        .iter()
        .filter(|record| record.events.iter().any(|e| e.what == What::AnsweredBefore))
        .count();
    assert_eq!(told, 5);
}

#[tokio::test]
async fn a_key_belongs_to_one_request() {
    let a = counting().await;
    let rig = keyed().endpoint(&a).start();
    assert_eq!(rig.send(post("k", "tea")).await.status, 201);
    assert_eq!(rig.send(post("k", "rum")).await.status, 422);
    assert_eq!(rig.send(post("k", "tea").replace("/orders", "/other")).await.status, 422);
    assert_eq!(rig.send(post("", "tea")).await.status, 400);
    assert_eq!(a.requests().len(), 1);
    let other = post("k", "tea").replace("host:", "authorization: Bearer b\r\nhost:");
    assert_eq!(rig.send(other).await.content, "order 1 of tea", "another client's key is another key");
}

#[tokio::test]
async fn without_a_key_or_on_a_route_that_does_not_ask_nothing_is_recorded() {
    let a = counting().await;
    let rig = keyed().endpoint(&a).start();
    let plain = "POST / HTTP/1.1\r\nhost: shop\r\ncontent-length: 0\r\n\r\n";
    assert_ne!(rig.send(plain).await.content, rig.send(plain).await.content);
    let unasked = proxy().endpoint(&a).start();
    assert_ne!(unasked.send(post("k", "")).await.content, unasked.send(post("k", "")).await.content);
}

#[tokio::test]
async fn a_second_waits_for_the_first_or_is_told_of_it() {
    for (wait_ms, status) in [(10_000, 200), (0, 409)] {
        let (open, gate) = watch::channel(false);
        let slow = Endpoint::new(move |_| Act::WhenOpen(gate.clone())).await;
        let rig = keyed()
            .policy(|policy| policy.idempotency = Some(IdempotencyConfig { wait_ms, ..IdempotencyConfig::default() }))
            .endpoint(&slow)
            .start();
        let (mut first, mut second) = (rig.client().await, rig.client().await);
        first.send(post("k", "tea")).await;
        eventually(|| slow.requests().len() == 1).await;
        second.send(post("k", "tea")).await;
        if status == 409 {
            assert_eq!(second.reply().await.status, 409);
        }
        open.send_replace(true);
        assert_eq!(first.reply().await.status, 200);
        if status == 200 {
            assert_eq!(second.reply().await.one("idempotency-replayed"), "true");
        }
        assert_eq!(slow.requests().len(), 1);
    }
}

#[tokio::test]
async fn who_waits_takes_over_when_the_first_leaves() {
    let (open, gate) = watch::channel(false);
    let slow = Endpoint::new(move |_| Act::WhenOpen(gate.clone())).await;
    let rig = keyed().endpoint(&slow).start();
    let (mut first, mut second) = (rig.client().await, rig.client().await);
    first.send(post("k", "tea")).await;
    eventually(|| slow.requests().len() == 1).await;
    second.send(post("k", "tea")).await;
    drop(first);
    eventually(|| slow.requests().len() == 2).await;
    open.send_replace(true);
    assert!(is_first(&second.reply().await));
}

#[tokio::test]
async fn what_was_no_answer_is_asked_again() {
    let busy = AtomicUsize::new(0);
    let a = Endpoint::new(move |_| {
        let status = if busy.fetch_add(1, SeqCst) == 0 { "503 Busy" } else { "400 No" };
        Act::Reply(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").into_bytes())
    })
    .await;
    let rig = keyed().endpoint(&a).start();
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(rig.send(post("k", "tea")).await.status);
    }
    assert_eq!(statuses, [503, 400, 400]);
    assert_eq!(a.requests().len(), 2);
}

#[tokio::test]
async fn a_long_answer_is_passed_on_and_not_made_twice() {
    for framing in ["content-length: 3000\r\n\r\n", "transfer-encoding: chunked\r\n\r\nbb8\r\n"] {
        let chunked = framing.starts_with('t');
        let end = if chunked { "\r\n0\r\n\r\n" } else { "" };
        let reply = format!("HTTP/1.1 200 OK\r\n{framing}{}{end}", "x".repeat(3_000));
        let a = Endpoint::new(move |_| Act::Reply(reply.clone().into_bytes())).await;
        let rule = IdempotencyConfig { reply_bytes_max: 2_000, ..IdempotencyConfig::default() };
        let rig = proxy().policy(|policy| policy.idempotency = Some(rule)).endpoint(&a).start();
        let first = rig.send(post("k", "tea")).await;
        assert_eq!((first.content.len(), first.cut), (3_000, false));
        assert_eq!(rig.send(post("k", "tea")).await.status, 409);
        assert_eq!(a.requests().len(), 1);
    }
}

#[tokio::test]
async fn answers_are_there_after_a_restart() {
    let a = counting().await;
    let data = tempfile::tempdir().unwrap();
    let rig = keyed().data(data.path()).endpoint(&a).start();
    let first = rig.send(post("k", "tea")).await;
    assert!(rig.handle.drain(std::time::Duration::from_secs(10)).await);
    drop(rig);
    let rig = keyed().data(data.path()).endpoint(&a).start();
    let again = rig.send(post("k", "tea")).await;
    assert_eq!((again.content, is_first(&first), again.head.contains("replayed")), (first.content, true, true));
    assert_eq!(a.requests().len(), 1);
    assert_eq!(rig.send(post("k", "rum")).await.status, 422);
}

/// An application that has one effect per key, and cuts off every other first try after having it.
async fn honouring(effects: &Arc<Mutex<HashMap<String, usize>>>) -> Endpoint {
    let effects = Arc::clone(effects);
    Endpoint::new(move |request: &Received| {
        let key = request.one("idempotency-key").to_owned();
        let number: usize = key.trim_matches('"').parse().unwrap();
        let mut effects = effects.lock().unwrap();
        let next = effects.len();
        let is_new = !effects.contains_key(&key);
        let effect = *effects.entry(key).or_insert(next);
        if is_new && number.is_multiple_of(2) { Act::Close } else { says(&format!("effect {effect}")) }
    })
    .await
}

/// Sends a request twice at about the same time; both replies.
async fn twice(rig: &Rig, key: usize) -> [Reply; 2] {
    let request = post(&key.to_string(), "tea");
    let (mut one, mut other) = (rig.client().await, rig.client().await);
    one.send(&request).await;
    other.send(&request).await;
    [one.reply().await, other.reply().await]
}

#[tokio::test]
async fn two_thousand_posts_sent_twice_and_cut_off_have_one_effect_each() {
    const POSTS: usize = 2_000;
    let effects = Arc::default();
    let (a, b) = (honouring(&effects).await, honouring(&effects).await);
    let data = tempfile::tempdir().unwrap();
    let rig = keyed()
        .data(data.path())
        .endpoint(&a)
        .endpoint(&b)
        .upstream(|upstream| upstream.budget.percent = 100)
        .policy(|policy| policy.retries_max = 2)
        .start();
    let rig = Arc::new(rig);
    let mut asking = JoinSet::new();
    for lane in 0..20 {
        let rig = Arc::clone(&rig);
        asking.spawn(async move {
            for key in (lane..POSTS).step_by(20) {
                let [one, other] = twice(&rig, key).await;
                assert_eq!((one.status, &one.content), (200, &other.content), "{key}");
                assert_eq!(usize::from(is_first(&one)) + usize::from(is_first(&other)), 1);
            }
        });
    }
    while let Some(done) = asking.join_next().await {
        done.unwrap();
    }
    assert_eq!(effects.lock().unwrap().len(), POSTS);
    assert_eq!(
        a.requests().len() + b.requests().len(),
        POSTS + POSTS / 2,
        "each once, and each that was cut off again"
    );
}
