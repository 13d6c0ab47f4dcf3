//! What is believed of whom: the client's address, its trace, its deadline.

use crate::endpoint::Endpoint;
use crate::rig::proxy;

const CLAIMS: &str = "GET / HTTP/1.1\r\nhost: shop\r\n\
    x-forwarded-for: 9.9.9.9\r\nx-forwarded-for: 8.8.8.8\r\nx-forwarded-proto: https\r\nx-forwarded-host: front\r\n\
    x-forwarded-user: admin\r\nforwarded: for=9.9.9.9\r\nforebay-deadline: 1234\r\nforebay-role: admin\r\n\
    traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\ntracestate: a=1\r\n\r\n";

#[tokio::test]
async fn a_trusted_peers_claims_are_kept_and_added_to() {
    let a = Endpoint::saying("ok").await;
    let rig = proxy().endpoint(&a).start();
    let reply = rig.send(CLAIMS).await;
    let request = a.request();
    assert_eq!(request.one("x-forwarded-for"), "9.9.9.9, 8.8.8.8, 127.0.0.1");
    assert_eq!(request.one("x-forwarded-proto"), "https");
    assert_eq!(request.one("x-forwarded-host"), "front");
    assert_eq!(request.one("forwarded"), "for=9.9.9.9, for=127.0.0.1");
    assert!(request.one("forebay-deadline").parse::<u64>().unwrap() <= 1234);
    assert!(request.one("traceparent").starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
    assert!(!request.one("traceparent").contains("b7ad6b7169203331"));
    assert_eq!(request.one("tracestate"), "a=1");
    assert_eq!(reply.one("forebay-trace"), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(rig.record().await.parent.unwrap().span.to_string(), "b7ad6b7169203331");
}

#[tokio::test]
async fn anybody_elses_claims_are_dropped() {
    let a = Endpoint::saying("ok").await;
    let rig = proxy().endpoint(&a).untrusting().start();
    let reply = rig.send(CLAIMS).await;
    let request = a.request();
    assert_eq!(request.one("x-forwarded-for"), "127.0.0.1");
    assert_eq!(request.one("x-forwarded-proto"), "http");
    assert_eq!(request.one("x-forwarded-host"), "shop");
    for gone in ["forwarded", "x-forwarded-user", "forebay-role", "tracestate"] {
        assert_eq!(request.all(gone), [""; 0], "{gone}");
    }
    assert!(request.one("forebay-deadline").parse::<u64>().unwrap() > 1234);
    assert_ne!(reply.one("forebay-trace"), "0af7651916cd43dd8448eb211c80319c");
    let record = rig.record().await;
    assert_eq!(record.parent, None);
    assert_eq!(record.link.unwrap().trace.to_string(), "0af7651916cd43dd8448eb211c80319c");
}

#[tokio::test]
async fn an_endpoint_cannot_claim_another_trace() {
    let a = Endpoint::new(|_| {
        crate::endpoint::Act::Reply(b"HTTP/1.1 200 OK\r\nforebay-trace: mine\r\ncontent-length: 0\r\n\r\n".to_vec())
    })
    .await;
    let rig = proxy().endpoint(&a).start();
    let reply = rig.get("/").await;
    assert_eq!(reply.one("forebay-trace"), rig.record().await.trace.trace.to_string());
}
