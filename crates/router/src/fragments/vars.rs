//! The variables of a page are those of its request.

use esi::Vars;
use http::HeaderName;
use http::header::{ACCEPT_LANGUAGE, COOKIE, REFERER, USER_AGENT};

use super::Page;

impl Vars for Page {
    fn get(&self, name: &str, key: Option<&str>) -> Option<String> {
        match (name, key) {
            ("HTTP_HOST", None) => Some(self.host.to_string()),
            ("REQUEST_PATH", None) => Some(self.address.path().to_string()),
            ("QUERY_STRING", None) => Some(self.query.to_string()),
            ("QUERY_STRING", Some(key)) => parameter(&self.query, key),
            ("HTTP_COOKIE", None) => self.field(&COOKIE).map(String::from),
            ("HTTP_COOKIE", Some(key)) => {
                let cookies = self.headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
                let mut pairs =
                    cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
                pairs.find(|(name, _)| *name == key).map(|(_, value)| value.to_string())
            }
            ("HTTP_USER_AGENT", None) => self.field(&USER_AGENT).map(String::from),
            ("HTTP_REFERER", None) => self.field(&REFERER).map(String::from),
            ("HTTP_ACCEPT_LANGUAGE", None) => self.field(&ACCEPT_LANGUAGE).map(String::from),
            ("HTTP_ACCEPT_LANGUAGE", Some(key)) => {
                let accepts = self.field(&ACCEPT_LANGUAGE)?.split(',').filter_map(|one| one.split(';').next());
                let accepts = accepts.map(str::trim).any(|one| one.eq_ignore_ascii_case(key));
                Some(accepts.to_string())
            }
            _ => None,
        }
    }
}

impl Page {
    fn field(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// The value of one parameter of a query.
fn parameter(query: &str, key: &str) -> Option<String> {
    let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.find(|(name, _)| decoded(name) == key).map(|(_, value)| decoded(value))
}

/// A part of a query without its percent-encoding. What is no text any more has replacement characters.
fn decoded(part: &str) -> String {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let of_hex = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
        match (byte, after.get(..2).filter(|two| two.iter().all(u8::is_ascii_hexdigit)).and_then(of_hex)) {
            (b'%', Some(meant)) => {
                bytes.push(meant);
                rest = &after[2..];
            }
            (b'+', _) => bytes.push(b' '),
            _ => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_decoded_and_an_absent_one_is_none() {
        let query = "a=1&na%6De=x+y%26z&flag&bad=%zz%4";
        for (key, value) in
            [("a", Some("1")), ("name", Some("x y&z")), ("flag", Some("")), ("bad", Some("%zz%4")), ("b", None)]
        {
            assert_eq!(parameter(query, key).as_deref(), value, "{key}");
        }
    }
}
