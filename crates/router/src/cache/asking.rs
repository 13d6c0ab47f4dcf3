//! A request as the cache sees it.

use std::sync::Arc;

use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use http_cache::{Key, Policy, Request, primary_key};

use crate::edge;
use crate::exchange::Exchange;
use crate::fields::FORWARDED_HOST;
use crate::outbound::Outbound;

/// What of a request outlives its head; its fields come beside it.
#[derive(Clone, Debug)]
pub(super) struct Asking {
    pub(super) policy: Arc<Policy>,
    pub(super) method: Method,
    scheme: &'static str,
    authority: Box<str>,
    target: Box<str>,
}

/// A request that waits, as it can be told to other workers.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) asking: Asking,
    pub(super) headers: HeaderMap,
}

impl Asking {
    pub(super) fn of(exchange: &Exchange, outbound: &Outbound, policy: &Arc<Policy>) -> Asking {
        let head = outbound.head();
        let host = head.headers.get(HOST).and_then(|host| host.to_str().ok());
        // By what its client asks for: that is what is purged, and what writes and `Location` speak of.
        let target = match &exchange.address {
            Some(address) => address,
            None => head.uri.path_and_query().map_or("/", |target| target.as_str()),
        };
        Asking {
            policy: Arc::clone(policy),
            method: head.method.clone(),
            scheme: if edge::is_secure(&exchange.conn, &head.headers) { "https" } else { "http" },
            authority: host.unwrap_or_default().into(),
            target: target.into(),
        }
    }

    pub(super) fn is_read(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD)
    }

    pub(super) fn view<'a>(&'a self, headers: &'a HeaderMap) -> Request<'a> {
        let Asking { method, scheme, authority, target, .. } = self;
        Request { method, scheme, authority, target, headers }
    }

    /// The key of another target of the same origin.
    pub(super) fn key_for(&self, route: &str, target: &str, headers: &HeaderMap) -> Key {
        // A peer that is believed may name another host than it asks for, and the application may go by that.
        let named = headers.get(FORWARDED_HOST).and_then(|host| host.to_str().ok());
        match named.filter(|named| **named != *self.authority) {
            None => primary_key(route, self.scheme, &self.authority, target),
            Some(named) => primary_key(&format!("{route} {named}"), self.scheme, &self.authority, target),
        }
    }
}

/// The key of what a request asks for on a route.
pub(super) fn key_of(route: &str, asking: &Asking, headers: &HeaderMap) -> Key {
    asking.key_for(route, &asking.target, headers)
}

impl Waiting {
    pub(super) fn fits(&self, stored: &http_cache::Stored) -> bool {
        self.asking.policy.selects(&self.asking.view(&self.headers), stored)
    }
}

/// The same fields, in memory of their own: they outlive the buffer that a head was read into.
pub(crate) fn copied(headers: &HeaderMap) -> HeaderMap {
    let mut copy = HeaderMap::with_capacity(headers.keys_len());
    for (name, value) in headers {
        if let Some(value) = own(value) {
            copy.append(HeaderName::clone(name), value);
        }
    }
    copy
}

fn own(value: &HeaderValue) -> Option<HeaderValue> {
    HeaderValue::from_bytes(value.as_bytes()).ok()
}
