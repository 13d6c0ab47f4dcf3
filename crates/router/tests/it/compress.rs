//! Replies that are compressed on their way.

use std::io::Read;

use router::config::{CompressConfig, ContentCoding};
use tokio::io::AsyncReadExt;

use crate::endpoint::{Act, Endpoint};
use crate::rig::{Proxy, Rig, proxy};

/// A text that compresses well, in pieces.
fn page() -> String {
    (0..3_000).map(|n| format!("line {n} of a page that says much the same again and again\n")).collect()
}

fn reply(fields: &str) -> Act {
    let page = page();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\netag: \"v1\"\r\n{fields}\r\n", page.len());
    Act::Reply([head.into_bytes(), page.into_bytes()].concat())
}

fn compressing(endpoint: &Endpoint) -> Proxy {
    proxy().endpoint(endpoint).policy(|policy| policy.compress = Some(CompressConfig::default()))
}

/// Head and content as they came.
async fn get(rig: &Rig, accepts: &str) -> (String, Vec<u8>) {
    let mut client = rig.client().await;
    client.send(format!("GET / HTTP/1.0\r\nhost: shop\r\naccept-encoding: {accepts}\r\n\r\n")).await;
    let mut raw = Vec::new();
    client.stream.read_to_end(&mut raw).await.unwrap();
    let at = raw.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    (String::from_utf8(raw[..at].to_vec()).unwrap().to_ascii_lowercase(), raw[at..].to_vec())
}

fn decoded(coding: &str, content: &[u8]) -> String {
    let mut text = String::new();
    match coding {
        "gzip" => flate2::read::GzDecoder::new(content).read_to_string(&mut text).map(drop).unwrap(),
        "zstd" => text = String::from_utf8(zstd::decode_all(content).unwrap()).unwrap(),
        _ => brotli::Decompressor::new(content, 4096).read_to_string(&mut text).map(drop).unwrap(),
    }
    text
}

#[tokio::test]
async fn a_page_is_compressed_as_the_client_likes_it() {
    let a = Endpoint::new(|_| reply("content-type: text/html\r\naccept-ranges: bytes\r\n")).await;
    let rig = compressing(&a).config(|config| config.workers = 1).start();
    for (accepts, coding) in [("gzip", "gzip"), ("br", "br"), ("gzip, deflate, br, zstd", "zstd")] {
        let (head, content) = get(&rig, accepts).await;
        assert!(head.contains(&format!("\r\ncontent-encoding: {coding}\r\n")), "{head}");
        assert!(head.contains("\r\nvary: accept-encoding\r\n") && head.contains("\r\netag: w/\"v1\"\r\n"), "{head}");
        assert!(!head.contains("content-length") && !head.contains("accept-ranges"), "{head}");
        assert!(content.len() < page().len() / 4, "{coding}: {}", content.len());
        assert_eq!(decoded(coding, &content), page());
    }
    assert_eq!(a.connections(), 1, "each reply was read to its end");
}

#[tokio::test]
async fn what_is_not_to_be_compressed_goes_out_as_it_is() {
    for (fields, varies) in [
        ("content-type: text/html\r\n", true),
        ("content-type: image/png\r\n", false),
        ("content-type: text/html\r\ncontent-encoding: br\r\n", false),
        ("content-type: text/html\r\ncache-control: no-transform\r\n", false),
        ("content-type: text/event-stream\r\n", false),
    ] {
        let a = Endpoint::new(move |_| reply(fields)).await;
        let rig = compressing(&a).start();
        let (head, content) = get(&rig, if varies { "identity" } else { "gzip" }).await;
        assert_eq!(content, page().into_bytes(), "{fields}");
        assert_eq!((head.contains("vary:"), head.contains("etag: \"v1\"")), (varies, true), "{head}");
    }
}

#[tokio::test]
async fn without_room_it_goes_out_as_it_is() {
    let a = Endpoint::new(|_| reply("content-type: text/html\r\n")).await;
    let rig = compressing(&a).config(|config| config.compressions_max = 0).start();
    let (head, content) = get(&rig, "gzip").await;
    assert!(head.contains("vary: accept-encoding") && !head.contains("content-encoding"), "{head}");
    assert_eq!(content, page().into_bytes());
}

#[tokio::test]
async fn what_has_come_goes_out_before_the_rest_is_there() {
    let a = Endpoint::new(|_| {
        Act::Reply(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n".to_vec(),
        )
    })
    .await;
    let one = CompressConfig { codings: vec![ContentCoding::Gzip], ..CompressConfig::default() };
    let rig = proxy().endpoint(&a).policy(|policy| policy.compress = Some(one)).start();
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nhost: shop\r\naccept-encoding: gzip\r\n\r\n").await;
    let mut raw = Vec::new();
    let text = loop {
        assert!(client.stream.read_buf(&mut raw).await.unwrap() > 0);
        let Some(at) = raw.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let Some(line) = raw[at + 4..].windows(2).position(|two| two == b"\r\n") else { continue };
        let mut text = vec![0; 5];
        let mut decoder = flate2::read::GzDecoder::new(&raw[at + 4 + line + 2..]);
        if decoder.read_exact(&mut text).is_ok() {
            break text;
        }
    };
    assert_eq!(text, b"first");
}

#[tokio::test]
async fn what_is_kept_is_kept_as_it_came_and_compressed_for_those_who_like_it() {
    let a = Endpoint::new(|_| reply("content-type: text/html\r\ncache-control: max-age=60\r\n")).await;
    let rig = compressing(&a).policy(|policy| policy.cache = Some(router::config::CacheConfig::default())).start();
    for (accepts, status) in [("gzip", "fwd=uri-miss; stored"), ("gzip", "hit"), ("zstd", "hit"), ("identity", "hit")] {
        let (head, content) = get(&rig, accepts).await;
        assert!(
            head.contains("\r\nvary: accept-encoding\r\n") && head.contains(&format!("forebay; {status}")),
            "{head}"
        );
        match accepts {
            "identity" => assert_eq!(content, page().into_bytes()),
            coding => assert_eq!(decoded(coding, &content), page()),
        }
    }
    assert_eq!(a.requests().len(), 1);
}
