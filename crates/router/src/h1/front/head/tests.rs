//! Heads, and whole connections, read from bytes however they are cut.

use super::*;
use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};

use crate::h1::chunks::Piece;
use crate::h1::front::rest_of;
use crate::rescue::Failure;

const LIMITS: HeadLimits = HeadLimits { bytes_max: 1_000, fields_max: 10 };

fn read(text: &[u8]) -> Result<Option<Head>, HeadFault> {
    HeadReader::default().take(&mut BytesMut::from(text), LIMITS, &Buffers::default())
}

fn head(text: &str) -> Head {
    read(text.as_bytes()).unwrap().unwrap()
}

#[test]
fn a_head_is_a_request_line_and_fields() {
    let read = head("POST /a?b HTTP/1.1\r\nHost: shop\r\nX-A:  1 \r\nx-a: 2\r\nempty:\r\ncontent-length: 3\r\n\r\ntea");
    assert_eq!((&read.parts.method, read.parts.uri.to_string()), (&Method::POST, "/a?b".into()));
    assert_eq!(read.parts.version, Version::HTTP_11);
    assert_eq!(read.parts.headers["host"], "shop");
    assert_eq!(read.parts.headers.get_all("x-a").iter().collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(read.parts.headers["empty"], "");
    assert_eq!((read.framing, read.stays), (Some(Framing::Length(3)), true));
}

#[test]
fn the_version_and_connection_decide_whether_it_stays() {
    let stays = |version: &str, fields: &str| head(&format!("GET / HTTP/{version}\r\n{fields}\r\n")).stays;
    assert!(stays("1.1", "connection: keep-alive\r\n"));
    assert!(!stays("1.1", "connection: x, Close\r\n"));
    assert!(!stays("1.1", "connection: keep-alive\r\nconnection: close\r\n"));
    assert!(!stays("1.0", ""));
    assert!(stays("1.0", "connection: Keep-Alive\r\n"));
}

#[test]
fn empty_lines_before_a_head_are_passed_over() {
    for lines in ["\r\n", "\n", "\r\n\r\n\n"] {
        assert_eq!(head(&format!("{lines}GET / HTTP/1.1\r\n\r\n")).parts.method, Method::GET);
    }
    let mut buffer = BytesMut::from("\r\n\r\n");
    assert!(HeadReader::default().take(&mut buffer, LIMITS, &Buffers::default()).unwrap().is_none());
    assert!(buffer.is_empty());
}

#[test]
fn what_is_no_head_has_its_own_status() {
    let get = |fields: &str| format!("GET / HTTP/1.1\r\n{fields}\r\n");
    for (status, text) in [
        (400, get("x-a : 1\r\n")),
        (400, get("x-a: 1\r\n 2\r\n")),
        (400, get("x-a: 1\r\n\t2\r\n")),
        (400, get("x-a: 1\rx-b: 2\r\n")),
        (400, get("x-a: 1\0\r\n")),
        (400, get("x-a: 1\u{7f}\r\n")),
        (400, get("x-a\r\n")),
        (400, get(": 1\r\n")),
        (400, get("x a: 1\r\n")),
        (400, get("x-\u{e9}: 1\r\n")),
        (400, "GET  / HTTP/1.1\r\n\r\n".into()),
        (400, "GET /  HTTP/1.1\r\n\r\n".into()),
        (400, "GET / HTTP/1.1 \r\n\r\n".into()),
        (400, "GET\t/ HTTP/1.1\r\n\r\n".into()),
        (400, " GET / HTTP/1.1\r\n\r\n".into()),
        (400, "GET / http/1.1\r\n\r\n".into()),
        (400, "GET / HTTP/1.1\r\r\n\r\n".into()),
        (400, "GET /\r\n\r\n".into()),
        (400, "GET /a#b HTTP/1.1\r\n\r\n".into()),
        (400, "GET /a#b HTTP/1.1\r\nhost: a\r\n\r\n".into()),
        (400, "G(T / HTTP/1.1\r\n\r\n".into()),
        (400, "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}".into()),
        (505, "GET / HTTP/2.0\r\n\r\n".into()),
        (505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into()),
        (505, "GET / HTTP/0.9\r\n\r\n".into()),
        (400, "GET / HTTP/1.10\r\n\r\n".into()),
        (414, format!("GET /{}", "a".repeat(1_000))),
        (431, get(&format!("x: {}\r\n", "a".repeat(1_000)))),
        (431, get(&"x: y\r\n".repeat(11))),
    ] {
        let fault = read(text.as_bytes()).expect_err(&text);
        assert_eq!(Failure::from(fault).rescue().status.as_u16(), status, "{text:?}: {fault}");
    }
    assert!(read(get(&"x: y\r\n".repeat(10)).as_bytes()).is_ok());
}

#[test]
fn more_fields_than_stand_on_the_stack_are_read_where_they_may_be_there() {
    let text = format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(300));
    let read = |fields_max| {
        let limits = HeadLimits { bytes_max: 10_000, fields_max };
        HeadReader::default().take(&mut BytesMut::from(text.as_str()), limits, &Buffers::default())
    };
    assert_eq!(read(300).unwrap().unwrap().parts.headers.len(), 300);
    assert_eq!(read(299).unwrap_err(), HeadFault::TooLarge);
    assert_eq!(read(100).unwrap_err(), HeadFault::TooLarge);
}

#[test]
fn what_cannot_be_framed_in_one_way_is_not_framed() {
    let both = "POST / HTTP/1.1\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n";
    assert_eq!(head(both).framing, None);
}

/// All that a connection says: each request's line and content, and how it ends.
fn said(bytes: &[u8], cuts: &[usize]) -> (Vec<(String, Vec<u8>)>, &'static str) {
    let (mut buffer, mut rest, mut cuts) = (BytesMut::new(), bytes, cuts.iter().cycle());
    let (mut said, buffers) = (Vec::new(), Buffers::default());
    let mut fill = |buffer: &mut BytesMut| {
        let (now, later) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
        buffer.extend_from_slice(now);
        rest = later;
        !now.is_empty()
    };
    let mut heads = HeadReader::default();
    loop {
        let head = match heads.take(&mut buffer, LIMITS, &buffers) {
            Ok(Some(head)) => head,
            Ok(None) if fill(&mut buffer) => continue,
            Ok(None) => return (said, "open"),
            Err(_) => return (said, "no head"),
        };
        let Some(framing) = head.framing else { return (said, "in doubt") };
        let mut content = Vec::new();
        let mut coming = rest_of(framing);
        said.push((format!("{} {:?}", head.parts.uri, head.parts.headers), Vec::new()));
        buffers.give_fields(head.parts.headers);
        loop {
            match coming.next(&mut buffer) {
                Ok(Piece::Data(data)) => content.extend_from_slice(&data),
                Ok(Piece::Trailers(_)) => {}
                Ok(Piece::End) => break,
                Ok(Piece::More) if fill(&mut buffer) => {}
                Ok(Piece::More) => return (said, "open"),
                Err(_) => return (said, "no content"),
            }
        }
        said.last_mut().unwrap().1 = content;
    }
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(b"POST /a HTTP/1.1\r\n".to_vec()),
        Just(b"GET /b HTTP/1.1\r\nhost: shop\r\n\r\n".to_vec()),
        Just(b"POST /c HTTP/1.1\r\ncontent-length: 5\r\n\r\nhello".to_vec()),
        Just(b"POST /d HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n".to_vec()),
        Just(b"content-length: 5\r\n".to_vec()),
        Just(b"Transfer-Encoding: chunked\r\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"5\r\nhello\r\n".to_vec()),
        Just(b"5;x=y\r\nhello\r\n".to_vec()),
        Just(b"0\r\n\r\n".to_vec()),
        Just(b"0\r\nx-sum: 7\r\n\r\n".to_vec()),
        prop::collection::vec(any::<u8>(), 0..20),
    ]
}

proptest! {
    #[test]
    fn how_bytes_are_cut_into_reads_changes_nothing(
        pieces in prop::collection::vec(piece(), 0..12),
        cuts in prop::collection::vec(1_usize..40, 1..20),
    ) {
        let bytes = pieces.concat();
        let (whole, end) = said(&bytes, &[bytes.len().max(1)]);
        let (cut, cut_end) = said(&bytes, &cuts);
        prop_assert_eq!(&cut, &whole);
        // What is no head may be known for one only when its empty line has come.
        prop_assert!(cut_end == end || (end, cut_end) == ("no head", "open"), "{} {}", end, cut_end);
    }

    #[test]
    fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in 1_usize..50) {
        said(&bytes, &[cut]);
        said(&[b"GET / HTTP/1.1\r\n".as_slice(), &bytes, b"\r\n\r\n"].concat(), &[cut]);
    }

    #[test]
    fn a_byte_of_a_head_anywhere_changed_never_panics(at in 0_usize..80, byte in any::<u8>()) {
        let mut bytes = b"POST /a?b=c HTTP/1.1\r\nhost: shop\r\ntransfer-encoding: chunked\r\n\r\n3\r\ntea\r\n0\r\n\r\n".to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        said(&bytes, &[bytes.len()]);
    }
}
