//! Protocols that a client asks to go on with on its connection: WebSocket (RFC 6455) and nothing else. Pure.
//!
//! The endpoint is asked as the client has asked; only its `101` makes the connection a tunnel, and nothing that the client
//! sends before that leaves as anything but HTTP.

use http::header::{self, HeaderMap};
use http::request::Parts;
use http::{Method, Version};

use crate::fields::FieldSet;

/// What is said at each hop when it goes on with WebSocket.
pub(crate) const FIELDS: &[u8] = b"connection: upgrade\r\nupgrade: websocket\r\n";

/// Whether a request asks for WebSocket. One with content does not, nor one of HTTP/1.0 (RFC 9110, 7.8).
pub(crate) fn is_asked(head: &Parts, set: FieldSet) -> bool {
    set.upgrade
        && set.connection
        && !set.length
        && !set.coding
        && head.method == Method::GET
        && head.version == Version::HTTP_11
        && is_websocket(&head.headers)
        && connection_says_so(&head.headers)
}

/// Whether `Upgrade` names WebSocket alone.
pub(crate) fn is_websocket(headers: &HeaderMap) -> bool {
    let mut all = headers.get_all(header::UPGRADE).iter();
    let named = all.next().is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    named && all.next().is_none()
}

fn connection_says_so(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::CONNECTION).iter();
    let mut tokens = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    tokens.any(|token| token.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn asked(request: http::request::Builder) -> bool {
        let head = request.body(()).unwrap().into_parts().0;
        is_asked(&head, FieldSet::of(&head.headers))
    }

    #[test]
    fn what_asks_for_websocket() {
        let request =
            |method: &str| Request::builder().method(method).uri("/").header("connection", "keep-alive, Upgrade");
        assert!(asked(request("GET").header("upgrade", "WebSocket")));
        for other in [
            request("POST").header("upgrade", "websocket"),
            request("GET").header("upgrade", "h2c"),
            request("GET").header("upgrade", "websocket, h2c"),
            request("GET").header("upgrade", "websocket").header("upgrade", "h2c"),
            request("GET").header("upgrade", "websocket").header("content-length", "0"),
            request("GET").header("upgrade", "websocket").header("transfer-encoding", "chunked"),
            request("GET").header("upgrade", "websocket").version(Version::HTTP_10),
            request("GET"),
            Request::get("/").header("upgrade", "websocket"),
            Request::get("/").header("upgrade", "websocket").header("connection", "close"),
        ] {
            assert!(!asked(other));
        }
    }
}
