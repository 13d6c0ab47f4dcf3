//! Refusals in gRPC's words ("PROTOCOL-HTTP2", "Responses" and "HTTP2 Transport Mapping"): its clients read a status in
//! trailers, and make up their own of anything else. Pure.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};

pub(super) const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const TYPE: &[u8] = b"application/grpc";

/// Whether a message is gRPC's.
pub(super) fn is(headers: &HeaderMap) -> bool {
    let of = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    match of.strip_prefix(TYPE) {
        // Not `application/grpc-web`, whose trailers stand in the content.
        Some(rest) => matches!(rest.first(), None | Some(b'+' | b';' | b' ')),
        None => false,
    }
}

/// What a gRPC client is told in place of a reply that is none of gRPC's: a status alone, without content.
pub(super) fn refusal(status: StatusCode, of: &mut HeaderMap) -> Response<()> {
    let (code, message) = status_of(status);
    let mut response = Response::new(());
    let headers = response.headers_mut();
    if let Some(retry) = of.remove(header::RETRY_AFTER) {
        headers.insert(header::RETRY_AFTER, retry);
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(STATUS, HeaderValue::from_static(code));
    headers.insert(MESSAGE, HeaderValue::from_static(message));
    response
}

/// The code of a status, and what is said beside it.
fn status_of(status: StatusCode) -> (&'static str, &'static str) {
    match status {
        StatusCode::REQUEST_TIMEOUT => ("1", "the request came too slowly"),
        StatusCode::GATEWAY_TIMEOUT => ("4", "no answer in time"),
        StatusCode::FORBIDDEN => ("7", "forbidden"),
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE | StatusCode::URI_TOO_LONG => {
            ("8", "the request is too large")
        }
        StatusCode::TOO_MANY_REQUESTS => ("8", "too many requests"),
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => ("12", "nothing is served here"),
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE => ("14", "not available right now"),
        StatusCode::UNAUTHORIZED => ("16", "not authenticated"),
        status if status.is_client_error() => ("13", "the request is malformed or ambiguous"),
        _ => ("2", "the answer was none of gRPC's"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_is_known_by_its_type() {
        let is_it = |of: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("content-type", HeaderValue::from_static(of));
            is(&headers)
        };
        assert!(is_it("application/grpc") && is_it("application/grpc+proto") && is_it("application/grpc; a=b"));
        assert!(!is_it("application/grpc-web") && !is_it("application/json") && !is(&HeaderMap::new()));
    }

    #[test]
    fn a_refusal_is_a_status_alone() {
        let mut of = HeaderMap::new();
        of.insert("retry-after", HeaderValue::from_static("7"));
        of.insert("content-type", HeaderValue::from_static("text/plain"));
        let said = refusal(StatusCode::SERVICE_UNAVAILABLE, &mut of);
        assert_eq!(said.status(), 200);
        let headers = said.headers();
        assert_eq!((&headers["grpc-status"], &headers["retry-after"]), (&"14".parse().unwrap(), &"7".parse().unwrap()));
        assert_eq!(headers["content-type"], "application/grpc");
        for (status, code) in [(504, "4"), (404, "12"), (413, "8"), (400, "13"), (502, "14"), (500, "2"), (302, "2")] {
            let said = refusal(StatusCode::from_u16(status).unwrap(), &mut HeaderMap::new());
            assert_eq!(said.headers()["grpc-status"], code, "{status}");
        }
    }
}
