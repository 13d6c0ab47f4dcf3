//! What connections must have in common to carry each other's requests.

use std::net::SocketAddr;

use net::reach::Reach;

use crate::config::Protocol;
use crate::endpoint::EndpointKey;
use crate::snapshot::Target;

/// An endpoint, and how it is come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Way {
    pub(crate) endpoint: EndpointKey,
    /// The TLS that it is come to by; 0: none.
    tls: u32,
    /// The client that the endpoint was told of when the connection began.
    client: Option<SocketAddr>,
}

impl Way {
    /// The way to `endpoint` by `reach`, for a client.
    pub(crate) fn new(endpoint: EndpointKey, reach: Option<&Reach>, client: SocketAddr) -> Way {
        let (endpoint, tls) = Way::place_of(endpoint, reach);
        let told = reach.is_some_and(|reach| reach.proxy_protocol.is_some());
        Way { endpoint, tls, client: told.then_some(client) }
    }

    /// What is the same for all clients.
    pub(crate) fn place(&self) -> (EndpointKey, u32) {
        (self.endpoint, self.tls)
    }

    /// The place of an endpoint that is come to by `reach`.
    pub(crate) fn place_of(endpoint: EndpointKey, reach: Option<&Reach>) -> (EndpointKey, u32) {
        (endpoint, reach.and_then(|reach| reach.tls.as_ref()).map_or(0, |connector| connector.id()))
    }
}

/// What may be spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speech {
    Http1,
    Http2,
    /// What the endpoint prefers.
    Either,
}

impl Target {
    /// What may be spoken with it. A connection that is to become another's (`upgrades`) can only be of HTTP/1.1.
    pub(crate) fn speech(&self, upgrades: bool) -> Speech {
        match self.reach.as_ref().and_then(|reach| reach.tls.as_ref()) {
            None if self.protocol == Protocol::H2c => Speech::Http2,
            None => Speech::Http1,
            Some(tls) if !tls.offers_http2() || (upgrades && tls.offers_http1()) => Speech::Http1,
            Some(_) => Speech::Either,
        }
    }
}
