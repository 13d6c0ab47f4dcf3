//! An answer as the journal holds it (`docs/formats/router.md`). Pure.

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use stdx::clock::Wall;
use wal::attr::{self, Encoder};

use super::key::{Fingerprint, Hash};

/// The kind of the journal's records.
pub(super) const ANSWER: u8 = 1;

const KEY: u8 = 1;
const UNTIL: u8 = 2;
const HEAD: u8 = 3;
const CONTENT_HASH: u8 = 4;
const STATUS: u8 = 5;
const FIELD_NAME: u8 = 6;
const FIELD_VALUE: u8 = 7;
const CONTENT: u8 = 8;

/// A first answer, whole.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) response: Response<Bytes>,
    /// Not for the first time.
    pub(crate) again: bool,
}

/// What a record says about itself beside the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) key: Hash,
    pub(super) until: Wall,
    pub(super) fingerprint: Fingerprint,
}

pub(super) fn encode(label: &Label, answer: &Response<Bytes>) -> Bytes {
    let mut out = Vec::with_capacity(answer.body().len() + 512);
    let mut into = Encoder::new(&mut out);
    into.bytes(KEY, &label.key).u64(UNTIL, label.until.0).bytes(HEAD, &label.fingerprint.head);
    if let Some(hash) = &label.fingerprint.content {
        into.bytes(CONTENT_HASH, hash);
    }
    into.u64(STATUS, answer.status().as_u16().into());
    for (name, value) in answer.headers() {
        into.str(FIELD_NAME, name.as_str()).bytes(FIELD_VALUE, value.as_bytes());
    }
    into.bytes(CONTENT, answer.body());
    out.into()
}

/// Reads a record; `None` when it is none. Attributes of later versions are skipped.
pub(super) fn decode(payload: &[u8]) -> Option<(Label, Response<Bytes>)> {
    let (mut key, mut until, mut head, mut content) = (None, None, None, None);
    let mut answer = Response::new(Bytes::new());
    let mut fields = HeaderMap::new();
    let mut name = None;
    for attr in attr::decode(payload) {
        let attr = attr.ok()?;
        match attr.tag {
            KEY => key = Some(attr.array().ok()?),
            UNTIL => until = Some(Wall(attr.u64().ok()?)),
            HEAD => head = Some(attr.array().ok()?),
            CONTENT_HASH => content = Some(attr.array().ok()?),
            STATUS => *answer.status_mut() = StatusCode::from_u16(u16::try_from(attr.u64().ok()?).ok()?).ok()?,
            FIELD_NAME => name = Some(HeaderName::from_bytes(attr.value).ok()?),
            FIELD_VALUE => {
                fields.append(name.take()?, HeaderValue::from_bytes(attr.value).ok()?);
            }
            CONTENT => *answer.body_mut() = Bytes::copy_from_slice(attr.value),
            _ => {}
        }
    }
    *answer.headers_mut() = fields;
    let fingerprint = Fingerprint { head: head?, content };
    Some((Label { key: key?, until: until?, fingerprint }, answer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop, prop_assert_eq, proptest};

    proptest! {
        #[test]
        fn what_is_written_is_read(
            key in any::<[u8; 32]>(),
            until in any::<u64>(),
            hash in any::<Option<[u8; 32]>>(),
            status in 100_u16..1000,
            fields in prop::collection::vec(("[a-z]{1,9}", "[ -~]{0,20}"), 0..6),
            content in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let label = Label { key, until: Wall(until), fingerprint: Fingerprint { head: key, content: hash } };
            let mut answer = Response::new(Bytes::from(content));
            *answer.status_mut() = StatusCode::from_u16(status).unwrap();
            for (name, value) in &fields {
                let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
                answer.headers_mut().append(name, HeaderValue::from_str(value).unwrap());
            }
            let (read, back) = decode(&encode(&label, &answer)).unwrap();
            prop_assert_eq!(read, label);
            prop_assert_eq!((back.status(), back.headers(), back.body()), (answer.status(), answer.headers(), answer.body()));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            decode(&bytes);
        }
    }
}
