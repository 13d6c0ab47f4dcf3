//! WebSocket: HTTP until the endpoint's 101, bytes to and fro from then on.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::endpoint::{Act, Endpoint};
use crate::rig::{Rig, eventually, proxy};

const ASKS: &str = "GET /chat HTTP/1.1\r\nhost: shop\r\nconnection: keep-alive, Upgrade\r\nupgrade: websocket\r\n\
                    sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n";
const SWITCHES: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                        sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// An endpoint for one connection: it takes a head, says this, and gives the connection to the test.
async fn switching(said: &'static str) -> (SocketAddr, JoinHandle<(String, TcpStream)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = head_of(&mut stream).await;
        stream.write_all(said.as_bytes()).await.unwrap();
        (head, stream)
    });
    (addr, task)
}

/// Reads up to the end of a head, and no further.
async fn head_of(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

async fn asking(rig: &Rig, with: &str) -> TcpStream {
    let mut client = TcpStream::connect(rig.addr).await.unwrap();
    client.write_all(format!("{ASKS}{with}").as_bytes()).await.unwrap();
    client
}

async fn heard(stream: &mut TcpStream, bytes: usize) -> String {
    let mut text = vec![0; bytes];
    stream.read_exact(&mut text).await.unwrap();
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn after_a_101_bytes_go_to_and_fro_and_each_side_ends_for_itself() {
    let said: &'static str = Box::leak(format!("{SWITCHES}hello").into_boxed_str());
    let (addr, endpoint) = switching(said).await;
    let rig = proxy().address(addr).start();
    let mut client = asking(&rig, "early").await;
    let head = head_of(&mut client).await.to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    for line in ["connection: upgrade", "upgrade: websocket", "sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="] {
        assert_eq!(head.matches(line).count(), 1, "{line} in {head}");
    }
    assert!(head.contains("forebay-trace: ") && !head.contains("transfer-encoding"), "{head}");
    let (asked, mut endpoint) = endpoint.await.unwrap();
    assert!(asked.contains("\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"), "{asked}");
    assert!(asked.contains("\r\nsec-websocket-version: 13\r\n") && !asked.contains("keep-alive"), "{asked}");
    assert_eq!((heard(&mut client, 5).await, heard(&mut endpoint, 5).await), ("hello".into(), "early".into()));
    client.write_all(b"ping").await.unwrap();
    assert_eq!(heard(&mut endpoint, 4).await, "ping");
    client.shutdown().await.unwrap();
    assert_eq!(endpoint.read(&mut [0]).await.unwrap(), 0);
    endpoint.write_all(b"last words").await.unwrap();
    drop(endpoint);
    let mut rest = String::new();
    client.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "last words");
    let record = rig.record().await;
    assert_eq!((record.status, record.request_bytes, record.reply_bytes, record.whole), (101, 9, 15 - 5 + 5, true));
}

#[tokio::test]
async fn before_a_101_nothing_leaves_but_the_request() {
    let a = Endpoint::new(|request| match request.line().contains("/chat") {
        true => Act::Reply(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno".to_vec()),
        false => crate::endpoint::says("ok"),
    })
    .await;
    let rig = proxy().endpoint(&a).start();
    let mut client = rig.client().await;
    client.send(format!("{ASKS}GET /next HTTP/1.1\r\nhost: shop\r\n\r\n")).await;
    let refused = client.reply().await;
    assert_eq!((refused.status, refused.content.as_str()), (403, "no"));
    assert_eq!(client.reply().await.content, "ok", "what came behind is a request of its own");
    assert_eq!(a.requests().len(), 2);
    assert!(a.requests()[1].all("upgrade").is_empty());
}

#[tokio::test]
async fn a_switch_that_nobody_asked_for_is_no_reply() {
    for (request, said) in [
        ("GET / HTTP/1.1\r\nhost: shop\r\n\r\n", SWITCHES),
        ("GET / HTTP/1.1\r\nhost: shop\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n", SWITCHES),
        ("GET / HTTP/1.1\r\nhost: shop\r\nupgrade: websocket\r\n\r\n", SWITCHES),
        (ASKS, "HTTP/1.1 101 Switching Protocols\r\nupgrade: other\r\nconnection: upgrade\r\n\r\n"),
    ] {
        let a = Endpoint::new(move |_| Act::Reply(said.into())).await;
        let rig = proxy().endpoint(&a).policy(|policy| policy.retries_max = 0).start();
        assert_eq!(rig.send(request).await.status, 502, "{request}");
        let asked = a.request();
        assert_eq!(asked.all("upgrade").len(), usize::from(request == ASKS), "{}", asked.head);
    }
}

#[tokio::test]
async fn silence_ends_it_and_so_does_a_router_that_leaves() {
    let (addr, endpoint) = switching(SWITCHES).await;
    let rig = proxy().address(addr).config(|config| config.tunnel_idle_timeout_ms = 50).start();
    let mut client = asking(&rig, "").await;
    head_of(&mut client).await;
    let (_, mut endpoint) = endpoint.await.unwrap();
    assert_eq!((client.read(&mut [0]).await.unwrap(), endpoint.read(&mut [0]).await.unwrap()), (0, 0));

    let (addr, endpoint) = switching(SWITCHES).await;
    let rig = proxy().address(addr).config(|config| config.drain_idle_ms = 10).start();
    let mut client = asking(&rig, "").await;
    head_of(&mut client).await;
    let (_, mut endpoint) = endpoint.await.unwrap();
    eventually(|| rig.handle.in_flight(addr) == 1).await;
    let leaves =
        |rig: Rig| async move { assert!(rig.handle.drain(Duration::from_secs(20)).await, "nothing had to be cut") };
    let leaving = tokio::spawn(leaves(rig));
    let (mut to_client, mut to_endpoint) = (Vec::new(), Vec::new());
    client.read_to_end(&mut to_client).await.unwrap();
    endpoint.read_to_end(&mut to_endpoint).await.unwrap();
    drop((client, endpoint));
    leaving.await.unwrap();
    assert_eq!(to_client, [0x88, 2, 0x03, 0xe9], "1001: the server goes away");
    assert_eq!((to_endpoint.len(), &to_endpoint[..2]), (8, &[0x88, 0x82][..]));
    assert_eq!([to_endpoint[6] ^ to_endpoint[2], to_endpoint[7] ^ to_endpoint[3]], [0x03, 0xe9]);
}

#[tokio::test]
async fn a_router_that_leaves_says_nothing_in_the_middle_of_a_frame() {
    let (addr, endpoint) = switching(SWITCHES).await;
    let rig = proxy().address(addr).config(|config| config.drain_idle_ms = 10).start();
    let mut client = asking(&rig, "").await;
    head_of(&mut client).await;
    let (_, mut endpoint) = endpoint.await.unwrap();
    endpoint.write_all(&[0x82, 100, 1, 2, 3]).await.unwrap();
    client.read_exact(&mut [0; 5]).await.unwrap();
    let leaving = tokio::spawn(async move { rig.handle.drain(Duration::from_secs(20)).await });
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    assert!(leaving.await.unwrap());
    let mut farewell = [0; 2];
    endpoint.read_exact(&mut farewell).await.unwrap();
    assert_eq!(farewell, [0x88, 0x82], "the endpoint is told");
}
