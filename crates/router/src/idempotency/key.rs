//! A request's key and what it is told apart by. Pure.

use aws_lc_rs::digest::{Context, SHA256};
use http::HeaderMap;
use http::header::{self, HeaderName};
use http::request::Parts;

pub(super) const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Bytes of a key.
const KEY_BYTES_MAX: usize = 255;

/// A SHA-256.
pub(crate) type Hash = [u8; 32];

/// What tells two requests with one key apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    /// Of method, target and content type.
    pub(crate) head: Hash,
    /// Of the content, if it was read to its end.
    pub(crate) content: Option<Hash>,
}

/// The field is there and is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl Fingerprint {
    /// Whether the two cannot be one request.
    pub(super) fn differs(&self, other: &Fingerprint) -> bool {
        let contents = self.content.zip(other.content);
        self.head != other.head || contents.is_some_and(|(one, other)| one != other)
    }
}

/// The key of a request: a string of structured fields (RFC 9651), or the bare text that many clients send.
///
/// # Errors
/// When it is empty, too long, there twice, or not visible ASCII.
pub(super) fn of(headers: &HeaderMap) -> Result<Option<&[u8]>, Malformed> {
    let mut values = headers.get_all(KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.as_bytes();
    let key = match text {
        [b'"', inner @ .., b'"'] => inner,
        bare => bare,
    };
    let visible = key.iter().all(|byte| (0x20..0x7f).contains(byte) && *byte != b'"');
    if values.next().is_some() || key.is_empty() || key.len() > KEY_BYTES_MAX || !visible {
        return Err(Malformed);
    }
    Ok(Some(key))
}

/// What the answer is found by: the route, who asks as the application sees it, and the key.
pub(super) fn id(route: &str, headers: &HeaderMap, key: &[u8]) -> Hash {
    let who = headers.get(header::AUTHORIZATION).map_or(&b""[..], |value| value.as_bytes());
    hash(&[route.as_bytes(), who, key])
}

/// What of the head makes a request another one.
pub(super) fn head(head: &Parts) -> Hash {
    let target = head.uri.path_and_query().map_or("", |target| target.as_str());
    let kind = head.headers.get(header::CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    hash(&[head.method.as_str().as_bytes(), target.as_bytes(), kind])
}

fn hash(parts: &[&[u8]]) -> Hash {
    let mut digest = Digest::default();
    for part in parts {
        digest.update(&(part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    digest.finish()
}

/// A SHA-256 that is being computed.
pub(crate) struct Digest(Context);

impl Default for Digest {
    fn default() -> Digest {
        Digest(Context::new(&SHA256))
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Digest").finish_non_exhaustive()
    }
}

impl Digest {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> Hash {
        let mut hash = [0; 32];
        hash.copy_from_slice(self.0.finish().as_ref());
        hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn parsed(values: &[&'static str]) -> Result<Option<String>, Malformed> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(KEY, HeaderValue::from_static(value));
        }
        of(&headers).map(|key| key.map(|key| String::from_utf8(key.to_vec()).unwrap()))
    }

    #[test]
    fn a_key_is_a_string_or_a_bare_text() {
        assert_eq!(parsed(&[]), Ok(None));
        assert_eq!(parsed(&["\"8e03978e\""]), Ok(Some("8e03978e".into())));
        assert_eq!(parsed(&["8e03978e"]), Ok(Some("8e03978e".into())));
        for bad in [&["\"\""][..], &[""], &["a", "a"], &["a\"b"]] {
            assert_eq!(parsed(bad), Err(Malformed), "{bad:?}");
        }
    }

    #[test]
    fn where_one_part_ends_and_the_next_begins_counts() {
        assert_ne!(hash(&[b"ab", b"c"]), hash(&[b"a", b"bc"]));
    }

    #[test]
    fn content_that_was_not_read_tells_nobody_apart() {
        let one = Fingerprint { head: [1; 32], content: Some([2; 32]) };
        assert!(one.differs(&Fingerprint { content: Some([3; 32]), ..one }));
        assert!(one.differs(&Fingerprint { head: [3; 32], ..one }));
        assert!(!one.differs(&Fingerprint { content: None, ..one }));
    }
}
