//! Which requests a policy means. Pure.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::{self, HeaderName, HeaderValue};

use crate::config::{PriorityConfig, RequestKey, RequestMatch};
use crate::conn::Conn;
use crate::fields::FORWARDED_FOR;
use crate::peers::{Network, TrustedPeers};

/// What of a request can be looked at: its fields as the client sent them, and where it comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) headers: &'a HeaderMap,
    pub(crate) path: &'a str,
    pub(crate) peer: IpAddr,
}

/// Requests of one kind.
#[derive(Debug)]
pub(crate) struct Matcher {
    header: Option<HeaderName>,
    cookie: Option<Box<str>>,
    value: Option<Box<str>>,
    network: Option<Network>,
    /// What is meant cannot be: no request is.
    never: bool,
}

/// Priorities of a route's requests.
#[derive(Debug)]
pub(crate) struct Priorities {
    default: u8,
    classes: Vec<(Matcher, u8)>,
}

impl Matcher {
    pub(crate) fn of(config: &RequestMatch) -> Matcher {
        let header = config.header.as_ref().map(|name| HeaderName::from_bytes(name.as_bytes()));
        let network = config.network.as_ref().map(|text| Network::parse(text));
        let never = matches!(header, Some(Err(_))) || matches!(network, Some(None));
        Matcher {
            header: header.and_then(Result::ok),
            cookie: config.cookie.as_deref().map(Into::into),
            value: config.value.as_deref().map(Into::into),
            network: network.flatten(),
            never,
        }
    }

    /// Whether everything that is said applies.
    pub(crate) fn takes(&self, asked: Asked<'_>) -> bool {
        let value = |found: &[u8]| self.value.as_ref().is_none_or(|value| value.as_bytes() == found);
        let header =
            |name: &HeaderName| asked.headers.get_all(name).iter().any(|found| value(found.as_bytes().trim_ascii()));
        !self.never
            && self.network.is_none_or(|network| network.contains(asked.peer.to_canonical()))
            && self.header.as_ref().is_none_or(header)
            && self.cookie.as_ref().is_none_or(|name| cookie(asked.headers, name).is_some_and(value))
    }
}

impl Priorities {
    pub(crate) fn of(config: &PriorityConfig) -> Priorities {
        let classes = config.classes.iter().map(|class| (Matcher::of(&class.of), class.priority.min(7))).collect();
        Priorities { default: config.default.min(7), classes }
    }

    /// The priority of a request: 0 comes first.
    pub(crate) fn priority(&self, asked: Asked<'_>) -> u8 {
        let class = self.classes.iter().find(|(matcher, _)| matcher.takes(asked));
        class.map_or(self.default, |(_, priority)| *priority)
    }
}

/// The address of the client: that of the peer, or where trusted peers have passed the request on the nearest that none of
/// them has.
pub(crate) fn client(conn: &Conn, headers: &HeaderMap, trusted: &TrustedPeers) -> IpAddr {
    let peer = conn.peer.ip().to_canonical();
    if !conn.trusted {
        return peer;
    }
    let values = headers.get_all(FORWARDED_FOR).iter().rev().filter_map(|value| value.to_str().ok());
    let mut passed_on = values.flat_map(|text| text.rsplit(',')).map_while(|one| one.trim().parse::<IpAddr>().ok());
    passed_on.find(|addr| !trusted.contains(*addr)).map_or(peer, |addr| addr.to_canonical())
}

/// What a request is told apart by; `None`: by its address.
pub(crate) fn key_of<'a>(key: &RequestKey, asked: Asked<'a>) -> Option<&'a [u8]> {
    match key {
        RequestKey::Route => Some(b""),
        RequestKey::Path => Some(asked.path.as_bytes()),
        RequestKey::Header(name) => asked.headers.get(name.as_str()).map(HeaderValue::as_bytes),
        RequestKey::Cookie(name) => cookie(asked.headers, name),
        RequestKey::Ip => None,
    }
}

/// The value of a cookie; of two with the same name the first.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let values = headers.get_all(header::COOKIE).iter();
    let mut pairs = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b';')).map(<[u8]>::trim_ascii);
    pairs.find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PriorityClass;

    fn priority(classes: Vec<PriorityClass>, fields: &[(&'static str, &'static str)], peer: &str) -> u8 {
        let fields = fields.iter();
        let headers =
            fields.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect();
        let asked = Asked { headers: &headers, path: "/", peer: peer.parse().unwrap() };
        Priorities::of(&PriorityConfig { default: 4, classes }).priority(asked)
    }

    fn class(priority: u8, change: impl FnOnce(&mut RequestMatch)) -> PriorityClass {
        let mut of = RequestMatch::default();
        change(&mut of);
        PriorityClass { of, priority }
    }

    #[test]
    fn classes_are_told_apart_by_fields_cookies_values_and_networks() {
        let classes = || {
            vec![
                class(0, |of| of.network = Some("10.0.0.0/8".into())),
                class(1, |of| (of.header, of.value) = (Some("X-Plan".into()), Some("paid".into()))),
                class(2, |of| of.cookie = Some("session".into())),
                class(7, |of| of.header = Some("x-crawler".into())),
            ]
        };
        assert_eq!(priority(classes(), &[], "192.0.2.1"), 4);
        assert_eq!(priority(classes(), &[], "::ffff:10.1.2.3"), 0);
        assert_eq!(priority(classes(), &[("x-plan", " paid")], "192.0.2.1"), 1);
        assert_eq!(priority(classes(), &[("x-plan", "free"), ("x-crawler", "")], "192.0.2.1"), 7);
        assert_eq!(priority(classes(), &[("cookie", "a=b; session=1")], "192.0.2.1"), 2);
        assert_eq!(priority(classes(), &[("cookie", "xsession=1; sessions=2")], "192.0.2.1"), 4);
    }

    #[test]
    fn everything_that_is_said_must_apply_and_nonsense_takes_nobody() {
        let both = |of: &mut RequestMatch| (of.header, of.network) = (Some("x".into()), Some("10.0.0.1".into()));
        assert_eq!(priority(vec![class(1, both)], &[("x", "y")], "10.0.0.1"), 1);
        assert_eq!(priority(vec![class(1, both)], &[("x", "y")], "10.0.0.2"), 4);
        assert_eq!(priority(vec![class(1, |of| of.network = Some("office".into()))], &[], "10.0.0.1"), 4);
        assert_eq!(priority(vec![class(1, |of| of.header = Some("a b".into()))], &[], "10.0.0.1"), 4);
    }
}
