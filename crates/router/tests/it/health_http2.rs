//! Checks of endpoints that speak HTTP/2, and the health protocol of gRPC.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use health::{Answer, Approach, Failure, Question, probe};
use http::{HeaderMap, Response};
use tokio::net::TcpListener;

const LONG: Duration = Duration::from_secs(20);

/// A server of gRPC whose services say what their names say.
async fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((request, respond))) = connection.accept().await {
                    tokio::spawn(answer(request, respond));
                }
            });
        }
    });
    addr
}

async fn answer(request: http::Request<h2::RecvStream>, mut respond: SendResponse<Bytes>) {
    let (head, mut content) = request.into_parts();
    if head.uri.path() != "/grpc.health.v1.Health/Check" {
        let status = if head.uri.path() == "/up" { 204 } else { 404 };
        respond.send_response(Response::builder().status(status).body(()).unwrap(), true).unwrap();
        return;
    }
    let mut asked = Vec::new();
    while let Some(data) = content.data().await {
        asked.extend_from_slice(&data.unwrap());
    }
    assert_eq!(
        (head.headers["te"].as_bytes(), head.headers["content-type"].as_bytes()),
        (&b"trailers"[..], &b"application/grpc"[..])
    );
    let said: (&[u8], &str) = match asked.get(7..).unwrap_or_default() {
        b"" => (b"\0\0\0\0\x02\x08\x01", "0"),
        b"down" => (b"\0\0\0\0\x02\x08\x02", "0"),
        b"chatty" => (&[0; 5_000], "0"),
        _ => (b"", "5"),
    };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", said.1.parse().unwrap());
    let mut sending = respond.send_response(Response::new(()), false).unwrap();
    sending.send_data(Bytes::copy_from_slice(said.0), false).unwrap();
    sending.send_trailers(trailers).unwrap();
}

#[tokio::test]
async fn a_path_is_asked_for_in_http2_where_that_is_spoken() {
    let (addr, http2) = (server().await, Approach { http2: true, ..Approach::default() });
    let path = |path: &str| Question::Http { host: "shop".into(), path: path.into() };
    assert_eq!(probe(addr, &path("/up"), &http2, LONG).await, Ok(Answer::default()));
    assert_eq!(probe(addr, &path("/other"), &http2, LONG).await, Err(Failure::Status(404)));
    assert!(probe(addr, &path("/up"), &Approach::default(), LONG).await.is_err());
}

#[tokio::test]
async fn a_service_says_whether_it_serves() {
    let addr = server().await;
    let ask = async |service: &str| {
        let question = Question::Grpc { host: "shop".into(), service: service.into() };
        probe(addr, &question, &Approach { http2: true, ..Approach::default() }, LONG).await.map_err(|e| e.to_string())
    };
    assert_eq!(ask("").await, Ok(Answer::default()));
    assert_eq!(ask("down").await.unwrap_err(), "the gRPC health service says NOT_SERVING");
    assert_eq!(ask("unknown").await.unwrap_err(), "the gRPC health service answered status 5 ");
    assert_eq!(ask("chatty").await.unwrap_err(), "connection closed before the answer");
}

#[tokio::test]
async fn a_server_that_does_not_speak_it_is_not_healthy() {
    let plain = crate::endpoint::Endpoint::saying("ok").await;
    let question = Question::Grpc { host: "shop".into(), service: String::new() };
    let failure = probe(plain.addr, &question, &Approach { http2: true, ..Approach::default() }, LONG).await;
    assert!(matches!(failure, Err(Failure::NotHttp(_) | Failure::Closed | Failure::Io(_))), "{failure:?}");
}
