//! Clients that are slow on purpose: each costs a connection and a bounded number of bytes, and none of them for ever.
//! What is looked at are counts; that a test ends says that the router has ended the connection.

use std::net::SocketAddr;
use std::time::Duration;

use router::config::RoutePolicy;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::endpoint::{Act, Endpoint};
use crate::rig::{Rig, eventually, proxy};

const CLIENTS: usize = 40;
/// What the sockets of both sides may hold on their way through the router, and then some.
const UNDER_WAY_BYTES_MAX: usize = 24 << 20;
/// More than that by far.
const MUCH: usize = 64 << 20;

/// Sends `head`, then `drop` again and again, until the router has had enough; what it says to that.
async fn dripping(addr: SocketAddr, head: String, drop: &'static [u8]) -> String {
    let (mut read, mut write) = TcpStream::connect(addr).await.unwrap().into_split();
    let writing = tokio::spawn(async move {
        let mut alive = write.write_all(head.as_bytes()).await.is_ok();
        while alive {
            tokio::time::sleep(Duration::from_millis(5)).await;
            alive = write.write_all(drop).await.is_ok();
        }
    });
    let mut said = Vec::new();
    while let Ok(1..) = read.read_buf(&mut said).await {}
    writing.abort();
    String::from_utf8(said).unwrap()
}

/// What the router says to many of them at once.
async fn all_dripping(rig: &Rig, head: &str, drop: &'static [u8]) -> Vec<String> {
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(dripping(rig.addr, head.into(), drop));
    }
    let said = clients.join_all().await;
    eventually(|| rig.handle.counts().connections == 0).await;
    said
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_has_one_time_for_all_of_it() {
    let a = Endpoint::saying("ok").await;
    let rig = proxy().endpoint(&a).config(|config| config.header_timeout_ms = 200).start();
    for said in all_dripping(&rig, "GET /", b"a").await {
        assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
    }
    assert_eq!(a.connections(), 0, "no endpoint hears of it");
}

#[tokio::test]
async fn content_that_comes_byte_by_byte_has_the_time_of_its_request() {
    let a = Endpoint::saying("ok").await;
    let rig = proxy().endpoint(&a).policy(|policy| (policy.deadline_ms, policy.retries_max) = (300, 3)).start();
    let head = "PUT / HTTP/1.1\r\nhost: shop\r\ncontent-length: 1000000\r\n\r\n";
    for said in all_dripping(&rig, head, b"a").await {
        assert!(said.starts_with("HTTP/1.1 504 ") || said.starts_with("HTTP/1.1 408 "), "{said}");
    }
    assert_eq!((a.requests().len(), rig.handle.in_flight(a.addr)), (0, 0));
    assert!(a.connections() <= 2 * CLIENTS, "{}", a.connections());
}

#[tokio::test]
async fn chunks_of_one_byte_have_no_more_time_than_any_others() {
    let a = Endpoint::saying("ok").await;
    let rig = proxy().endpoint(&a).policy(|policy| policy.deadline_ms = 300).start();
    let head = "POST / HTTP/1.1\r\nhost: shop\r\ntransfer-encoding: chunked\r\n\r\n";
    for said in all_dripping(&rig, head, b"1\r\na\r\n").await {
        assert!(said.starts_with("HTTP/1.1 504 ") || said.starts_with("HTTP/1.1 408 "), "{said}");
    }
    assert_eq!((a.requests().len(), rig.handle.in_flight(a.addr)), (0, 0));
}

/// An endpoint that takes connections and reads nothing.
async fn deaf() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

#[tokio::test]
async fn no_more_content_is_taken_from_a_client_than_its_endpoint_takes() {
    for method in ["POST", "PUT"] {
        let (_listener, addr) = deaf().await;
        let patient = |policy: &mut RoutePolicy| {
            (policy.deadline_ms, policy.body_bytes_max) = (500, Some(u64::MAX));
        };
        let rig = proxy().address(addr).policy(patient).start();
        let (mut read, mut write) = TcpStream::connect(rig.addr).await.unwrap().into_split();
        let head = format!("{method} / HTTP/1.1\r\nhost: shop\r\ncontent-length: {MUCH}\r\n\r\n");
        write.write_all(head.as_bytes()).await.unwrap();
        let writing = tokio::spawn(async move {
            let (piece, mut taken) = ([b'x'; 64 << 10], 0);
            while let Ok(bytes @ 1..) = write.write(&piece).await {
                taken += bytes;
                if taken >= MUCH {
                    break;
                }
            }
            taken
        });
        let mut said = Vec::new();
        while let Ok(1..) = read.read_buf(&mut said).await {}
        assert!(said.starts_with(b"HTTP/1.1 504 "), "{}", String::from_utf8_lossy(&said));
        let record = rig.record().await;
        assert!(record.request_bytes < UNDER_WAY_BYTES_MAX as u64, "{method}: {}", record.request_bytes);
        drop(rig);
        drop(read);
        assert!(writing.await.unwrap() < MUCH, "{method}");
    }
}

#[tokio::test]
async fn no_more_of_a_reply_is_taken_from_an_endpoint_than_its_client_takes() {
    let a = Endpoint::new(|_| {
        let mut raw = format!("HTTP/1.1 200 OK\r\ncontent-length: {MUCH}\r\n\r\n").into_bytes();
        raw.resize(raw.len() + MUCH, b'x');
        Act::Reply(raw)
    })
    .await;
    let rig = proxy().endpoint(&a).config(|config| config.write_timeout_ms = 200).start();
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = rig.client().await;
        client.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
        clients.push(client);
    }
    for record in rig.records(2).await {
        assert!(!record.whole && record.reply_bytes < UNDER_WAY_BYTES_MAX as u64, "{}", record.reply_bytes);
    }
    eventually(|| rig.handle.in_flight(a.addr) == 0 && rig.handle.counts().connections == 0).await;
}
