//! The health checking protocol of gRPC, `grpc.health.v1` (grpc/grpc `doc/health-checking.md`): its one question and its
//! answer as bytes. Pure.

use http::header::{self, HeaderMap, HeaderValue};
use http::request::{Builder, Request};
use http::{Method, Version};

use super::Failure;

/// What an answer may have at most: one number is all that is read of it.
pub(super) const ANSWER_BYTES_MAX: usize = 4 << 10;

const SERVING: u64 = 1;
/// Bytes before a message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// The head of the question, without its target.
pub(super) fn head() -> Builder {
    Request::builder()
        .method(Method::POST)
        .version(Version::HTTP_2)
        .header(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"))
        .header(header::TE, HeaderValue::from_static("trailers"))
}

/// The path of the question.
pub(super) const PATH: &str = "/grpc.health.v1.Health/Check";

/// `HealthCheckRequest { service }` with its prefix.
pub(super) fn question(service: &str) -> Vec<u8> {
    let mut message = Vec::new();
    if !service.is_empty() {
        // Field 1, of a length.
        message.push(0x0a);
        put_varint(&mut message, service.len() as u64);
        message.extend_from_slice(service.as_bytes());
    }
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[0][..], &length.to_be_bytes(), &message].concat()
}

/// What the answer comes to: its content, and the fields that say how the call went: trailers, or the head of an answer
/// without content.
///
/// # Errors
/// Why the service cannot be called healthy.
pub(super) fn judge(content: &[u8], status: &HeaderMap) -> Result<(), Failure> {
    let field = |name: &str| status.get(name).and_then(|value| value.to_str().ok());
    let code = field("grpc-status").and_then(|code| code.parse::<u16>().ok());
    match code {
        Some(0) => {}
        Some(code) => {
            return Err(Failure::Grpc(code, field("grpc-message").unwrap_or_default().chars().take(200).collect()));
        }
        None => return Err(Failure::NotGrpc("it ends without a grpc-status".into())),
    }
    let malformed = || Failure::NotGrpc("its message is malformed".into());
    let (prefix, message) = content.split_first_chunk::<PREFIX>().ok_or_else(malformed)?;
    let [compressed, length @ ..] = *prefix;
    if compressed != 0 || usize::try_from(u32::from_be_bytes(length)).ok() != Some(message.len()) {
        return Err(malformed());
    }
    match serving_status(message).ok_or_else(malformed)? {
        SERVING => Ok(()),
        other => Err(Failure::NotServing(match other {
            0 => "UNKNOWN",
            2 => "NOT_SERVING",
            3 => "SERVICE_UNKNOWN",
            _ => "a status that does not exist",
        })),
    }
}

/// Field 1 of `HealthCheckResponse`; others are passed over, as a newer server may send some.
fn serving_status(mut message: &[u8]) -> Option<u64> {
    let mut status = 0;
    while !message.is_empty() {
        let key = take_varint(&mut message)?;
        match key & 7 {
            0 => {
                let value = take_varint(&mut message)?;
                if key >> 3 == 1 {
                    status = value;
                }
            }
            1 => message = message.get(8..)?,
            2 => {
                let length = usize::try_from(take_varint(&mut message)?).ok()?;
                message = message.get(length..)?;
            }
            5 => message = message.get(4..)?,
            _ => return None,
        }
    }
    Some(status)
}

fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop, proptest};

    fn trailers(status: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), HeaderValue::from_static(status))])
    }

    #[test]
    fn a_service_is_asked_for_by_its_name() {
        assert_eq!(question(""), [0, 0, 0, 0, 0]);
        assert_eq!(question("shop.Cart"), *b"\0\0\0\0\x0b\x0a\x09shop.Cart");
        let long = question(&"x".repeat(300));
        assert_eq!(long[..8], [0, 0, 0, 1, 47, 0x0a, 0xac, 0x02]);
    }

    #[test]
    fn serving_alone_is_healthy() {
        assert_eq!(judge(b"\0\0\0\0\x02\x08\x01", &trailers("0")), Ok(()));
        assert_eq!(judge(b"\0\0\0\0\x05\x12\x01x\x08\x01", &trailers("0")), Ok(()), "a field of a newer server");
        assert_eq!(judge(b"\0\0\0\0\x02\x08\x02", &trailers("0")), Err(Failure::NotServing("NOT_SERVING")));
        assert_eq!(judge(b"\0\0\0\0\0", &trailers("0")), Err(Failure::NotServing("UNKNOWN")));
        assert_eq!(judge(b"", &trailers("5")), Err(Failure::Grpc(5, String::new())));
        let failures = [
            judge(b"\0\0\0\0\x02\x08\x01", &HeaderMap::new()),
            judge(b"\x01\0\0\0\x02\x08\x01", &trailers("0")),
            judge(b"\0\0\0\0\x03\x08\x01", &trailers("0")),
            judge(b"\0\0\0\0\x02\x08\x81", &trailers("0")),
        ];
        assert!(failures.iter().all(|one| matches!(one, Err(Failure::NotGrpc(_)))), "{failures:?}");
    }

    proptest! {
        #[test]
        fn garbage_never_panics(content in prop::collection::vec(any::<u8>(), 0..40)) {
            if judge(&content, &trailers("0")).is_ok() {
                proptest::prop_assert!(content.len() >= 7);
            }
        }
    }
}
