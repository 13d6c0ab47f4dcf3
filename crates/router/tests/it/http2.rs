//! HTTP/2 from clients that keep its rules, by the `h2` crate; those that do not are in `http2_frames` and `http2_floods`.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use h2::client::SendRequest;
use http::{HeaderMap, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::endpoint::{Act, Endpoint, says};
use crate::rig::{Rig, eventually, proxy};
use crate::tls::{Authority, connect};

/// A client with TLS; its connection runs beside it.
async fn client(rig: &Rig, authority: &Authority) -> SendRequest<Bytes> {
    over(connect(rig, &authority.http2(), "a.example").await.unwrap()).await
}

/// A client without TLS, which begins with HTTP/2.
pub(crate) async fn plain_client(addr: SocketAddr) -> SendRequest<Bytes> {
    over(TcpStream::connect(addr).await.unwrap()).await
}

async fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> SendRequest<Bytes> {
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            eprintln!("connection: {error}");
        }
    });
    client
}

fn get(path: &str) -> Request<()> {
    Request::get(format!("https://a.example{path}")).body(()).unwrap()
}

pub(crate) async fn read(response: Response<h2::RecvStream>) -> Result<(String, Option<HeaderMap>), h2::Error> {
    let mut stream = response.into_body();
    let mut all = Vec::new();
    while let Some(data) = stream.data().await {
        let data = data?;
        stream.flow_control().release_capacity(data.len())?;
        all.extend_from_slice(&data);
    }
    Ok((String::from_utf8(all).unwrap(), stream.trailers().await?))
}

#[tokio::test]
async fn many_requests_on_one_connection() {
    let (authority, a) = (Authority::new(), Endpoint::saying("ok").await);
    let rig = authority.proxy().endpoint(&a).start();
    let mut client = client(&rig, &authority).await;
    let mut replies = Vec::new();
    for n in 0..50 {
        client = client.ready().await.unwrap();
        replies.push(client.send_request(get(&format!("/{n}")), true).unwrap().0);
    }
    for reply in replies {
        let reply = reply.await.unwrap();
        assert_eq!(reply.status(), 200);
        assert!(reply.headers().contains_key("date") && reply.headers().contains_key("forebay-trace"));
        assert!(!reply.headers().contains_key("connection"));
        assert_eq!(read(reply).await.unwrap().0, "ok");
    }
    let requests = a.requests();
    assert_eq!(requests.len(), 50);
    assert!(requests.iter().all(|one| one.one("host") == "a.example" && one.one("x-forwarded-proto") == "https"));
    assert_eq!(rig.records(50).await[0].status, 200);
}

#[tokio::test]
async fn a_long_reply_leaves_its_connection_for_the_next() {
    let a = Endpoint::new(|_| says(&"x".repeat(100_000))).await;
    let rig = proxy().endpoint(&a).start();
    let mut client = plain_client(rig.addr).await;
    for _ in 0..10 {
        client = client.ready().await.unwrap();
        let request = Request::get("http://shop/").body(()).unwrap();
        let reply = client.send_request(request, true).unwrap().0.await.unwrap();
        assert_eq!(read(reply).await.unwrap().0.len(), 100_000);
    }
    assert_eq!(a.connections(), 1);
}

#[tokio::test]
async fn without_tls_it_is_spoken_to_those_who_begin_with_it() {
    let a = Endpoint::saying("ok").await;
    let rig = proxy().endpoint(&a).start();
    let mut client = plain_client(rig.addr).await;
    let request = Request::get("http://shop/x").body(()).unwrap();
    let reply = client.send_request(request, true).unwrap().0.await.unwrap();
    assert_eq!((reply.status().as_u16(), &reply.headers()["content-length"]), (200, &"2".parse().unwrap()));
    assert_eq!(read(reply).await.unwrap().0, "ok");
    assert_eq!((a.request().line(), a.request().one("x-forwarded-proto")), ("GET /x HTTP/1.1", "http"));
    let rig = proxy().config(|config| config.http2.enabled = false).endpoint(&a).start();
    assert_eq!(rig.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.status, 505);
}

#[tokio::test]
async fn a_reply_to_head_has_a_length_and_no_content() {
    let a = Endpoint::new(|_| Act::Reply(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n".to_vec())).await;
    let rig = proxy().endpoint(&a).start();
    let mut client = plain_client(rig.addr).await;
    let request = Request::head("http://shop/").body(()).unwrap();
    let reply = client.send_request(request, true).unwrap().0.await.unwrap();
    assert_eq!(reply.headers()["content-length"], "5");
    assert_eq!(read(reply).await.unwrap().0, "");
}

#[tokio::test]
async fn one_more_than_may_be_under_way_is_refused_to_be_sent_again() {
    let (open, gate) = tokio::sync::watch::channel(false);
    let a = Endpoint::new(move |_| Act::WhenOpen(gate.clone())).await;
    let rig = proxy().config(|config| config.http2.requests_max = 1).endpoint(&a).start();
    let mut client = plain_client(rig.addr).await;
    let get = || Request::get("http://shop/").body(()).unwrap();
    let first = client.send_request(get(), true).unwrap().0;
    eventually(|| a.requests().len() == 1).await;
    client = client.ready().await.unwrap();
    let refused = client.send_request(get(), true).unwrap().0.await.unwrap_err();
    assert_eq!(refused.reason(), Some(Reason::REFUSED_STREAM));
    open.send(true).unwrap();
    assert_eq!(first.await.unwrap().status(), 200);
}

#[tokio::test]
async fn content_goes_both_ways_and_trailers_come_back() {
    let authority = Authority::new();
    let a = Endpoint::new(|request| {
        let length = request.content.len();
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: grpc-status\r\n\r\n";
        Act::Reply(format!("{head}{:x}\r\n{length}\r\n0\r\ngrpc-status: 0\r\n\r\n", length.to_string().len()).into())
    })
    .await;
    let rig = authority.proxy().endpoint(&a).start();
    let mut client = client(&rig, &authority).await;
    for length in [None, Some(300_000)] {
        let mut request = Request::post("https://a.example/").header("cookie", "a=1").header("cookie", "b=2");
        if let Some(length) = length {
            request = request.header("content-length", length);
        }
        client = client.ready().await.unwrap();
        let (reply, mut sending) = client.send_request(request.body(()).unwrap(), false).unwrap();
        let mut left = Bytes::from(vec![b'x'; 300_000]);
        while !left.is_empty() {
            sending.reserve_capacity(left.len());
            let room = std::future::poll_fn(|cx| sending.poll_capacity(cx)).await.unwrap().unwrap();
            sending.send_data(left.split_to(room.min(left.len())), false).unwrap();
        }
        sending.send_data(Bytes::new(), true).unwrap();
        let (text, trailers) = read(reply.await.unwrap()).await.unwrap();
        assert_eq!(
            (text.as_str(), &trailers.unwrap()["grpc-status"]),
            ("300000", &http::HeaderValue::from_static("0"))
        );
    }
    assert_eq!(a.requests()[0].one("cookie"), "a=1; b=2");
    assert_eq!(a.requests()[0].one("transfer-encoding"), "chunked");
    assert_eq!(a.requests()[1].one("content-length"), "300000");
}

#[tokio::test]
async fn a_host_that_is_not_the_authority_is_refused() {
    let (authority, a) = (Authority::new(), Endpoint::saying("ok").await);
    let rig = authority.proxy().endpoint(&a).start();
    let mut client = client(&rig, &authority).await;
    for (host, status) in [("a.example", 200), ("A.EXAMPLE:443", 200), ("b.example", 400), ("a.example, b", 400)] {
        client = client.ready().await.unwrap();
        let mut request = get("/");
        request.headers_mut().insert("host", host.parse().unwrap());
        let reply = client.send_request(request, true).unwrap().0.await.unwrap();
        assert_eq!(reply.status(), status, "{host}");
    }
}

#[tokio::test]
async fn a_reply_that_breaks_off_is_reset_and_the_others_go_on() {
    let authority = Authority::new();
    let a = Endpoint::new(|request| match request.line().contains("/half") {
        true => Act::ReplyAndClose(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf".to_vec()),
        false => crate::endpoint::says("ok"),
    })
    .await;
    let rig = authority.proxy().endpoint(&a).start();
    let mut client = client(&rig, &authority).await;
    let reply = client.send_request(get("/half"), true).unwrap().0;
    let broken = async { read(reply.await?).await };
    assert_eq!(broken.await.unwrap_err().reason(), Some(Reason::INTERNAL_ERROR));
    client = client.ready().await.unwrap();
    let reply = client.send_request(get("/"), true).unwrap().0.await.unwrap();
    assert_eq!(read(reply).await.unwrap().0, "ok");
}

#[tokio::test]
async fn a_request_that_is_taken_back_is_let_go() {
    let authority = Authority::new();
    let (open, gate) = tokio::sync::watch::channel(false);
    let a = Endpoint::new(move |_| Act::WhenOpen(gate.clone())).await;
    let rig = authority.proxy().endpoint(&a).start();
    let mut client = client(&rig, &authority).await;
    let (reply, mut sending) = client.send_request(get("/"), false).unwrap();
    eventually(|| rig.handle.in_flight(a.addr) == 1 || !a.requests().is_empty()).await;
    sending.send_reset(Reason::CANCEL);
    drop(reply);
    eventually(|| rig.handle.in_flight(a.addr) == 0).await;
    assert_eq!(rig.record().await.status, 499);
    drop(open);
}

#[tokio::test]
async fn a_router_that_leaves_says_so_and_finishes() {
    let authority = Authority::new();
    let (open, gate) = tokio::sync::watch::channel(false);
    let a = Endpoint::new(move |_| Act::WhenOpen(gate.clone())).await;
    let rig = authority.proxy().endpoint(&a).config(|config| config.drain_idle_ms = 50).start();
    let _idle = client(&rig, &authority).await;
    let mut busy = client(&rig, &authority).await;
    let reply = busy.send_request(get("/"), true).unwrap().0;
    eventually(|| a.requests().len() == 1).await;
    let handle = rig.handle.clone();
    let draining = tokio::spawn(async move { handle.drain(Duration::from_secs(20)).await });
    let refused = async {
        loop {
            match busy.clone().ready().await {
                Ok(mut ready) => match ready.send_request(get("/"), true) {
                    Ok((reply, _)) => drop(reply),
                    Err(_) => return,
                },
                Err(_) => return,
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), refused).await.expect("nothing was said");
    open.send(true).unwrap();
    assert_eq!(reply.await.unwrap().status(), 200);
    assert!(draining.await.unwrap(), "nothing had to be cut");
}
