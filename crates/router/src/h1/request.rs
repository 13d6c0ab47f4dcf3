//! A request's head as bytes. Pure.

use http::header;
use http::request::Parts;
use http::{HeaderMap, Method};
use http_body::Body;

use super::pump::Coding;
use crate::body::ClientBody;
use crate::hop::Hop;

/// How a request's content is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is none.
    None,
    Length(u64),
    Chunked,
}

impl Framing {
    /// How `content` is framed.
    pub(super) fn of(content: &ClientBody) -> Framing {
        match (content, content.size_hint().exact()) {
            (ClientBody::Empty, _) => Framing::None,
            (_, Some(bytes)) => Framing::Length(bytes),
            (_, None) => Framing::Chunked,
        }
    }
}

/// Writes `head`, and what this hop adds. What frames the content comes from `framing` alone, whatever fields the
/// head has. How the content goes out then.
pub(super) fn write_head(out: &mut Vec<u8>, head: &Parts, hop: Hop<'_>, framing: Framing) -> Coding {
    out.extend_from_slice(head.method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(head.uri.path_and_query().map_or("/", |target| target.as_str()).as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    write_fields(out, &head.headers);
    hop.write(out, &head.headers);
    match framing {
        // RFC 9110, 8.6: an endpoint that expects content is told that there is none.
        Framing::None if matches!(head.method, Method::POST | Method::PUT | Method::PATCH) => {
            out.extend_from_slice(b"content-length: 0\r\n");
        }
        Framing::None => {}
        Framing::Length(bytes) => {
            out.extend_from_slice(b"content-length: ");
            write_number(out, bytes);
            out.extend_from_slice(b"\r\n");
        }
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
    out.extend_from_slice(b"\r\n");
    match framing {
        Framing::None => Coding::Length(0),
        Framing::Length(bytes) => Coding::Length(bytes),
        Framing::Chunked => Coding::Chunked,
    }
}

/// Writes fields, those left out that frame content or end at this hop: who sends says them itself.
pub(super) fn write_fields(out: &mut Vec<u8>, fields: &HeaderMap) {
    for (name, value) in fields {
        if matches!(*name, header::CONTENT_LENGTH | header::TRANSFER_ENCODING | header::CONNECTION) {
            continue;
        }
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

pub(crate) fn write_number(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Writes the line before a chunk of `len` bytes.
pub(super) fn write_chunk_size(out: &mut Vec<u8>, len: usize) {
    let mut digits = [0; 16];
    let mut at = digits.len();
    let mut rest = len;
    loop {
        at -= 1;
        digits[at] = b"0123456789abcdef"[rest & 15];
        rest >>= 4;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;
    use proptest::prelude::{any, prop_assert_eq, proptest};
    use std::time::Duration;

    use crate::deadline::Left;
    use crate::tracing_context::Traced;

    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn written(request: http::request::Builder, framing: Framing) -> String {
        let mut out = Vec::new();
        let traced = Traced { context: TRACE.parse().unwrap(), parent: None, link: None };
        let left = Left { time: Duration::from_millis(250), grpc: false };
        let hop = Hop { left, traced: &traced, client: None, upgrades: false };
        write_head(&mut out, &request.body(()).unwrap().into_parts().0, hop, framing);
        String::from_utf8(out).unwrap().replace(&format!("traceparent: {TRACE}\r\n"), "")
    }

    #[test]
    fn a_head_has_a_request_line_and_its_fields() {
        let head = written(Request::get("/a?b").header("host", "shop").header("x-a", "1"), Framing::None);
        assert_eq!(head, "GET /a?b HTTP/1.1\r\nhost: shop\r\nx-a: 1\r\nforebay-deadline: 250\r\n\r\n");
        assert_eq!(
            written(Request::options("*"), Framing::None),
            "OPTIONS * HTTP/1.1\r\nforebay-deadline: 250\r\n\r\n"
        );
    }

    #[test]
    fn framing_is_said_once_and_by_what_is_sent() {
        let post = |framing| {
            let request = Request::post("/").header("content-length", "9").header("transfer-encoding", "gzip");
            written(request, framing)
        };
        let framed = |line: &str| format!("POST / HTTP/1.1\r\nforebay-deadline: 250\r\n{line}\r\n\r\n");
        assert_eq!(post(Framing::Length(5)), framed("content-length: 5"));
        assert_eq!(post(Framing::Chunked), framed("transfer-encoding: chunked"));
        assert_eq!(post(Framing::None), framed("content-length: 0"));
        let delete = written(Request::delete("/"), Framing::None);
        assert_eq!(delete, "DELETE / HTTP/1.1\r\nforebay-deadline: 250\r\n\r\n");
    }

    proptest! {
        #[test]
        fn numbers_are_written_as_everybody_writes_them(number in any::<u64>(), len in any::<usize>()) {
            let (mut decimal, mut hex) = (Vec::new(), Vec::new());
            write_number(&mut decimal, number);
            write_chunk_size(&mut hex, len);
            prop_assert_eq!(String::from_utf8(decimal).unwrap(), number.to_string());
            prop_assert_eq!(String::from_utf8(hex).unwrap(), format!("{len:x}\r\n"));
        }
    }
}
