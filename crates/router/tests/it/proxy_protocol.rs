//! Balancers that say who the client is, in front of the first byte.

use std::net::SocketAddr;

use crate::endpoint::Endpoint;
use crate::rig::{Client, proxy};

const REQUEST: &str = "GET / HTTP/1.1\r\nhost: shop\r\n\r\n";

fn from(networks: &[&str]) -> Vec<String> {
    networks.iter().map(|network| (*network).into()).collect()
}

fn addresses() -> Option<net::proxy_protocol::Addresses> {
    Some(net::proxy_protocol::Addresses {
        source: "203.0.113.7:40000".parse().unwrap(),
        destination: "192.0.2.1:80".parse().unwrap(),
    })
}

#[tokio::test]
async fn the_client_is_whom_the_header_names() {
    for header in [net::proxy_protocol::write_v1(addresses()), net::proxy_protocol::write_v2(addresses())] {
        let a = Endpoint::saying("ok").await;
        let rig = proxy().endpoint(&a).config(|c| c.proxy_protocol_from = from(&["127.0.0.0/8"])).start();
        let mut client = rig.client().await;
        client.send([&header[..], REQUEST.as_bytes()].concat()).await;
        assert_eq!(client.reply().await.status, 200);
        client.send(REQUEST).await;
        assert_eq!(client.reply().await.status, 200, "the header stands before the first request only");
        assert_eq!(a.requests()[1].one("x-forwarded-for"), "203.0.113.7");
        let client: SocketAddr = "203.0.113.7:40000".parse().unwrap();
        assert_eq!(rig.records(2).await[1].client, client);
    }
}

#[tokio::test]
async fn a_header_may_come_in_pieces_and_may_name_nobody() {
    let a = Endpoint::saying("ok").await;
    let rig = proxy().endpoint(&a).config(|c| c.proxy_protocol_from = from(&["127.0.0.1"])).start();
    let mut client = rig.client().await;
    for byte in net::proxy_protocol::write_v1(None) {
        client.send([byte]).await;
        tokio::task::yield_now().await;
    }
    client.send(REQUEST).await;
    assert_eq!(client.reply().await.status, 200);
    assert_eq!(a.request().one("x-forwarded-for"), "127.0.0.1", "the balancer speaks for itself");
}

#[tokio::test]
async fn what_the_balancer_is_believed_the_client_is_not() {
    let a = Endpoint::saying("ok").await;
    let rig = proxy().endpoint(&a).config(|c| c.proxy_protocol_from = from(&["127.0.0.1"])).start();
    let header = net::proxy_protocol::write_v2(addresses());
    let claims = "GET / HTTP/1.1\r\nhost: shop\r\nx-forwarded-for: 9.9.9.9\r\nforebay-role: admin\r\n\r\n";
    rig.send([&header[..], claims.as_bytes()].concat()).await;
    assert_eq!(a.request().one("x-forwarded-for"), "203.0.113.7");
    assert_eq!(a.request().all("forebay-role"), [""; 0]);
}

#[tokio::test]
async fn a_balancer_that_says_nothing_is_turned_away() {
    let a = Endpoint::saying("ok").await;
    let rig = proxy().endpoint(&a).config(|c| c.proxy_protocol_from = from(&["127.0.0.1"])).start();
    let mut client = rig.client().await;
    client.send(REQUEST).await;
    assert!(client.reply().await.cut);
    assert_eq!(a.requests().len(), 0);
}

#[tokio::test]
async fn a_stranger_s_header_is_no_request() {
    let a = Endpoint::saying("ok").await;
    let rig = proxy().endpoint(&a).config(|c| c.proxy_protocol_from = from(&["192.0.2.0/24"])).start();
    for header in [net::proxy_protocol::write_v1(addresses()), net::proxy_protocol::write_v2(addresses())] {
        assert_eq!(rig.send([&header[..], REQUEST.as_bytes()].concat()).await.status, 400);
    }
    assert_eq!(a.requests().len(), 0);
}

#[tokio::test]
async fn silence_in_place_of_a_header_ends() {
    let rig = proxy()
        .config(|config| {
            config.proxy_protocol_from = from(&["127.0.0.1"]);
            config.header_timeout_ms = 50;
        })
        .start();
    let mut client = Client::to(rig.addr).await;
    client.send("PRO").await;
    assert!(client.is_closed().await);
}
