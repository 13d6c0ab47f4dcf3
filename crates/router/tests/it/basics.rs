//! A request goes through and comes back as HTTP says.

use crate::endpoint::{Act, Endpoint, says};
use crate::rig::proxy;

#[tokio::test]
async fn a_request_reaches_the_endpoint_and_its_reply_the_client() {
    let a = Endpoint::saying("hello").await;
    let rig = proxy().endpoint(&a).start();
    let reply = rig.get("/cart?item=tea").await;
    assert_eq!((reply.status, reply.content.as_str()), (200, "hello"));
    assert_eq!(reply.one("content-length"), "5");
    let request = a.request();
    assert_eq!(request.line(), "GET /cart?item=tea HTTP/1.1");
    assert_eq!(request.one("host"), "shop");
    assert_eq!(request.one("x-forwarded-for"), "127.0.0.1");
    assert_eq!(request.one("x-forwarded-proto"), "http");
    assert_eq!(request.one("x-forwarded-host"), "shop");
    let record = rig.record().await;
    assert_eq!((record.status, record.whole, record.reply_bytes), (200, true, 5));
    assert_eq!(&*record.target, "/cart?item=tea");
    assert_eq!(record.endpoint().unwrap().addr, a.addr);
    assert_eq!(reply.one("forebay-trace"), record.trace.trace.to_string());
    assert_eq!(request.one("traceparent"), record.trace.to_string());
}

#[tokio::test]
async fn connections_are_kept_on_both_sides() {
    let a = Endpoint::saying("hello").await;
    let rig = proxy().endpoint(&a).start();
    let mut client = rig.client().await;
    for _ in 0..50 {
        client.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
        assert_eq!(client.reply().await.content, "hello");
    }
    assert_eq!(a.requests().len(), 50);
    assert_eq!(a.connections(), 1);
}

#[tokio::test]
async fn content_is_passed_on_with_its_length_or_in_chunks() {
    let a = Endpoint::new(|request| says(&String::from_utf8_lossy(&request.content))).await;
    let rig = proxy().endpoint(&a).start();
    let with_length = rig.send("POST / HTTP/1.1\r\nhost: shop\r\ncontent-length: 3\r\n\r\ntea").await;
    assert_eq!(with_length.content, "tea");
    let head = "POST / HTTP/1.1\r\nhost: shop\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunked = rig.send(format!("{head}3\r\ntea\r\n4\r\n pot\r\n0\r\n\r\n")).await;
    assert_eq!(chunked.content, "tea pot");
    let requests = a.requests();
    assert_eq!(requests[0].one("content-length"), "3");
    assert_eq!(requests[1].one("transfer-encoding"), "chunked");
}

#[tokio::test]
async fn replies_without_content_stay_without() {
    let cases = [
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, &[][..]),
        ("GET", "HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\n\r\n", 304, &[]),
        ("HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 1234\r\n\r\n", 200, &["1234"]),
        ("GET", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 200, &["0"]),
    ];
    for (method, raw, status, lengths) in cases {
        let a = Endpoint::new(move |_| Act::Reply(raw.into())).await;
        let rig = proxy().endpoint(&a).start();
        let mut client = rig.client().await;
        // Twice: content that is wrongly there would be read as the second reply's head.
        for _ in 0..2 {
            client.send(format!("{method} / HTTP/1.1\r\nhost: shop\r\n\r\n")).await;
            let reply = client.reply_to(method).await;
            assert_eq!(reply.status, status, "{raw}");
            assert_eq!(reply.all("content-length"), lengths, "{raw}");
            assert_eq!(reply.content, "", "{raw}");
        }
        assert_eq!(a.connections(), 1, "{raw}");
    }
}

#[tokio::test]
async fn an_informational_reply_is_not_the_reply() {
    let a = Endpoint::new(|_| {
        Act::Reply(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec())
    })
    .await;
    let reply = proxy().endpoint(&a).start().get("/").await;
    assert_eq!((reply.status, reply.content.as_str()), (200, "ok"));
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_to_go_on() {
    let a = Endpoint::new(|request| says(&String::from_utf8_lossy(&request.content))).await;
    let rig = proxy().endpoint(&a).start();
    let mut client = rig.client().await;
    client.send("POST / HTTP/1.1\r\nhost: shop\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n").await;
    assert_eq!(client.reply().await.status, 100);
    client.send("tea").await;
    assert_eq!(client.reply().await.content, "tea");
    assert_eq!(a.request().all("expect"), [""; 0]);
}

#[tokio::test]
async fn hop_by_hop_fields_end_here_in_both_directions() {
    let a = Endpoint::new(|_| {
        Act::Reply(
            b"HTTP/1.1 200 OK\r\nconnection: x-own\r\nx-own: 1\r\nkeep-alive: timeout=5\r\nx-kept: 2\r\n\
              content-length: 2\r\n\r\nok"
                .to_vec(),
        )
    })
    .await;
    let rig = proxy().endpoint(&a).start();
    let reply = rig
        .send(
            "GET / HTTP/1.1\r\nhost: shop\r\nconnection: keep-alive, x-secret\r\nx-secret: 1\r\nx-kept: 2\r\n\
             keep-alive: 5\r\nte: trailers\r\nproxy-connection: keep-alive\r\nupgrade: h2c\r\n\r\n",
        )
        .await;
    let request = a.request();
    for gone in ["connection", "x-secret", "keep-alive", "te", "proxy-connection", "upgrade"] {
        assert_eq!(request.all(gone), [""; 0], "{gone}");
    }
    assert_eq!(request.one("x-kept"), "2");
    for gone in ["connection", "x-own", "keep-alive"] {
        assert_eq!(reply.all(gone), [""; 0], "{gone}");
    }
    assert_eq!(reply.one("x-kept"), "2");
}

#[tokio::test]
async fn an_unknown_host_or_path_is_404_with_a_trace() {
    let rig = proxy().start();
    rig.source.replace(router::Routing::default());
    rig.handle.applied().await;
    let reply = rig.get("/").await;
    assert_eq!(reply.status, 404);
    let trace = reply.one("forebay-trace");
    assert_eq!(reply.content, format!("404 Not Found\nnothing is served here\ntrace {trace}\n"));
}
