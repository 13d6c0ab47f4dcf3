//! What a route asks of requests without TLS. Pure.

use http::header::{HeaderMap, HeaderValue};
use http::request::Parts;

use crate::config::HttpsConfig;
use crate::conn::Conn;
use crate::fields::FORWARDED_PROTO;

/// `https` of a route.
#[derive(Debug)]
pub(crate) struct Https {
    pub(crate) redirect: bool,
    /// `Strict-Transport-Security`.
    pub(crate) hsts: Option<HeaderValue>,
}

impl Https {
    pub(crate) fn of(config: &HttpsConfig) -> Https {
        let subdomains = if config.hsts_subdomains { "; includeSubDomains" } else { "" };
        let hsts = config.hsts_max_age_s.map(|age| format!("max-age={age}{subdomains}"));
        Https { redirect: config.redirect, hsts: hsts.and_then(|text| HeaderValue::try_from(text).ok()) }
    }
}

/// Whether a request has come by TLS, as far as its own router or one before it knows.
pub(crate) fn is_secure(conn: &Conn, headers: &HeaderMap) -> bool {
    let says_so = || {
        let mut all = headers.get_all(&FORWARDED_PROTO).iter();
        // The first one is the client's; a second field would be for another reader.
        let first = all.next().filter(|_| all.next().is_none());
        let first = first.and_then(|value| value.to_str().ok()).and_then(|text| text.split(',').next());
        first.is_some_and(|proto| proto.trim().eq_ignore_ascii_case("https"))
    };
    conn.secured.is_some() || (conn.trusted && says_so())
}

/// The same address with TLS. `host` has been through the gate.
pub(crate) fn location(host: &str, head: &Parts, port: Option<u16>) -> Option<HeaderValue> {
    let port = port.filter(|port| *port != 443).map_or_else(String::new, |port| format!(":{port}"));
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let target = if target.starts_with('/') { target } else { "/" };
    HeaderValue::try_from(format!("https://{host}{port}{target}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn head(target: &str) -> Parts {
        Request::options(target).body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_same_address_with_tls() {
        assert_eq!(location("a.example", &head("/x?y=1"), None).unwrap(), "https://a.example/x?y=1");
        assert_eq!(location("a.example", &head("/"), Some(443)).unwrap(), "https://a.example/");
        assert_eq!(location("[::1]", &head("*"), Some(8443)).unwrap(), "https://[::1]:8443/");
    }

    #[test]
    fn what_browsers_are_told() {
        let hsts = |hsts_max_age_s, hsts_subdomains| {
            Https::of(&HttpsConfig { redirect: false, hsts_max_age_s, hsts_subdomains }).hsts
        };
        assert_eq!(hsts(None, true), None);
        assert_eq!(hsts(Some(60), false).unwrap(), "max-age=60");
        assert_eq!(hsts(Some(0), true).unwrap(), "max-age=0; includeSubDomains");
    }
}
