//! What HTTP/1.1 asks of the router's side towards clients, byte by byte.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::sync::watch;

use crate::endpoint::{Act, Endpoint, says};
use crate::rig::{Rig, eventually, proxy};

const GET: &str = "GET / HTTP/1.1\r\nhost: shop\r\n\r\n";

async fn echo() -> Endpoint {
    Endpoint::new(|request| says(&String::from_utf8_lossy(&request.content))).await
}

fn chunked(content: &str) -> String {
    format!("POST / HTTP/1.1\r\nhost: shop\r\ntransfer-encoding: chunked\r\n\r\n{content}")
}

#[tokio::test]
async fn what_is_no_request_is_answered_with_its_own_status_and_a_trace() {
    let rig = proxy().config(|config| config.header_bytes_max = 2_000).start();
    let long = "a".repeat(5_000);
    for (status, payload) in [
        (400, "GET / HTTP/1.1\r\nhost : shop\r\n\r\n".to_owned()),
        (400, "\u{16}\u{3}\u{1}\r\n\r\n".to_owned()),
        (400, format!("{}{GET}", "GET /a b HTTP/1.1\r\nhost: shop\r\n\r\n")),
        (414, format!("GET /{long}")),
        (431, format!("GET / HTTP/1.1\r\nx: {long}")),
        (505, "GET / HTTP/2.0\r\nhost: shop\r\n\r\n".to_owned()),
        (505, "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n".to_owned()),
    ] {
        let mut client = rig.client().await;
        client.send(&payload).await;
        let reply = client.reply().await;
        assert_eq!((reply.status, reply.one("connection")), (status, "close"), "{payload:.40}");
        assert!(client.is_closed().await, "{payload:.40}");
        let record = rig.record().await;
        assert_eq!((record.status, record.trace.trace.to_string()), (status, reply.one("forebay-trace").to_owned()));
        assert!(reply.content.ends_with(&format!("\ntrace {}\n", record.trace.trace)), "{}", reply.content);
        assert!(record.method.is_none() && record.cause.is_some());
    }
}

#[tokio::test]
async fn empty_lines_before_a_request_are_nothing() {
    let a = Endpoint::saying("ok").await;
    let rig = proxy().endpoint(&a).start();
    let mut client = rig.client().await;
    for _ in 0..2 {
        client.send(format!("\r\n\n\r\n{GET}")).await;
        assert_eq!(client.reply().await.content, "ok");
    }
}

#[tokio::test]
async fn however_a_request_is_cut_into_packets_it_is_the_same() {
    let a = echo().await;
    let rig = proxy().endpoint(&a).start();
    let request = chunked("3;x=y\r\ntea\r\n4\r\n pot\r\n0\r\nx-sum: 7\r\n\r\n");
    let mut client = rig.client().await;
    client.stream.set_nodelay(true).unwrap();
    for byte in request.bytes() {
        client.send([byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.reply().await.content, "tea pot");
    client.send(&request).await;
    assert_eq!(client.reply().await.content, "tea pot");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let a = Endpoint::new(|request| says(request.line())).await;
    let rig = proxy().endpoint(&a).start();
    let mut client = rig.client().await;
    let all: String = (0..200).map(|at| format!("GET /{at} HTTP/1.1\r\nhost: shop\r\n\r\n")).collect();
    client.send(all).await;
    for at in 0..200 {
        assert_eq!(client.reply().await.content, format!("GET /{at} HTTP/1.1"));
    }
    // Content between them is no request.
    client.send(format!("{}{GET}", chunked("13\r\nGET /x HTTP/1.1\r\n\r\n\r\n0\r\n\r\n"))).await;
    assert_eq!(client.reply().await.content, "POST / HTTP/1.1");
    assert_eq!(client.reply().await.content, "GET / HTTP/1.1");
}

#[tokio::test]
async fn no_more_is_read_ahead_than_one_buffer() {
    let (open, gate) = watch::channel(false);
    let a = Endpoint::new(move |_| Act::WhenOpen(gate.clone())).await;
    let rig = proxy().endpoint(&a).start();
    let mut client = rig.client().await;
    client.send(GET).await;
    eventually(|| a.requests().len() == 1).await;
    // The kernel's buffers take some megabytes; what is beyond them stays with the client.
    let (_, mut write) = client.stream.into_split();
    let ahead = GET.repeat(1 << 20);
    let sending = async { write.write_all(ahead.as_bytes()).await };
    assert!(tokio::time::timeout(Duration::from_millis(300), sending).await.is_err());
    assert_eq!(a.requests().len(), 1);
    open.send(true).unwrap();
    eventually(|| a.requests().len() > 100).await;
}

#[tokio::test]
async fn an_old_client_keeps_its_connection_only_when_it_asks_to() {
    let a = Endpoint::saying("ok").await;
    let rig = proxy().endpoint(&a).start();
    let mut client = rig.client().await;
    for _ in 0..2 {
        client.send("GET / HTTP/1.0\r\nhost: shop\r\nconnection: keep-alive\r\n\r\n").await;
        let reply = client.reply().await;
        assert!(reply.head.starts_with("HTTP/1.0 200 OK\r\n"), "{}", reply.head);
        assert_eq!((reply.one("connection"), reply.content.as_str()), ("keep-alive", "ok"));
    }
    client.send("GET / HTTP/1.0\r\nhost: shop\r\n\r\n").await;
    assert_eq!(client.reply().await.one("connection"), "close");
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn content_of_unknown_length_ends_with_the_connection_for_an_old_client() {
    let raw = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\ntea\r\n4\r\n pot\r\n0\r\nx-sum: 7\r\n\r\n";
    let a = Endpoint::new(|_| Act::Reply(raw.to_vec())).await;
    let rig = proxy().endpoint(&a).start();
    let old = rig.send("GET / HTTP/1.0\r\nhost: shop\r\nconnection: keep-alive\r\n\r\n").await;
    assert_eq!((old.content.as_str(), old.one("connection")), ("tea pot", "close"));
    assert!(old.all("transfer-encoding").is_empty());
    let new = rig.get("/").await;
    assert_eq!((new.content.as_str(), new.one("transfer-encoding")), ("tea pot", "chunked"));
}

#[tokio::test]
async fn an_expectation_is_met_only_where_content_is_wanted() {
    let a = echo().await;
    let rig = proxy().endpoint(&a).policy(|policy| policy.body_bytes_max = Some(5)).start();
    let ask = |length: usize, content: &str| {
        format!("POST / HTTP/1.1\r\nhost: shop\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n{content}")
    };
    // It is told at once that nobody wants so much.
    let mut client = rig.client().await;
    client.send(ask(6, "")).await;
    let reply = client.reply().await;
    assert_eq!((reply.status, reply.one("connection")), (413, "close"));
    // It has not waited.
    let mut client = rig.client().await;
    client.send(ask(3, "tea")).await;
    assert_eq!(client.reply().await.content, "tea");
    // There is nothing to wait for.
    client.send(ask(0, "")).await;
    assert_eq!(client.reply().await.status, 200);
    client.send(GET).await;
    assert_eq!(client.reply().await.status, 200);
}

#[tokio::test]
async fn a_client_that_has_closed_its_side_gets_its_reply() {
    let (open, gate) = watch::channel(false);
    let a = Endpoint::new(move |_| Act::WhenOpen(gate.clone())).await;
    let rig = proxy().endpoint(&a).start();
    let mut client = rig.client().await;
    client.send(GET).await;
    client.stream.shutdown().await.unwrap();
    // An interim reply shows whether it is still there.
    assert_eq!(client.reply().await.status, 100);
    eventually(|| a.requests().len() == 1).await;
    open.send(true).unwrap();
    assert_eq!(client.reply().await.content, "open");
    assert!(client.is_closed().await);
    // One that cannot know of interim replies gets none.
    let mut old = rig.client().await;
    old.send("GET / HTTP/1.0\r\nhost: shop\r\n\r\n").await;
    old.stream.shutdown().await.unwrap();
    assert_eq!(old.reply().await.content, "open");
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_a_silent_reply_is_let_go() {
    let half = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\ntea\r\n";
    let a = Endpoint::new(|_| Act::Reply(half.to_vec())).await;
    let rig = proxy().endpoint(&a).start();
    let mut client = rig.client().await;
    client.send(GET).await;
    eventually(|| rig.handle.in_flight(a.addr) == 1).await;
    drop(client);
    eventually(|| rig.handle.in_flight(a.addr) == 0).await;
    assert!(!rig.record().await.whole);
}

#[tokio::test]
async fn an_old_client_that_has_gone_is_not_waited_for() {
    let a = Endpoint::new(|_| Act::Hang).await;
    let rig = proxy().endpoint(&a).start();
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.0\r\nhost: shop\r\n\r\n").await;
    eventually(|| a.requests().len() == 1).await;
    drop(client);
    assert_eq!(rig.record().await.status, 499);
    eventually(|| rig.handle.in_flight(a.addr) == 0).await;
}

/// Sends a request whose reply is long, reads nothing for a while, then all of it.
async fn read_late(rig: &Rig, bytes: usize) -> String {
    let mut client = rig.client().await;
    client.send(GET).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let reply = client.reply().await;
    assert_eq!(reply.content.len(), bytes);
    reply.content
}

#[tokio::test]
async fn a_reply_waits_for_its_reader_and_arrives_whole() {
    let text: String = (0..2_000_000).map(|at| char::from(b'a' + (at % 23) as u8)).collect();
    let with_length = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len());
    let chunks: String = text
        .as_bytes()
        .chunks(70_001)
        .map(|one| format!("{:x}\r\n{}\r\n", one.len(), str::from_utf8(one).unwrap()))
        .collect();
    let in_chunks = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunks}0\r\n\r\n");
    for raw in [with_length, in_chunks] {
        let a = Endpoint::new(move |_| Act::Reply(raw.clone().into_bytes())).await;
        let rig = proxy().endpoint(&a).start();
        assert!(read_late(&rig, text.len()).await == text);
    }
}

#[tokio::test]
async fn a_reply_has_the_endpoints_date_or_the_routers() {
    let a = Endpoint::new(|request| match request.line() {
        "GET /own HTTP/1.1" => Act::Reply(b"HTTP/1.1 200 OK\r\ndate: then\r\ncontent-length: 0\r\n\r\n".to_vec()),
        _ => says(""),
    })
    .await;
    let rig = proxy().endpoint(&a).start();
    assert_eq!(rig.get("/own").await.one("date"), "then");
    let date = rig.get("/").await.one("date").to_owned();
    assert!(date.ends_with(" GMT") && date.len() == 29 && !date.contains("1970"), "{date}");
}
