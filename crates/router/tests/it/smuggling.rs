//! The matrix: what proxies and endpoints read differently. Every payload goes raw to the router with an endpoint behind
//! it that records all bytes. It is refused before the endpoint, or the endpoint gets it in one unmistakable form.

use crate::endpoint::{Act, Endpoint, says};
use crate::rig::proxy;

/// What must become of a payload.
enum Fate {
    /// This status, the connection closed, and not a byte at the endpoint.
    Refused(u16),
    /// Passed on: the endpoint's record holds all of the first and none of the second.
    Normalised(&'static [&'static str], &'static [&'static str]),
}
use Fate::{Normalised, Refused};

/// A second request that must never be seen as one.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nhost: shop\r\n\r\n";

async fn check(name: &str, payload: &str, fate: &Fate) {
    let a = Endpoint::new(|_| says("ok")).await;
    let rig = proxy().endpoint(&a).start();
    let mut client = rig.client().await;
    client.send(payload).await;
    let reply = client.reply().await;
    match fate {
        Refused(status) => {
            assert_eq!(reply.status, *status, "{name}: {}", reply.head);
            assert!(client.is_closed().await, "{name}: bytes after the refusal");
            assert_eq!(a.raw(), "", "{name}: the endpoint saw it");
        }
        Normalised(present, absent) => {
            assert_eq!(reply.status, 200, "{name}: {}", reply.head);
            let raw = a.raw().to_ascii_lowercase();
            for text in *present {
                assert!(raw.contains(text), "{name}: no {text:?} in {raw}");
            }
            for text in *absent {
                assert!(!raw.contains(text), "{name}: {text:?} in {raw}");
            }
        }
    }
}

async fn check_all(rows: &[(&str, String, Fate)]) {
    for (name, payload, fate) in rows {
        check(name, payload, fate).await;
    }
}

/// A request with these lines after the request line and Host, and with this behind its empty line.
fn post(lines: &str, behind: &str) -> String {
    format!("POST / HTTP/1.1\r\nhost: shop\r\n{lines}\r\n{behind}")
}

#[tokio::test]
async fn a_length_beside_the_chunks_of_a_reply_is_not_passed_on() {
    let raw = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\n\r\n";
    let a = Endpoint::new(|_| Act::Reply(raw.to_vec())).await;
    let rig = proxy().endpoint(&a).start();
    let reply = rig.get("/").await;
    assert_eq!((reply.content.as_str(), reply.all("content-length").len()), ("whole", 0));
}

#[tokio::test]
async fn framing_is_said_once_and_in_one_way() {
    let chunked = format!("0\r\n\r\n{SMUGGLED}");
    check_all(&[
        ("CL+TE", post("content-length: 5\r\ntransfer-encoding: chunked\r\n", &chunked), Refused(400)),
        ("TE+CL", post("transfer-encoding: chunked\r\ncontent-length: 5\r\n", &chunked), Refused(400)),
        ("two TE", post("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", &chunked), Refused(400)),
        (
            "two TE, differing",
            post("transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n", &chunked),
            Refused(400),
        ),
        (
            "TE in HTTP/1.0",
            format!("POST / HTTP/1.0\r\nhost: shop\r\ntransfer-encoding: chunked\r\n\r\n{chunked}"),
            Refused(400),
        ),
        ("TE identity", post("transfer-encoding: identity\r\n", SMUGGLED), Refused(400)),
        ("TE xchunked", post("transfer-encoding: xchunked\r\n", &chunked), Refused(400)),
        ("TE chunked, identity", post("transfer-encoding: chunked, identity\r\n", &chunked), Refused(400)),
        ("TE gzip, chunked", post("transfer-encoding: gzip, chunked\r\n", &chunked), Refused(400)),
        ("TE chunked, chunked", post("transfer-encoding: chunked, chunked\r\n", &chunked), Refused(400)),
        ("TE with a parameter", post("transfer-encoding: chunked;q=1\r\n", &chunked), Refused(400)),
        ("TE empty", post("transfer-encoding:\r\n", &chunked), Refused(400)),
        ("two equal CL", post("content-length: 3\r\ncontent-length: 3\r\n", "tea"), Refused(400)),
        ("two differing CL", post("content-length: 3\r\ncontent-length: 4\r\n", "tea!"), Refused(400)),
        ("CL list", post("content-length: 1, 1\r\n", "t"), Refused(400)),
        ("CL +1", post("content-length: +1\r\n", "t"), Refused(400)),
        ("CL -1", post("content-length: -1\r\n", "t"), Refused(400)),
        ("CL 0x1", post("content-length: 0x1\r\n", "t"), Refused(400)),
        ("CL empty", post("content-length:\r\n", "t"), Refused(400)),
        ("CL of 2^64", post("content-length: 18446744073709551616\r\n", "t"), Refused(400)),
        ("CL 3 3", post("content-length: 3 3\r\n", "tea"), Refused(400)),
        ("CL 3;", post("content-length: 3;\r\n", "tea"), Refused(400)),
        ("CL with a comma at its end", post("content-length: 3,\r\n", "tea"), Refused(400)),
        ("CL of 2^63 digits and more", post("content-length: 99999999999999999999999\r\n", "t"), Refused(400)),
        ("CL and an empty TE", post("content-length: 3\r\ntransfer-encoding:\r\n", "tea"), Refused(400)),
        ("TE quoted", post("transfer-encoding: \"chunked\"\r\n", &chunked), Refused(400)),
        ("TE with a vertical tab", post("transfer-encoding: \u{b}chunked\r\n", &chunked), Refused(400)),
        ("CL in upper case, twice", post("Content-Length: 3\r\nCONTENT-LENGTH: 3\r\n", "tea"), Refused(400)),
    ])
    .await;
}

#[tokio::test]
async fn a_head_has_one_reading() {
    check_all(&[
        ("space before colon", post("content-length : 3\r\n", "tea"), Refused(400)),
        ("bare CR in a line", post("x-a: 1\rx-b: 2\r\n", ""), Refused(400)),
        ("NUL in a value", post("x-a: 1\0\r\n", ""), Refused(400)),
        ("obs-fold", post("x-a: 1\r\n 2\r\n", ""), Refused(400)),
        ("obs-fold by a tab", post("x-a: 1\r\n\t2\r\n", ""), Refused(400)),
        ("a folded Content-Length", post("content-length:\r\n 3\r\n", "tea"), Refused(400)),
        ("a fold as the first field", "GET / HTTP/1.1\r\n x: 1\r\nhost: shop\r\n\r\n".into(), Refused(400)),
        ("tab before colon", post("transfer-encoding\t: chunked\r\n", "0\r\n\r\n"), Refused(400)),
        ("no name before colon", post(": 1\r\n", ""), Refused(400)),
        ("a control in a name", post("x\u{1}: 1\r\n", ""), Refused(400)),
        ("DEL in a value", post("x-a: 1\u{7f}\r\n", ""), Refused(400)),
        ("bare CR behind a value", post("x-a: 1\r\r\n", ""), Refused(400)),
        ("bare CR at a line's start", post("\rx-a: 1\r\n", ""), Refused(400)),
        ("bare CR in the request line", "GET /\r HTTP/1.1\r\nhost: shop\r\n\r\n".into(), Refused(400)),
        ("NUL in the target", "GET /\0 HTTP/1.1\r\nhost: shop\r\n\r\n".into(), Refused(400)),
        ("NUL in a name", post("x\0: 1\r\n", ""), Refused(400)),
        ("tab in the request line", "GET\t/ HTTP/1.1\r\nhost: shop\r\n\r\n".into(), Refused(400)),
        ("two spaces in the request line", "GET  / HTTP/1.1\r\nhost: shop\r\n\r\n".into(), Refused(400)),
        ("space behind the version", "GET / HTTP/1.1 \r\nhost: shop\r\n\r\n".into(), Refused(400)),
        ("space before the method", " GET / HTTP/1.1\r\nhost: shop\r\n\r\n".into(), Refused(400)),
        ("no version", "GET /\r\nhost: shop\r\n\r\n".into(), Refused(400)),
        ("a version in lower case", "GET / http/1.1\r\nhost: shop\r\n\r\n".into(), Refused(400)),
        ("another version", "GET / HTTP/1.2\r\nhost: shop\r\n\r\n".into(), Refused(505)),
        ("a line without a colon", post("x-a\r\n", ""), Refused(400)),
        ("space in the target", "GET /a b HTTP/1.1\r\nhost: shop\r\n\r\n".into(), Refused(400)),
        ("fragment in the target", "GET /a#b HTTP/1.1\r\nhost: shop\r\n\r\n".into(), Refused(400)),
        ("target that is no path", "GET a HTTP/1.1\r\nhost: shop\r\n\r\n".into(), Refused(400)),
        ("non-ASCII in the target", "GET /\u{e9} HTTP/1.1\r\nhost: shop\r\n\r\n".into(), Refused(400)),
        ("asterisk for GET", "GET * HTTP/1.1\r\nhost: shop\r\n\r\n".into(), Refused(400)),
        ("CONNECT", "CONNECT shop:443 HTTP/1.1\r\nhost: shop:443\r\n\r\n".into(), Refused(405)),
        ("TRACE", "TRACE / HTTP/1.1\r\nhost: shop\r\n\r\n".into(), Refused(405)),
        // RFC 9112 section 2.2 lets a recipient take a bare LF; what goes on has none.
        (
            "bare LF line ends",
            "GET / HTTP/1.1\nhost: shop\nx-a: 1\n\n".into(),
            Normalised(&["get / http/1.1\r\n", "x-a: 1\r\n"], &["http/1.1\nhost"]),
        ),
    ])
    .await;
}

#[tokio::test]
async fn there_is_one_host() {
    let get = |lines: &str| format!("GET / HTTP/1.1\r\n{lines}\r\n");
    let absolute = |target: &str, host: &str| format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n\r\n");
    check_all(&[
        ("no Host", get(""), Refused(400)),
        ("no Host in HTTP/1.0", "GET / HTTP/1.0\r\n\r\n".into(), Refused(400)),
        ("two Host", get("host: shop\r\nhost: admin\r\n"), Refused(400)),
        ("two equal Host", get("host: shop\r\nhost: shop\r\n"), Refused(400)),
        ("empty Host", get("host:\r\n"), Refused(400)),
        ("Host with userinfo", get("host: me@shop\r\n"), Refused(400)),
        ("Host list", get("host: shop,admin\r\n"), Refused(400)),
        ("Host with a path", get("host: shop/admin\r\n"), Refused(400)),
        ("Host with a bad port", get("host: shop:99999\r\n"), Refused(400)),
        ("Host with a space", get("host: shop admin\r\n"), Refused(400)),
        ("absolute-form of another host", absolute("http://admin/", "shop"), Refused(400)),
        ("absolute-form of another port", absolute("http://shop:81/", "shop"), Refused(400)),
        ("absolute-form with userinfo", absolute("http://me@shop/", "shop"), Refused(400)),
        ("absolute-form of another scheme", absolute("ftp://shop/", "shop"), Refused(400)),
        (
            "absolute-form that agrees",
            absolute("http://SHOP:80/a", "shop"),
            Normalised(&["get /a http/1.1\r\n", "host: shop\r\n"], &["http://"]),
        ),
    ])
    .await;
}

#[tokio::test]
async fn chunks_have_one_reading() {
    let chunked = |content: &str| post("transfer-encoding: chunked\r\n", content);
    let rows = [
        ("bare LF after the size", chunked(&format!("3\ntea\r\n0\r\n\r\n{SMUGGLED}"))),
        ("LF in an extension", chunked(&format!("3;a\nb\r\ntea\r\n0\r\n\r\n{SMUGGLED}"))),
        ("a size that is no number", chunked(&format!("z\r\ntea\r\n0\r\n\r\n{SMUGGLED}"))),
        ("a signed size", chunked(&format!("+3\r\ntea\r\n0\r\n\r\n{SMUGGLED}"))),
        ("a size beyond 64 bits", chunked(&format!("10000000000000003\r\ntea\r\n0\r\n\r\n{SMUGGLED}"))),
        ("a giant size", chunked(&format!("fffffffffffffff0\r\ntea\r\n0\r\n\r\n{SMUGGLED}"))),
        ("an empty size", chunked(&format!("\r\ntea\r\n0\r\n\r\n{SMUGGLED}"))),
        ("space before the size", chunked(&format!(" 3\r\ntea\r\n0\r\n\r\n{SMUGGLED}"))),
        ("NUL behind the size", chunked(&format!("3\0\r\ntea\r\n0\r\n\r\n{SMUGGLED}"))),
        ("CR in an extension", chunked(&format!("3;a\rb\r\ntea\r\n0\r\n\r\n{SMUGGLED}"))),
        ("a giant extension", chunked(&format!("3;{}\r\ntea\r\n0\r\n\r\n{SMUGGLED}", "x".repeat(5_000)))),
        ("bare LF behind the data", chunked(&format!("3\r\ntea\n0\r\n\r\n{SMUGGLED}"))),
        ("bare CR behind the data", chunked(&format!("3\r\ntea\r0\r\n\r\n{SMUGGLED}"))),
        ("a malformed trailer", chunked(&format!("3\r\ntea\r\n0\r\nx y: 1\r\n\r\n{SMUGGLED}"))),
        ("more data than the size says", chunked(&format!("3\r\nteatime\r\n0\r\n\r\n{SMUGGLED}"))),
    ];
    for (name, payload) in rows {
        let a = Endpoint::new(|_| says("ok")).await;
        let rig = proxy().endpoint(&a).start();
        let mut client = rig.client().await;
        client.send(payload).await;
        // The head was sound, so a connection to the endpoint may exist; no whole request may have come over it.
        assert_eq!(client.reply().await.status, 400, "{name}");
        assert!(client.is_closed().await, "{name}: a second reply");
        assert_eq!(a.requests().len(), 0, "{name}");
        assert!(!a.raw().contains("smuggled"), "{name}: {}", a.raw());
    }
}

#[tokio::test]
async fn an_extension_is_dropped_and_the_content_stays() {
    let payload = post("transfer-encoding: chunked\r\n", "3;a=b\r\ntea\r\n0\r\n\r\n");
    check("extension", &payload, &Normalised(&["tea"], &["a=b"])).await;
}

#[tokio::test]
async fn trailers_do_not_frame_route_or_authorise() {
    let lines = "transfer-encoding: chunked\r\ntrailer: x-sum, content-length\r\n";
    let trailers =
        "content-length: 98765\r\nhost: admin\r\nauthorization: x\r\nx-forwarded-for: 9.9.9.9\r\nx-sum: 7\r\n";
    let payload = post(lines, &format!("3\r\ntea\r\n0\r\n{trailers}\r\n"));
    check("trailers", &payload, &Normalised(&["tea"], &["98765", "admin", "authorization", "9.9.9.9"])).await;
}

#[tokio::test]
async fn connection_strips_no_field_that_concerns_the_whole_way() {
    for name in [
        "host",
        "content-length",
        "transfer-encoding",
        "cookie",
        "authorization",
        "forwarded",
        "x-forwarded-for",
        "X-Forwarded-Host",
        "forebay-deadline",
        "keep-alive, Content-Length",
    ] {
        let payload = post(&format!("connection: {name}\r\ncontent-length: 3\r\n"), "tea");
        check(name, &payload, &Refused(400)).await;
    }
    let hop = post("connection: close, x-hop\r\nx-hop: 1\r\nx-end: 2\r\n", "");
    check("a field of its own", &hop, &Normalised(&["x-end: 2"], &["x-hop"])).await;
}

#[tokio::test]
async fn pipelined_requests_are_two_and_refusing_the_second_spares_the_first() {
    let a = Endpoint::new(|_| says("ok")).await;
    let rig = proxy().endpoint(&a).start();
    let mut client = rig.client().await;
    let bad = post("content-length: 5\r\ntransfer-encoding: chunked\r\n", &format!("0\r\n\r\n{SMUGGLED}"));
    client.send(format!("{}{bad}", post("content-length: 3\r\n", "tea"))).await;
    assert_eq!(client.reply().await.status, 200);
    assert_eq!(client.reply().await.status, 400);
    assert!(client.is_closed().await);
    assert_eq!(a.request().content, b"tea");
}

#[tokio::test]
async fn a_client_connection_ends_where_content_was_left_unread() {
    // The endpoint answers before it has the content; what follows on the connection could be content or a request.
    let a = Endpoint::new(|_| says("ok")).await;
    let rig = proxy().endpoint(&a).policy(|policy| policy.body_bytes_max = Some(2)).start();
    let mut client = rig.client().await;
    client.send(post("content-length: 40\r\n", SMUGGLED)).await;
    let reply = client.reply().await;
    assert_eq!((reply.status, reply.one("connection")), (413, "close"));
    assert!(client.is_closed().await);
    assert_eq!(a.raw(), "");
}

#[tokio::test]
async fn an_endpoint_that_says_too_much_is_not_asked_again_on_that_connection() {
    let a = Endpoint::new(|_| {
        crate::endpoint::Act::Reply(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n".to_vec())
    })
    .await;
    let rig = proxy().endpoint(&a).start();
    let mut client = rig.client().await;
    for _ in 0..3 {
        client.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
        assert_eq!(client.reply().await.content, "ok");
    }
    assert_eq!(a.connections(), 3);
}
