//! A reply's head as bytes. Pure.

use http::header::{self, HeaderMap};
use http::response::Parts;
use http::{StatusCode, Version};

use crate::fields::{TRACE, write_field};
use crate::h1::pump::Coding;
use crate::h1::request::write_number;
use crate::reply::Stamp;
use crate::worker::HttpDate;

/// What a request's head says of its reply.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) version: Version,
    /// Its reply has a head only.
    pub(super) head_only: bool,
    /// The client keeps the connection.
    pub(super) stays: bool,
}

/// How a reply's content goes out, and whether the connection stays afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) coding: Coding,
    pub(super) stays: bool,
}

/// Writes a reply's head. `length`: of its content, where that is known.
pub(super) fn head(
    out: &mut Vec<u8>,
    head: &Parts,
    stamp: Stamp,
    length: Option<u64>,
    asked: Asked,
    date: &HttpDate,
) -> Way {
    let is_1_1 = asked.version > Version::HTTP_10;
    status_line(out, head.status, is_1_1);
    let Said { length: said, date: has_date } = fields(out, &head.headers);
    finish(out, stamp, has_date, date);
    let coding = match (head.status, length) {
        // What it would be long is said where the endpoint has said it.
        _ if asked.head_only => {
            write_length(out, said, length.filter(|length| *length > 0));
            Coding::Length(0)
        }
        (StatusCode::NOT_MODIFIED, _) => {
            write_length(out, said, None);
            Coding::Length(0)
        }
        (StatusCode::NO_CONTENT, _) => Coding::Length(0),
        (_, Some(length)) => {
            write_length(out, None, Some(length));
            Coding::Length(length)
        }
        (_, None) if is_1_1 => {
            out.extend_from_slice(b"transfer-encoding: chunked\r\n");
            Coding::Chunked
        }
        (_, None) => Coding::Open,
    };
    let stays = asked.stays && !stamp.is_last && coding != Coding::Open;
    match (stays, is_1_1) {
        (true, true) => {}
        (true, false) => out.extend_from_slice(b"connection: keep-alive\r\n"),
        (false, _) => out.extend_from_slice(b"connection: close\r\n"),
    }
    out.extend_from_slice(b"\r\n");
    Way { coding, stays }
}

/// Writes the head of a reply that switches protocols, but for the fields that say to which.
pub(super) fn switching(out: &mut Vec<u8>, head: &Parts, stamp: Stamp, date: &HttpDate) {
    status_line(out, head.status, true);
    let said = fields(out, &head.headers);
    finish(out, stamp, said.date, date);
}

/// Writes what every reply says: its trace, and a date.
fn finish(out: &mut Vec<u8>, stamp: Stamp, has_date: bool, date: &HttpDate) {
    let mut digits = [0; 32];
    stamp.trace.write_hex(&mut digits);
    write_field(out, &TRACE, &digits);
    if !has_date {
        // RFC 9110, 6.6.1.
        out.extend_from_slice(b"date: ");
        out.extend_from_slice(date);
        out.extend_from_slice(b"\r\n");
    }
}

/// What a reply's own fields say already.
#[derive(Debug, Default)]
struct Said<'a> {
    length: Option<&'a [u8]>,
    date: bool,
}

/// Writes a reply's own fields, those left out that frame its content or speak of the connection.
fn fields<'a>(out: &mut Vec<u8>, headers: &'a HeaderMap) -> Said<'a> {
    let mut said = Said::default();
    for (name, value) in headers {
        match *name {
            header::CONTENT_LENGTH => said.length = Some(value.as_bytes()),
            header::TRANSFER_ENCODING | header::CONNECTION => {}
            _ => {
                said.date |= *name == header::DATE;
                write_field(out, name, value.as_bytes());
            }
        }
    }
    said
}

fn status_line(out: &mut Vec<u8>, status: StatusCode, is_1_1: bool) {
    out.extend_from_slice(if is_1_1 { b"HTTP/1.1 " } else { b"HTTP/1.0 " });
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn write_length(out: &mut Vec<u8>, said: Option<&[u8]>, known: Option<u64>) {
    let start = out.len();
    out.extend_from_slice(b"content-length: ");
    match (said, known) {
        (Some(said), _) => out.extend_from_slice(said),
        (None, Some(known)) => write_number(out, known),
        (None, None) => return out.truncate(start),
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Response;
    use stdx::trace::TraceId;

    const DATE: &HttpDate = b"Sun, 06 Nov 1994 08:49:37 GMT";
    const GET: Asked = Asked { version: Version::HTTP_11, head_only: false, stays: true };
    const HEAD: Asked = Asked { head_only: true, ..GET };
    const OLD: Asked = Asked { version: Version::HTTP_10, ..GET };

    fn stamp(is_last: bool) -> Stamp {
        Stamp { trace: TraceId::from_bytes([0xab; 16]).unwrap(), is_last }
    }

    fn written(status: u16, fields: &[(&str, &str)], length: Option<u64>, asked: Asked) -> (String, Way) {
        stamped(status, fields, length, asked, stamp(false))
    }

    fn stamped(status: u16, fields: &[(&str, &str)], length: Option<u64>, asked: Asked, stamp: Stamp) -> (String, Way) {
        let reply = Response::builder().status(status).header("date", "now");
        let reply = fields.iter().fold(reply, |reply, (name, value)| reply.header(*name, *value));
        let mut out = Vec::new();
        let way = head(&mut out, &reply.body(()).unwrap().into_parts().0, stamp, length, asked, DATE);
        let trace = format!("forebay-trace: {}\r\n", "ab".repeat(16));
        (String::from_utf8(out).unwrap().replace("date: now\r\n", "").replace(&trace, ""), way)
    }

    fn way(coding: Coding, stays: bool) -> Way {
        Way { coding, stays }
    }

    #[test]
    fn content_is_framed_by_its_length_or_else_in_chunks() {
        let (text, how) = written(200, &[("x-a", "1"), ("content-length", "9")], Some(3), GET);
        assert_eq!(text, "HTTP/1.1 200 OK\r\nx-a: 1\r\ncontent-length: 3\r\n\r\n");
        assert_eq!(how, way(Coding::Length(3), true));
        let (text, how) = written(404, &[], None, GET);
        assert_eq!(text, "HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\n");
        assert_eq!(how, way(Coding::Chunked, true));
    }

    #[test]
    fn a_reply_that_may_have_no_content_has_none() {
        for (status, asked, fields, length, line) in [
            (204, GET, &[][..], Some(0), ""),
            (204, GET, &[("content-length", "0")], Some(0), ""),
            (304, GET, &[], Some(0), ""),
            (304, GET, &[("content-length", "12")], Some(0), "content-length: 12\r\n"),
            (200, HEAD, &[("content-length", "12")], Some(0), "content-length: 12\r\n"),
            (200, HEAD, &[], Some(0), ""),
            (404, HEAD, &[], Some(20), "content-length: 20\r\n"),
            (200, GET, &[], Some(0), "content-length: 0\r\n"),
        ] {
            let (text, how) = written(status, fields, length, asked);
            assert_eq!(text.split_once("\r\n").unwrap().1, format!("{line}\r\n"), "{status} {fields:?}");
            assert_eq!(how, way(Coding::Length(0), true));
        }
    }

    #[test]
    fn an_old_client_gets_no_chunks_and_is_told_that_the_connection_stays() {
        assert_eq!(
            written(200, &[], Some(3), OLD),
            (
                "HTTP/1.0 200 OK\r\ncontent-length: 3\r\nconnection: keep-alive\r\n\r\n".into(),
                way(Coding::Length(3), true)
            )
        );
        assert_eq!(
            written(200, &[], None, OLD),
            ("HTTP/1.0 200 OK\r\nconnection: close\r\n\r\n".into(), way(Coding::Open, false))
        );
    }

    #[test]
    fn the_last_reply_says_so_once() {
        let close = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        let leaving = Asked { stays: false, ..GET };
        assert_eq!(written(200, &[], Some(0), leaving), (close.into(), way(Coding::Length(0), false)));
        assert_eq!(stamped(200, &[], Some(0), GET, stamp(true)), (close.into(), way(Coding::Length(0), false)));
    }

    #[test]
    fn a_reply_without_a_date_gets_one() {
        let mut out = Vec::new();
        head(&mut out, &Response::new(()).into_parts().0, stamp(false), Some(0), GET, DATE);
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"), "{text}");
    }
}
