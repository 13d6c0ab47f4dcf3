//! Endpoints that are told by a PROXY protocol header who their client is.

use net::proxy_protocol::{Addresses, parse, write_v2};
use net::reach::{ProxyVersion, Reach};

use crate::endpoint::{Act, Endpoint, says};
use crate::rig::{Proxy, proxy};

const REQUEST: &str = "GET / HTTP/1.1\r\nhost: shop\r\n\r\n";

fn telling(endpoint: &Endpoint, version: ProxyVersion) -> Proxy {
    let reach = Reach { tls: None, proxy_protocol: Some(version) };
    proxy().endpoint(endpoint).reach(reach).config(|config| config.workers = 1)
}

/// The headers among the bytes that an endpoint has got, and how many requests came behind each.
fn told(endpoint: &Endpoint) -> Vec<(Option<Addresses>, usize)> {
    let raw = endpoint.raw_bytes();
    let mut all: Vec<(Option<Addresses>, usize)> = Vec::new();
    let mut rest = &raw[..];
    while !rest.is_empty() {
        if let Ok(Some((header, length))) = parse(rest) {
            all.push((header.addresses, 0));
            rest = &rest[length..];
        }
        let end = rest.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        assert!(rest.starts_with(b"GET / HTTP/1.1\r\n"), "{:?}", String::from_utf8_lossy(rest));
        rest = &rest[end..];
        all.last_mut().unwrap().1 += 1;
    }
    all
}

#[tokio::test]
async fn a_connection_is_one_client_s() {
    // The endpoint takes the header for the beginning of a head.
    let a = Endpoint::saying("ok").await;
    let rig = telling(&a, ProxyVersion::V1).start();
    let (mut first, mut second) = (rig.client().await, rig.client().await);
    for _ in 0..3 {
        first.send(REQUEST).await;
        assert_eq!(first.reply().await.status, 200);
        second.send(REQUEST).await;
        assert_eq!(second.reply().await.status, 200);
    }
    assert_eq!(a.connections(), 2);
    let mut sources: Vec<_> = [&first, &second].map(|client| client.stream.local_addr().unwrap()).into();
    sources.sort();
    let requests = a.requests();
    let mut lines: Vec<&str> = requests.iter().map(|one| one.line()).filter(|line| line.starts_with("PROXY")).collect();
    lines.sort_unstable();
    let port = rig.addr.port();
    let mut wanted: Vec<String> =
        sources.iter().map(|source| format!("PROXY TCP4 127.0.0.1 127.0.0.1 {} {port}", source.port())).collect();
    wanted.sort();
    assert_eq!(lines, wanted);
}

#[tokio::test]
async fn who_a_balancer_in_front_names_is_named_to_the_endpoint() {
    // The header begins with what ends a head.
    let a = Endpoint::new(|request| if request.head == "\r\n\r\n" { Act::Reply(Vec::new()) } else { says("ok") }).await;
    let rig = telling(&a, ProxyVersion::V2).config(|c| c.proxy_protocol_from = vec!["127.0.0.1".into()]).start();
    let addresses =
        Addresses { source: "203.0.113.7:40000".parse().unwrap(), destination: "192.0.2.1:80".parse().unwrap() };
    let mut client = rig.client().await;
    client.send([&write_v2(Some(addresses))[..], REQUEST.as_bytes(), REQUEST.as_bytes()].concat()).await;
    assert_eq!((client.reply().await.status, client.reply().await.status), (200, 200));
    assert_eq!(told(&a), [(Some(addresses), 2)]);
}
