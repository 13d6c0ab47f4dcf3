//! Entity tags (RFC 9110 section 8.8.3).

use http::HeaderMap;
use http::header::ETAG;

use crate::fields::members;

/// Whether two tags are equal without regard to weakness. What is not quoted is compared as it stands, with one kindness:
/// a client that lost the quotes, or an origin that never sent any, still means the same tag.
pub(crate) fn weak_equal(one: &[u8], other: &[u8]) -> bool {
    opaque(one) == opaque(other)
}

/// Whether two tags are equal and neither is weak.
pub(crate) fn strong_equal(one: &[u8], other: &[u8]) -> bool {
    is_strong(one) && one == other
}

pub(crate) fn is_strong(tag: &[u8]) -> bool {
    tag.len() >= 2 && tag.starts_with(b"\"") && tag.ends_with(b"\"")
}

/// Whether `If-None-Match` or `If-Match` lists a tag that `equal` takes for `tag`.
pub(crate) fn any(list: &[u8], tag: &[u8], equal: fn(&[u8], &[u8]) -> bool) -> bool {
    members(list).any(|member| equal(member, tag))
}

/// The tag of a response, when it has exactly one.
pub(crate) fn of(headers: &HeaderMap) -> Option<&http::HeaderValue> {
    let mut lines = headers.get_all(ETAG).iter();
    let tag = lines.next().filter(|tag| !tag.is_empty())?;
    lines.next().is_none().then_some(tag)
}

fn opaque(tag: &[u8]) -> &[u8] {
    let tag = tag.strip_prefix(b"W/").or_else(|| tag.strip_prefix(b"w/")).unwrap_or(tag);
    if is_strong(tag) { &tag[1..tag.len() - 1] } else { tag }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9110_table_of_comparisons() {
        for (one, other, strong, weak) in [
            (r#"W/"1""#, r#"W/"1""#, false, true),
            (r#"W/"1""#, r#"W/"2""#, false, false),
            (r#"W/"1""#, r#""1""#, false, true),
            (r#""1""#, r#""1""#, true, true),
            (r#""1""#, "1", false, true),
        ] {
            let (one, other) = (one.as_bytes(), other.as_bytes());
            assert_eq!((strong_equal(one, other), weak_equal(one, other)), (strong, weak), "{one:?} {other:?}");
        }
    }
}
