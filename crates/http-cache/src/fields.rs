//! Lists in header fields, and the fields that are not stored.

use http::header::{AGE, CONNECTION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName};

/// The members of a comma-separated list, trimmed, the empty ones too; commas in quoted strings do not separate.
pub(crate) fn members(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(list);
    std::iter::from_fn(move || {
        let list = rest?;
        let end = member_end(list);
        rest = list.get(end + 1..);
        Some(list[..end].trim_ascii())
    })
}

fn member_end(list: &[u8]) -> usize {
    let mut quoted = false;
    let mut escaped = false;
    for (at, byte) in list.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => return at,
            _ => {}
        }
    }
    list.len()
}

/// Removes what belongs to the connection (RFC 9111 section 3.1), and `Age`, which is made anew for every use.
pub(crate) fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|line| members(line.as_bytes()))
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in [AGE, CONNECTION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
    for name in ["keep-alive", "proxy-authentication-info", "proxy-connection"] {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_commas_do_not_separate() {
        let list: Vec<&[u8]> = members(br#"a, b="c, \"d", ,e"#).collect();
        assert_eq!(list, [&b"a"[..], br#"b="c, \"d""#, b"", b"e"]);
    }

    #[test]
    fn what_connection_names_goes_too() {
        let mut headers = HeaderMap::new();
        headers.insert(CONNECTION, "x-a, keep-alive".parse().unwrap());
        for name in ["x-a", "keep-alive", "age", "x-b"] {
            headers.insert(name, "1".parse().unwrap());
        }
        strip(&mut headers);
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["x-b"]);
    }
}
