//! Content is kept while it streams, so that a request that may be repeated can be.

use router::access::{Outcome, TryKind};
use router::config::HedgeConfig;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use crate::endpoint::{Act, Endpoint, says};
use crate::rig::{Proxy, Rig, eventually, proxy};

/// Tells how much content came, and a sum over it that knows its order.
async fn telling() -> Endpoint {
    Endpoint::new(|request| says(&told(&request.content))).await
}

fn told(content: &[u8]) -> String {
    let sum = content.iter().fold(7_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
    format!("{} bytes, sum {sum}", content.len())
}

fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|n| (n * 7 % 251) as u8).collect()
}

fn put(content: &[u8]) -> Vec<u8> {
    let head = format!("PUT /a HTTP/1.1\r\nhost: shop\r\ncontent-length: {}\r\n\r\n", content.len());
    [head.as_bytes(), content].concat()
}

/// In front of an endpoint that closes after each request and of one that tells what it got.
fn beside_a_dying_one(dying: &Endpoint, telling: &Endpoint) -> Proxy {
    proxy().endpoint(dying).endpoint(telling)
}

async fn dying() -> Endpoint {
    Endpoint::new(|_| Act::Close).await
}

/// Sends until a request has met the dying endpoint first, and gives that one's outcome.
async fn until_retried(rig: &Rig, request: &[u8], right: &str) {
    for _ in 0..100 {
        assert_eq!(rig.send(request).await.content, right);
        let record = rig.record().await;
        if record.tries.len() == 2 {
            let told: Vec<_> = record.tries.iter().map(|one| (one.kind, one.outcome)).collect();
            assert_eq!(told, [(TryKind::First, Outcome::Died), (TryKind::Retry, Outcome::Answered(200))]);
            return;
        }
    }
    panic!("the dying endpoint was never asked");
}

#[tokio::test]
async fn content_in_memory_is_sent_again() {
    let (dying, telling) = (dying().await, telling().await);
    let rig = beside_a_dying_one(&dying, &telling).start();
    let content = content(60_000);
    until_retried(&rig, &put(&content), &told(&content)).await;
}

#[tokio::test]
async fn chunked_content_is_sent_again_with_its_trailers() {
    let (dying, telling) = (dying().await, telling().await);
    let rig = beside_a_dying_one(&dying, &telling).start();
    let request =
        b"PUT / HTTP/1.1\r\nhost: shop\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nx-sum: 1\r\n\r\n";
    until_retried(&rig, request, &told(b"abcde")).await;
    assert!(telling.raw().contains("x-sum: 1\r\n"));
}

#[tokio::test]
async fn content_beyond_the_memory_goes_to_a_file_without_a_name() {
    let (dying, telling) = (dying().await, telling().await);
    let data = tempfile::tempdir().unwrap();
    let rig = beside_a_dying_one(&dying, &telling)
        .data(data.path())
        .policy(|policy| {
            policy.retry.body_memory_bytes_max = 10_000;
            policy.retry.body_disk_bytes_max = 1 << 20;
        })
        .start();
    let content = content(700_000);
    until_retried(&rig, &put(&content), &told(&content)).await;
    assert_eq!(std::fs::read_dir(data.path().join("spool")).unwrap().count(), 0);
}

#[tokio::test]
async fn content_beyond_all_limits_is_sent_once() {
    let (a, b) = (dying().await, dying().await);
    let rig = proxy()
        .endpoint(&a)
        .endpoint(&b)
        .policy(|policy| {
            policy.retries_max = 5;
            policy.retry.body_memory_bytes_max = 1_000;
        })
        .start();
    assert_eq!(rig.send(put(&content(50_000))).await.status, 502);
    assert_eq!(a.requests().len() + b.requests().len(), 1);
}

#[tokio::test]
async fn all_requests_together_keep_only_so_much() {
    let (a, b) = (dying().await, dying().await);
    let rig = proxy().endpoint(&a).endpoint(&b).config(|config| config.kept_memory_bytes_max = 100).start();
    assert_eq!(rig.send(put(&content(101))).await.status, 502);
    assert_eq!(a.requests().len() + b.requests().len(), 1);
    assert_eq!(rig.send(put(&content(100))).await.status, 502);
    assert_eq!(a.requests().len() + b.requests().len(), 3);
}

#[tokio::test]
async fn the_second_endpoint_gets_all_though_the_first_died_in_the_middle() {
    let telling = telling().await;
    let mortal = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig = proxy().address(mortal.local_addr().unwrap()).policy(|policy| policy.try_timeout_ms = 3_000).start();
    let content = content(40_000);
    let request = put(&content);
    let (first_half, rest) = request.split_at(20_000);
    let mut client = rig.client().await;
    client.send(first_half).await;
    let (mut stream, _) = mortal.accept().await.unwrap();
    let mut some = vec![0; 10_000];
    stream.read_exact(&mut some).await.unwrap();
    rig.route_to(&[mortal.local_addr().unwrap(), telling.addr]);
    rig.handle.applied().await;
    drop((stream, mortal));
    // The router sees it when it writes on; a connection that died before a reply is tried elsewhere.
    client.send(rest).await;
    assert_eq!(client.reply().await.content, told(&content));
}

#[tokio::test]
async fn content_that_is_there_in_whole_is_hedged() {
    let (a, b) = (telling().await, telling().await);
    let rig = proxy()
        .endpoint(&a)
        .endpoint(&b)
        .policy(|policy| policy.hedge = Some(HedgeConfig { delay_ms: Some(1), ..HedgeConfig::default() }))
        .upstream(|upstream| upstream.budget.percent = 100)
        .start();
    let content = content(5_000);
    for _ in 0..10 {
        assert_eq!(rig.send(put(&content)).await.content, told(&content));
    }
    eventually(|| a.requests().iter().chain(&b.requests()).all(|request| request.content == content)).await;
}
