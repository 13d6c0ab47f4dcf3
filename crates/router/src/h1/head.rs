//! A reply's head: read, and judged by how it frames what follows. Pure.
//!
//! Source: RFC 9112 sections 6 and 9. An endpoint is trusted less than the RFC would allow: whatever two readers could
//! frame differently is malformed.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use super::buffers::Buffers;
use crate::upgrade;

/// Fields of a reply's head or trailers.
pub(super) const FIELDS_MAX: usize = 100;
/// Bytes of a reply's head.
pub(super) const HEAD_BYTES_MAX: usize = 64 << 10;

/// Why a reply is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeadFault {
    #[error("it is not HTTP/1")]
    NotHttp,
    #[error("its head is longer than 64 KiB or has more than 100 fields")]
    TooLarge,
    #[error("its framing is in doubt")]
    Framing,
    #[error("it switches protocols, which nobody asked for")]
    Switching,
}

/// What a request asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) method: &'a Method,
    /// To go on with WebSocket.
    pub(super) upgrades: bool,
}

/// How a reply's content ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Length(u64),
    Chunked,
    /// With the connection.
    Close,
}

/// A head that was read.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) fields: HeaderMap,
    pub(super) framing: Framing,
    /// Whether the connection may carry another exchange afterwards.
    pub(super) stays: bool,
}

/// Takes the final head of a reply to what was `asked` from the front of `buffer`; informational ones before it are skipped. `None`
/// while it is not complete.
///
/// # Errors
/// When it can be none.
pub(super) fn take(buffer: &mut BytesMut, asked: Asked<'_>, buffers: &Buffers) -> Result<Option<Head>, HeadFault> {
    loop {
        match take_one(buffer, asked.method, buffers)? {
            Some(head) if head.status == StatusCode::SWITCHING_PROTOCOLS => return switched(head, asked).map(Some),
            Some(head) if head.status.is_informational() => {}
            Some(head) => return Ok(Some(head)),
            None if buffer.len() >= HEAD_BYTES_MAX => return Err(HeadFault::TooLarge),
            None => return Ok(None),
        }
    }
}

/// What is behind a switch of protocols is the connection itself.
fn switched(head: Head, asked: Asked<'_>) -> Result<Head, HeadFault> {
    if !asked.upgrades || !upgrade::is_websocket(&head.fields) {
        return Err(HeadFault::Switching);
    }
    Ok(Head { framing: Framing::Close, stays: false, ..head })
}

fn take_one(buffer: &mut BytesMut, method: &Method, buffers: &Buffers) -> Result<Option<Head>, HeadFault> {
    if buffer.is_empty() {
        return Ok(None);
    }
    let mut spans = [(0_u32, 0_u32, 0_u32, 0_u32); FIELDS_MAX];
    let (bytes, version, status, count) = {
        let mut fields = [const { MaybeUninit::<httparse::Header<'_>>::uninit() }; FIELDS_MAX];
        let mut reply = httparse::Response::new(&mut []);
        let parsed =
            httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut reply, buffer, &mut fields);
        let bytes = match parsed {
            Ok(httparse::Status::Complete(bytes)) => bytes,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(HeadFault::TooLarge),
            Err(_) => return Err(HeadFault::NotHttp),
        };
        let start = buffer.as_ptr() as usize;
        for (span, field) in spans.iter_mut().zip(&*reply.headers) {
            let name = (field.name.as_ptr() as usize - start) as u32;
            let value = (field.value.as_ptr() as usize - start) as u32;
            *span = (name, name + field.name.len() as u32, value, value + field.value.len() as u32);
        }
        (bytes, reply.version, reply.code, reply.headers.len())
    };
    let text = buffer.split_to(bytes).freeze();
    let status = status.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(HeadFault::NotHttp)?;
    let mut fields = buffers.take_fields();
    fill(&mut fields, &text, &spans[..count])?;
    let is_1_1 = version == Some(1);
    let framing = framing(&fields, status, method, is_1_1)?;
    let stays = stays(&fields, is_1_1) && framing != Framing::Close;
    Ok(Some(Head { status, fields, framing, stays }))
}

/// Fills in the fields that stand at `spans` of `text`, which they share.
fn fill(fields: &mut HeaderMap, text: &Bytes, spans: &[(u32, u32, u32, u32)]) -> Result<(), HeadFault> {
    fields.reserve(spans.len());
    for &(name, name_end, value, value_end) in spans {
        let name = HeaderName::from_bytes(&text[name as usize..name_end as usize]).map_err(|_| HeadFault::NotHttp)?;
        // An empty value may stand anywhere.
        let value = if value == value_end { Bytes::new() } else { text.slice(value as usize..value_end as usize) };
        fields.append(name, HeaderValue::from_maybe_shared(value).map_err(|_| HeadFault::NotHttp)?);
    }
    Ok(())
}

fn framing(fields: &HeaderMap, status: StatusCode, method: &Method, is_1_1: bool) -> Result<Framing, HeadFault> {
    let mut codings = fields.get_all(header::TRANSFER_ENCODING).iter();
    let coding = codings.next();
    let length = length(fields)?;
    if status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
        || *method == Method::HEAD
    {
        return Ok(Framing::Length(0));
    }
    match (coding, length) {
        (Some(coding), _) => {
            let single = coding.as_bytes().eq_ignore_ascii_case(b"chunked") && codings.next().is_none();
            if single && is_1_1 { Ok(Framing::Chunked) } else { Err(HeadFault::Framing) }
        }
        (None, Some(length)) => Ok(Framing::Length(length)),
        (None, None) => Ok(Framing::Close),
    }
}

/// The one length that all `Content-Length` fields say.
fn length(fields: &HeaderMap) -> Result<Option<u64>, HeadFault> {
    let mut said = None;
    for value in fields.get_all(header::CONTENT_LENGTH) {
        let digits = value.as_bytes();
        if digits.is_empty() || digits.len() > 19 || !digits.iter().all(u8::is_ascii_digit) {
            return Err(HeadFault::Framing);
        }
        let length = digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        if said.replace(length).is_some_and(|before| before != length) {
            return Err(HeadFault::Framing);
        }
    }
    Ok(said)
}

/// Whether the endpoint keeps the connection (RFC 9112, 9.3). A length beside a transfer coding is read as the RFC says,
/// and the connection not trusted any further.
fn stays(fields: &HeaderMap, is_1_1: bool) -> bool {
    if fields.contains_key(header::TRANSFER_ENCODING) && fields.contains_key(header::CONTENT_LENGTH) {
        return false;
    }
    keeps(fields, is_1_1)
}

/// What `Connection` says of the connection, and the version where it says nothing.
pub(super) fn keeps(fields: &HeaderMap, is_1_1: bool) -> bool {
    let mut keeps = is_1_1;
    for value in fields.get_all(header::CONNECTION) {
        for token in value.as_bytes().split(|byte| *byte == b',') {
            let token = token.trim_ascii();
            if token.eq_ignore_ascii_case(b"close") {
                return false;
            }
            keeps |= token.eq_ignore_ascii_case(b"keep-alive");
        }
    }
    keeps
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

    const GET: Asked<'_> = Asked { method: &Method::GET, upgrades: false };

    fn read(text: &str) -> Result<Option<Head>, HeadFault> {
        take(&mut BytesMut::from(text), GET, &Buffers::default())
    }

    fn framed(fields: &str) -> Result<(Framing, bool), HeadFault> {
        read(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n")).map(|head| head.map(|h| (h.framing, h.stays)).unwrap())
    }

    #[test]
    fn a_head_is_taken_and_what_follows_stays() {
        let mut buffer = BytesMut::from("HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\nX-A:\r\nx-a: 2\r\n\r\ntea");
        let head = take(&mut buffer, GET, &Buffers::default()).unwrap().unwrap();
        assert_eq!((head.status.as_u16(), head.framing, head.stays), (404, Framing::Length(3), true));
        assert_eq!(head.fields.get_all("x-a").iter().collect::<Vec<_>>(), ["", "2"]);
        assert_eq!(&buffer[..], b"tea");
    }

    #[test]
    fn informational_heads_are_skipped_and_a_switch_is_refused() {
        let text =
            "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 None\r\n\r\n";
        assert_eq!(read(text).unwrap().unwrap().status, 204);
        assert_eq!(read("HTTP/1.1 101 Sure\r\nupgrade: websocket\r\n\r\n").unwrap_err(), HeadFault::Switching);
        let asked = |text: &str| {
            let mut buffer = BytesMut::from(text);
            let head = take(&mut buffer, Asked { upgrades: true, ..GET }, &Buffers::default());
            head.map(|head| (head.unwrap().framing, buffer))
        };
        let (framing, rest) = asked("HTTP/1.1 101 Sure\r\nupgrade: WebSocket\r\n\r\nhi").unwrap();
        assert_eq!((framing, &rest[..]), (Framing::Close, &b"hi"[..]));
        assert_eq!(asked("HTTP/1.1 101 Sure\r\nupgrade: h2c\r\n\r\n").unwrap_err(), HeadFault::Switching);
    }

    #[test]
    fn framing_has_one_reading() {
        assert_eq!(framed("content-length: 7\r\n"), Ok((Framing::Length(7), true)));
        assert_eq!(framed("content-length: 7\r\ncontent-length: 7\r\n"), Ok((Framing::Length(7), true)));
        assert_eq!(framed("transfer-encoding: Chunked\r\n"), Ok((Framing::Chunked, true)));
        assert_eq!(framed("transfer-encoding: chunked\r\ncontent-length: 7\r\n"), Ok((Framing::Chunked, false)));
        assert_eq!(framed(""), Ok((Framing::Close, false)));
        for doubtful in [
            "content-length: 7\r\ncontent-length: 8\r\n",
            "content-length: 7, 7\r\n",
            "content-length: +7\r\n",
            "content-length:\r\n",
            "content-length: 99999999999999999999\r\n",
            "transfer-encoding: gzip\r\n",
            "transfer-encoding: gzip, chunked\r\n",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        ] {
            assert_eq!(framed(doubtful), Err(HeadFault::Framing), "{doubtful:?}");
        }
        let coded_1_0 = "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        assert_eq!(read(coded_1_0).unwrap_err(), HeadFault::Framing);
    }

    #[test]
    fn a_reply_that_can_have_no_content_has_none() {
        let mut buffer = BytesMut::from("HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n");
        assert_eq!(
            take(&mut buffer, Asked { method: &Method::HEAD, ..GET }, &Buffers::default()).unwrap().unwrap().framing,
            Framing::Length(0)
        );
        for status in [204, 304] {
            let head = read(&format!("HTTP/1.1 {status} x\r\ncontent-length: 7\r\n\r\n")).unwrap().unwrap();
            assert_eq!(head.framing, Framing::Length(0));
        }
    }

    #[test]
    fn the_connection_stays_when_both_agree() {
        assert!(!framed("content-length: 0\r\nconnection: x, Close\r\n").unwrap().1);
        assert!(!read("HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap().unwrap().stays);
        assert!(read("HTTP/1.0 200 OK\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n").unwrap().unwrap().stays);
    }

    #[test]
    fn sizes_are_bounded() {
        let many = "a: b\r\n".repeat(FIELDS_MAX + 1);
        assert_eq!(framed(&many).unwrap_err(), HeadFault::TooLarge);
        let long = format!("HTTP/1.1 200 OK\r\na: {}", "b".repeat(HEAD_BYTES_MAX));
        assert_eq!(read(&long).unwrap_err(), HeadFault::TooLarge);
        assert_eq!(read("SSH-2.0-OpenSSH\r\n").unwrap_err(), HeadFault::NotHttp);
    }

    proptest! {
        #[test]
        fn how_bytes_are_cut_into_reads_changes_nothing(cut in 0_usize..90, fold in any::<bool>()) {
            let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 3\r\nvia: a\r\n\r\ntea";
            let text = if fold { text.replace("via: a", "via: a\r\n b") } else { text.into() };
            let mut buffer = BytesMut::from(&text[..cut.min(text.len())]);
            let first = take(&mut buffer, GET, &Buffers::default());
            let head = match first {
                Ok(None) => {
                    buffer.extend_from_slice(&text.as_bytes()[cut.min(text.len())..]);
                    take(&mut buffer, GET, &Buffers::default())
                }
                other => other,
            };
            prop_assert_eq!(head.is_err(), fold);
            if let Ok(head) = head {
                prop_assert_eq!(head.unwrap().framing, Framing::Length(3));
            }
        }

        #[test]
        fn garbage_is_refused_or_waited_for(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut buffer = BytesMut::from(&bytes[..]);
            if let Ok(Some(head)) = take(&mut buffer, GET, &Buffers::default()) {
                prop_assert!(bytes.starts_with(b"HTTP/1.") || head.status.as_u16() > 0);
            }
        }
    }
}
