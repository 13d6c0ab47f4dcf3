//! Every limit has its status, and none of them waits for the client's goodwill.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::endpoint::{Act, Endpoint, says};
use crate::rig::{eventually, proxy};

#[tokio::test]
async fn sizes_of_a_head_have_limits() {
    let a = Endpoint::saying("ok").await;
    let rig = proxy()
        .endpoint(&a)
        .config(|config| {
            config.target_bytes_max = 100;
            config.header_bytes_max = 2_000;
            config.header_fields_max = 10;
        })
        .start();
    let long = |bytes: usize| "a".repeat(bytes);
    let fields = |count: usize| "x: y\r\n".repeat(count);
    for (status, request) in [
        (200, format!("GET /{} HTTP/1.1\r\nhost: shop\r\n\r\n", long(99))),
        (414, format!("GET /{} HTTP/1.1\r\nhost: shop\r\n\r\n", long(100))),
        (200, format!("GET / HTTP/1.1\r\nhost: shop\r\n{}\r\n", fields(9))),
        (431, format!("GET / HTTP/1.1\r\nhost: shop\r\n{}\r\n", fields(10))),
        (431, format!("GET / HTTP/1.1\r\nhost: shop\r\nx: {}\r\n\r\n", long(2_000))),
        (431, format!("GET / HTTP/1.1\r\nhost: shop\r\nx: {}\r\n\r\n", long(1_000_000))),
    ] {
        let (mut read, mut write) = TcpStream::connect(rig.addr).await.unwrap().into_split();
        // A refused client may still be writing; its own error is not the point.
        let sending = tokio::spawn(async move {
            drop(write.write_all(request.as_bytes()).await);
            write
        });
        let mut reply = Vec::new();
        while !reply.windows(4).any(|w| w == b"\r\n\r\n") {
            assert!(read.read_buf(&mut reply).await.unwrap() > 0, "no {status}");
        }
        let line = format!("HTTP/1.1 {status} ");
        assert!(reply.starts_with(line.as_bytes()), "{status}: {}", String::from_utf8_lossy(&reply));
        drop(read);
        drop(sending.await.unwrap());
    }
}

#[tokio::test]
async fn content_beyond_the_routes_limit_is_413_whether_its_length_is_said_or_not() {
    let a = Endpoint::saying("ok").await;
    let rig = proxy().endpoint(&a).policy(|policy| policy.body_bytes_max = Some(10)).start();
    let said = rig.send("POST / HTTP/1.1\r\nhost: shop\r\ncontent-length: 10737418240\r\n\r\n").await;
    assert_eq!((said.status, said.one("connection")), (413, "close"));
    let head = "POST / HTTP/1.1\r\nhost: shop\r\ntransfer-encoding: chunked\r\n\r\n";
    let counted = rig.send(format!("{head}8\r\n12345678\r\n8\r\n12345678\r\n")).await;
    assert_eq!((counted.status, counted.one("connection")), (413, "close"));
    let within = rig.send(format!("{head}a\r\n1234567890\r\n0\r\n\r\n")).await;
    assert_eq!(within.status, 200);
    assert_eq!(a.requests().len(), 1);
}

#[tokio::test]
async fn a_head_that_does_not_come_is_408() {
    let rig = proxy().config(|config| config.header_timeout_ms = 250).start();
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nhost: sh").await;
    let reply = client.reply().await;
    assert_eq!((reply.status, reply.one("connection")), (408, "close"));
    assert!(client.is_closed().await);
    assert_eq!(rig.record().await.status, 408);
    // Who says nothing at all is told nothing.
    assert!(rig.client().await.is_closed().await);
}

#[tokio::test]
async fn content_that_does_not_come_is_408() {
    let a = Endpoint::saying("ok").await;
    let rig = proxy().endpoint(&a).config(|config| config.body_timeout_ms = 50).start();
    let mut client = rig.client().await;
    client.send("POST / HTTP/1.1\r\nhost: shop\r\ncontent-length: 10\r\n\r\ntea").await;
    let reply = client.reply().await;
    assert_eq!((reply.status, reply.one("connection")), (408, "close"));
    assert_eq!(a.requests().len(), 0);
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_a_busy_one_is_not() {
    let (open, gate) = tokio::sync::watch::channel(false);
    let a = Endpoint::new(move |_| Act::WhenOpen(gate.clone())).await;
    let rig = proxy().endpoint(&a).config(|config| config.idle_timeout_ms = 100).start();
    let mut busy = rig.client().await;
    busy.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
    eventually(|| a.requests().len() == 1).await;
    // An idle one began later and is closed while the busy one waits on.
    let mut idle = rig.client().await;
    idle.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
    open.send(true).unwrap();
    assert_eq!(idle.reply().await.status, 200);
    assert_eq!(busy.reply().await.status, 200);
    assert!(idle.is_closed().await);
}

#[tokio::test]
async fn a_client_that_does_not_take_its_reply_is_left() {
    let a = Endpoint::new(|_| {
        let mut raw = b"HTTP/1.1 200 OK\r\ncontent-length: 50000000\r\n\r\n".to_vec();
        raw.resize(raw.len() + 50_000_000, b'x');
        Act::Reply(raw)
    })
    .await;
    let rig = proxy().endpoint(&a).config(|config| config.write_timeout_ms = 100).start();
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
    // Nothing is read: the sockets' buffers fill, and the router stops waiting.
    let record = rig.record().await;
    assert!(!record.whole);
    assert!(record.reply_bytes < 50_000_000);
    eventually(|| rig.handle.in_flight(a.addr) == 0).await;
}

#[tokio::test]
async fn a_reply_that_stalls_in_its_middle_is_broken_off() {
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf";
    let a = Endpoint::new(|_| Act::Reply(half.to_vec())).await;
    let rig = proxy().endpoint(&a).config(|config| config.reply_idle_timeout_ms = 100).start();
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
    let reply = client.reply().await;
    assert!(reply.cut && reply.content == "half", "{reply:?}");
    let record = rig.record().await;
    assert!(!record.whole);
    assert_eq!(record.cause.as_deref(), Some("the endpoint's reply did not go on in time"));
    eventually(|| rig.handle.in_flight(a.addr) == 0).await;
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_request_along() {
    let a = Endpoint::new(|_| Act::Hang).await;
    let rig = proxy().endpoint(&a).start();
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
    eventually(|| a.requests().len() == 1).await;
    drop(client);
    assert_eq!(rig.record().await.status, 499);
    eventually(|| rig.handle.in_flight(a.addr) == 0).await;
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_their_turn() {
    let a = Endpoint::saying("ok").await;
    let rig = proxy().endpoint(&a).config(|config| config.connections_max = 2).start();
    let (mut first, second) = (rig.client().await, rig.client().await);
    eventually(|| rig.handle.counts().connections == 2).await;
    let mut third = rig.client().await;
    third.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
    first.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
    assert_eq!(first.reply().await.status, 200);
    assert_eq!(a.requests().len(), 1);
    drop((first, second));
    assert_eq!(third.reply().await.status, 200);
}

#[tokio::test]
async fn large_content_streams_through_both_ways() {
    let a = Endpoint::new(|request| says(&String::from_utf8_lossy(&request.content))).await;
    let rig = proxy().endpoint(&a).start();
    let content = "0123456789".repeat(300_000);
    let mut client = rig.client().await;
    let head = format!("POST / HTTP/1.1\r\nhost: shop\r\ncontent-length: {}\r\n\r\n", content.len());
    client.send(format!("{head}{content}")).await;
    let reply = client.reply().await;
    assert_eq!(reply.one("content-length"), content.len().to_string());
    assert_eq!(reply.content, content);
    let record = rig.record().await;
    assert_eq!((record.request_bytes, record.reply_bytes), (3_000_000, 3_000_000));
    assert!(record.total >= record.to_head && record.total < Duration::from_secs(60));
}
