//! The name and password that a request comes with.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, header};

/// `Authorization: Basic ...`, decoded (RFC 7617 section 2).
pub(super) struct Sent {
    bytes: Vec<u8>,
    colon: usize,
}

impl Sent {
    /// `None` when there is none, or something else.
    pub(super) fn of(headers: &HeaderMap) -> Option<Sent> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let (value, None) = (values.next()?.as_bytes(), values.next()) else { return None };
        let (scheme, rest) = value.split_at_checked(6)?;
        if !scheme.eq_ignore_ascii_case(b"basic ") {
            return None;
        }
        let bytes = BASE64_STANDARD.decode(rest.trim_ascii()).ok()?;
        let colon = bytes.iter().position(|byte| *byte == b':')?;
        Some(Sent { bytes, colon })
    }

    pub(super) fn name(&self) -> &[u8] {
        &self.bytes[..self.colon]
    }

    pub(super) fn password(&self) -> &[u8] {
        &self.bytes[self.colon + 1..]
    }
}

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sent")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(values: &[&str]) -> Option<(Vec<u8>, Vec<u8>)> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, value.parse().unwrap());
        }
        Sent::of(&headers).map(|sent| (sent.name().to_vec(), sent.password().to_vec()))
    }

    #[test]
    fn a_name_ends_at_the_first_colon() {
        // RFC 7617 section 2 and 2.1.
        let aladdin = Some((b"Aladdin".to_vec(), b"open sesame".to_vec()));
        assert_eq!(sent(&["Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="]), aladdin);
        assert_eq!(sent(&["bAsIc  QWxhZGRpbjpvcGVuIHNlc2FtZQ=="]), aladdin);
        assert_eq!(sent(&["Basic dGVzdDoxMjPCow=="]), Some((b"test".to_vec(), "123£".into())));
        assert_eq!(sent(&["Basic YTpiOmM="]), Some((b"a".to_vec(), b"b:c".to_vec())));
    }

    #[test]
    fn what_is_something_else_is_nothing() {
        for value in ["", "Basic", "Basic ", "Bearer QWxhZGRpbg==", "Basic !", "Basic QWxhZGRpbg==", "Basic QWxhZGRpb"]
        {
            assert_eq!(sent(&[value]), None, "{value}");
        }
        assert_eq!(sent(&[]), None);
        assert_eq!(sent(&["Basic YTpiOmM=", "Basic YTpiOmM="]), None, "who of both?");
    }
}
