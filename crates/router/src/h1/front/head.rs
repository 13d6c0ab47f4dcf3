//! A request's head: read strictly, and judged by how it frames what follows. Pure.
//!
//! Source: RFC 9112 sections 2 to 6. httparse takes neither white space before a colon, nor folded lines, nor a bare CR, nor
//! NUL; a bare LF ends a line, which section 2.2 allows. What may come in is the gate's matter; here it is only whether these
//! bytes are a head.

use std::mem::MaybeUninit;

use bytes::{Buf, Bytes, BytesMut};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Uri, Version};

use crate::fields::FieldSet;
use crate::gate::{self, Framing};
use crate::h1::buffers::Buffers;
use crate::h1::head::keeps;

/// Fields that are parsed on the stack; more of them need memory of their own.
const STACK_FIELDS: usize = 100;

/// How much a head may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadLimits {
    pub(crate) bytes_max: usize,
    pub(crate) fields_max: usize,
}

/// Why bytes are no head of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeadFault {
    #[error("the request's head is malformed")]
    Malformed,
    #[error("the request's target is malformed")]
    Target,
    #[error("the request's target is too long")]
    TargetTooLong,
    #[error("the request's head is too large")]
    TooLarge,
    #[error("the request is of another version than HTTP/1.0 or HTTP/1.1")]
    Version,
    #[error("the request's head did not come in time")]
    TooSlow,
}

/// A head that was read.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) parts: Parts,
    pub(super) set: FieldSet,
    /// `None`: in doubt, so that the gate refuses the request and nothing more is read.
    pub(super) framing: Option<Framing>,
    /// Whether the client keeps the connection.
    pub(super) stays: bool,
}

/// Reads the heads of one connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HeadReader {
    /// So many bytes of the buffer are known not to end a head.
    scanned: usize,
}

impl HeadReader {
    /// Takes a head from the front of `buffer`; `None` while it is not complete. However it comes in pieces, no byte is looked
    /// at more than a few times.
    ///
    /// # Errors
    /// When it can be none.
    pub(super) fn take(
        &mut self,
        buffer: &mut BytesMut,
        limits: HeadLimits,
        buffers: &Buffers,
    ) -> Result<Option<Head>, HeadFault> {
        if self.scanned == 0 {
            skip_empty_lines(buffer);
        }
        if buffer.is_empty() {
            return Ok(None);
        }
        if self.scanned > 0 && !has_empty_line(&buffer[self.scanned.saturating_sub(2)..]) {
            return self.incomplete(buffer, limits).map(|()| None);
        }
        let (mut few, mut many) = ([FieldSpan::default(); STACK_FIELDS], Vec::new());
        let (parsed, spans) = match limits.fields_max {
            ..=STACK_FIELDS => {
                let mut fields = [const { MaybeUninit::<httparse::Header<'_>>::uninit() }; STACK_FIELDS];
                (parse(buffer, &mut fields[..limits.fields_max], &mut few)?, &few[..])
            }
            more => {
                many.resize(more, FieldSpan::default());
                (parse(buffer, &mut vec![MaybeUninit::uninit(); more], &mut many)?, &many[..])
            }
        };
        let Some(Parsed { bytes, method, target, version, fields }) = parsed else {
            return self.incomplete(buffer, limits).map(|()| None);
        };
        if bytes > limits.bytes_max {
            return Err(HeadFault::TooLarge);
        }
        self.scanned = 0;
        let text = buffer.split_to(bytes).freeze();
        let mut parts = Request::new(()).into_parts().0;
        parts.method = method;
        parts.uri = uri(text.slice(target.0 as usize..target.1 as usize))?;
        parts.version = if version == 1 { Version::HTTP_11 } else { Version::HTTP_10 };
        parts.headers = buffers.take_fields();
        fill(&mut parts.headers, &text, &spans[..fields])?;
        let set = FieldSet::of(&parts.headers);
        let framing = gate::framing(&parts, set).ok();
        let stays = if set.connection { keeps(&parts.headers, version == 1) } else { version == 1 };
        Ok(Some(Head { parts, set, framing, stays }))
    }

    /// # Errors
    /// When it is too long already.
    fn incomplete(&mut self, buffer: &BytesMut, limits: HeadLimits) -> Result<(), HeadFault> {
        // A lone CR may still be an empty line before the head.
        self.scanned = if **buffer == *b"\r" { 0 } else { buffer.len() };
        if buffer.len() < limits.bytes_max {
            return Ok(());
        }
        Err(if buffer.contains(&b'\n') { HeadFault::TooLarge } else { HeadFault::TargetTooLong })
    }
}

/// Takes the empty lines that may stand before a head (RFC 9112, 2.2).
fn skip_empty_lines(buffer: &mut BytesMut) {
    loop {
        match **buffer {
            [b'\r', b'\n', ..] => buffer.advance(2),
            [b'\n', ..] => buffer.advance(1),
            _ => return,
        }
    }
}

/// Whether an empty line ends in `bytes`, whose first two may belong to the line before.
fn has_empty_line(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
        rest = &rest[at + 1..];
        if matches!(rest, [b'\n', ..] | [b'\r', b'\n', ..]) {
            return true;
        }
    }
    false
}

/// Where something stands in the head: from, to.
type Span = (u32, u32);

/// Where a field's name and value stand.
#[derive(Clone, Copy, Debug, Default)]
struct FieldSpan {
    name: Span,
    value: Span,
}

/// A head by its places.
struct Parsed {
    bytes: usize,
    method: Method,
    target: Span,
    version: u8,
    /// How many.
    fields: usize,
}

/// Parses a head, and notes where its fields stand in `spans`, which has a place for each of `fields`.
fn parse<'a>(
    buffer: &'a [u8],
    fields: &mut [MaybeUninit<httparse::Header<'a>>],
    spans: &mut [FieldSpan],
) -> Result<Option<Parsed>, HeadFault> {
    let mut request = httparse::Request::new(&mut []);
    let bytes = match request.parse_with_uninit_headers(buffer, fields) {
        Ok(httparse::Status::Complete(bytes)) => bytes,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(HeadFault::TooLarge),
        Err(httparse::Error::Version) if names_a_version(buffer) => return Err(HeadFault::Version),
        Err(_) => return Err(HeadFault::Malformed),
    };
    let start = buffer.as_ptr() as usize;
    let span = |text: &[u8]| {
        let from = text.as_ptr() as usize - start;
        (from as u32, (from + text.len()) as u32)
    };
    let (method, target) = request.method.zip(request.path).ok_or(HeadFault::Malformed)?;
    for (place, one) in spans.iter_mut().zip(&*request.headers) {
        *place = FieldSpan { name: span(one.name.as_bytes()), value: span(one.value) };
    }
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| HeadFault::Malformed)?;
    let version = request.version.ok_or(HeadFault::Malformed)?;
    Ok(Some(Parsed { bytes, method, target: span(target.as_bytes()), version, fields: request.headers.len() }))
}

/// Whether a sound request line ends as one of another version of HTTP does: `HTTP/` digit `.` digit.
fn names_a_version(head: &[u8]) -> bool {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut words = line.split(|byte| *byte == b' ').skip(2);
    let version = words.next().unwrap_or_default();
    let sound = matches!(version, [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9']);
    sound && words.next().is_none() && !matches!(version, b"HTTP/1.0" | b"HTTP/1.1")
}

fn uri(target: Bytes) -> Result<Uri, HeadFault> {
    // `Uri` would drop a fragment without a word.
    if target.contains(&b'#') {
        return Err(HeadFault::Target);
    }
    let too_long = target.len() >= usize::from(u16::MAX);
    Uri::from_maybe_shared(target).map_err(|_| if too_long { HeadFault::TargetTooLong } else { HeadFault::Target })
}

/// Fills in the fields that stand at `spans` of `text`, which they share.
fn fill(headers: &mut HeaderMap, text: &Bytes, spans: &[FieldSpan]) -> Result<(), HeadFault> {
    headers.reserve(spans.len());
    for FieldSpan { name, value } in spans {
        let name = HeaderName::from_bytes(&text[name.0 as usize..name.1 as usize]);
        // An empty value may stand anywhere.
        let value = if value.0 == value.1 { Bytes::new() } else { text.slice(value.0 as usize..value.1 as usize) };
        let value = HeaderValue::from_maybe_shared(value);
        headers.append(name.map_err(|_| HeadFault::Malformed)?, value.map_err(|_| HeadFault::Malformed)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
