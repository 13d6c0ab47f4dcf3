//! Header fields as a proxy treats them: which end at this hop, which tell about the hop before, which are ours.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// The degrade level of the application, from 1 to 3; absent at 0.
pub(crate) const DEGRADE: HeaderName = HeaderName::from_static("forebay-degrade");
/// The user whose name and password a request came with, where its route asks for them.
pub(crate) const USER: HeaderName = HeaderName::from_static("forebay-user");
/// The trace of a request, 32 hex digits; on every reply.
pub(crate) const TRACE: HeaderName = HeaderName::from_static("forebay-trace");
/// How an application says what it wrote; no client sees it.
pub(crate) const WROTE: HeaderName = HeaderName::from_static("forebay-wrote");
/// The times of a request, for its client (W3C Server Timing).
pub(crate) const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
pub(crate) const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(crate) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
pub(crate) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(crate) const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(crate) const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Which of the fields that need treatment a message has: found in one pass, so that each costs nothing when absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldSet {
    pub(crate) connection: bool,
    pub(crate) length: bool,
    pub(crate) coding: bool,
    /// Hop-by-hop fields besides `Connection` and what it names.
    pub(crate) hop: bool,
    pub(crate) upgrade: bool,
    pub(crate) expect: bool,
    /// `Forwarded` or any `X-Forwarded-*`.
    pub(crate) forwarded: bool,
    /// Any `Forebay-*`.
    pub(crate) ours: bool,
    pub(crate) trace: bool,
    pub(crate) grpc_timeout: bool,
}

impl FieldSet {
    /// Looks at every name once.
    pub(crate) fn of(headers: &HeaderMap) -> FieldSet {
        let mut set = FieldSet::default();
        for name in headers.keys() {
            match *name {
                header::CONNECTION => set.connection = true,
                header::UPGRADE => set.upgrade = true,
                header::EXPECT => set.expect = true,
                header::CONTENT_LENGTH => set.length = true,
                header::TRANSFER_ENCODING => (set.coding, set.hop) = (true, true),
                header::TE => set.hop = true,
                header::FORWARDED => set.forwarded = true,
                _ => match name.as_str().as_bytes() {
                    [b'x', b'-', b'f', ..] => set.forwarded |= is_forwarded(name),
                    [b'f', b'o', ..] => set.ours |= is_ours(name),
                    [b'g', b'r', ..] => set.grpc_timeout |= name == GRPC_TIMEOUT,
                    [b't', b'r', ..] => set.trace |= name == TRACEPARENT || name == TRACESTATE,
                    [b'k', b'e', ..] | [b'p', b'r', ..] => {
                        set.hop |= name == KEEP_ALIVE || name == PROXY_CONNECTION;
                    }
                    _ => {}
                },
            }
        }
        set
    }
}

pub(crate) fn is_forwarded(name: &HeaderName) -> bool {
    *name == header::FORWARDED || name.as_str().starts_with("x-forwarded-")
}

pub(crate) fn is_ours(name: &HeaderName) -> bool {
    name.as_str().starts_with("forebay-")
}

/// Removes what ends at this hop: `Connection`, everything that it names, and the fields that RFC 9110 section 7.6.1
/// lists. Framing fields go too; the message is framed anew.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap, set: FieldSet) {
    if set.connection {
        for name in named_by_connection(headers) {
            headers.remove(name);
        }
        headers.remove(header::CONNECTION);
    }
    if set.upgrade {
        headers.remove(header::UPGRADE);
    }
    if set.hop {
        for name in [header::TE, header::TRANSFER_ENCODING, KEEP_ALIVE, PROXY_CONNECTION] {
            headers.remove(name);
        }
    }
}

fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(header::CONNECTION).iter();
    let tokens = values.filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(','));
    // In a reply `Connection: content-length` must not unframe it; in a request the gate has refused that.
    tokens
        .filter_map(|token| HeaderName::from_bytes(token.trim().as_bytes()).ok())
        .filter(|name| *name != header::CONTENT_LENGTH)
        .collect()
}

/// Removes every field whose name `unwanted` says yes to.
pub(crate) fn remove_all(headers: &mut HeaderMap, unwanted: fn(&HeaderName) -> bool) {
    let names: Vec<HeaderName> = headers.keys().filter(|name| unwanted(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// Removes from trailers what may not come late: framing, routing, authority, and our own (RFC 9110 section 6.5.1).
pub(crate) fn clean_trailers(trailers: &mut HeaderMap) {
    fn unwanted(name: &HeaderName) -> bool {
        matches!(
            *name,
            header::TRANSFER_ENCODING
                | header::CONTENT_LENGTH
                | header::HOST
                | header::CONNECTION
                | header::TE
                | header::TRAILER
                | header::UPGRADE
                | header::EXPECT
                | header::RANGE
                | header::CACHE_CONTROL
                | header::MAX_FORWARDS
                | header::AUTHORIZATION
                | header::PROXY_AUTHORIZATION
                | header::COOKIE
                | header::SET_COOKIE
                | header::CONTENT_ENCODING
                | header::CONTENT_TYPE
                | header::CONTENT_RANGE
        ) || *name == KEEP_ALIVE
            || *name == PROXY_CONNECTION
            || *name == TRACEPARENT
            || is_forwarded(name)
            || is_ours(name)
    }
    remove_all(trailers, unwanted);
}

/// What a request tells its endpoint about the client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client<'a> {
    /// The client's address, ready as a value.
    pub(crate) addr: &'a HeaderValue,
    /// Whether what it says about clients before it is believed.
    pub(crate) trusted: bool,
    /// `http` or `https`.
    pub(crate) proto: &'static str,
}

/// Where a client is and how it came, as endpoints are told.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) addr: HeaderValue,
    pub(crate) proto: &'static str,
}

/// Sees to `X-Forwarded-For`, `-Proto` and `-Host`. From a trusted peer what came in is kept and added to (`Forwarded`
/// too); from anybody else all of it is dropped. Whether nothing is left of it, so that [`write_forwarded`] says it all.
pub(crate) fn forwarded(headers: &mut HeaderMap, set: FieldSet, client: Client<'_>) -> bool {
    if !set.forwarded {
        return true;
    }
    if !client.trusted {
        remove_all(headers, is_forwarded);
        return true;
    }
    if !append_client(headers, client.addr) {
        headers.insert(FORWARDED_FOR, client.addr.clone());
    }
    if !headers.contains_key(FORWARDED_PROTO) {
        headers.insert(FORWARDED_PROTO, HeaderValue::from_static(client.proto));
    }
    if !headers.contains_key(FORWARDED_HOST)
        && let Some(host) = headers.get(header::HOST).cloned()
    {
        headers.insert(FORWARDED_HOST, host);
    }
    false
}

/// Writes what an endpoint is told about a client of which nothing is known but where it is.
pub(crate) fn write_forwarded(out: &mut Vec<u8>, headers: &HeaderMap, client: &Origin) {
    write_field(out, &FORWARDED_FOR, client.addr.as_bytes());
    write_field(out, &FORWARDED_PROTO, client.proto.as_bytes());
    if let Some(host) = headers.get(header::HOST) {
        write_field(out, &FORWARDED_HOST, host.as_bytes());
    }
}

/// Writes one field of a head.
pub(crate) fn write_field(out: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Adds the client to the lists that are there; false when there is no `X-Forwarded-For` to add to.
fn append_client(headers: &mut HeaderMap, addr: &HeaderValue) -> bool {
    let Ok(client) = addr.to_str() else { return false };
    let element = if client.contains(':') { format!("for=\"[{client}]\"") } else { format!("for={client}") };
    append(headers, header::FORWARDED, &element);
    append(headers, FORWARDED_FOR, client)
}

fn append(headers: &mut HeaderMap, name: HeaderName, element: &str) -> bool {
    let mut list: Vec<u8> = Vec::new();
    for value in headers.get_all(&name) {
        list.extend_from_slice(value.as_bytes());
        list.extend_from_slice(b", ");
    }
    if list.is_empty() {
        return false;
    }
    list.extend_from_slice(element.as_bytes());
    match HeaderValue::from_bytes(&list) {
        Ok(value) => {
            headers.insert(name, value);
            true
        }
        Err(_) => false,
    }
}
