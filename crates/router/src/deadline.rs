//! The time that a request has left, as it travels: `Forebay-Deadline` in milliseconds, and `grpc-timeout` for those who
//! speak that ("PROTOCOL-HTTP2" of gRPC: at most eight digits and a unit). Pure.

use std::time::Duration;

use http::header::{HeaderMap, HeaderName};

use crate::fields::{FieldSet, GRPC_TIMEOUT};
use crate::h1;

/// How long the request may still take, in milliseconds; sent to endpoints, believed from trusted peers.
pub(crate) const DEADLINE: HeaderName = HeaderName::from_static("forebay-deadline");

/// Nanoseconds of gRPC's units, the finest first.
const UNITS: [(u8, u128); 6] = [
    (b'n', 1),
    (b'u', 1_000),
    (b'm', 1_000_000),
    (b'S', 1_000_000_000),
    (b'M', 60_000_000_000),
    (b'H', 3_600_000_000_000),
];
/// The largest number that may stand before a unit.
const DIGITS_MAX: u128 = 99_999_999;

/// The time that the sender of a request gives it: the shorter of the two fields.
pub(crate) fn asked(headers: &HeaderMap, set: FieldSet) -> Option<Duration> {
    let ours = set.ours.then(|| headers.get(DEADLINE)).flatten();
    let ours = ours.and_then(|value| value.to_str().ok()?.parse().ok()).map(Duration::from_millis);
    let grpc = set.grpc_timeout.then(|| headers.get(GRPC_TIMEOUT)).flatten().and_then(|value| parse(value.as_bytes()));
    ours.into_iter().chain(grpc).min()
}

/// Takes out what said so to us: each try says it anew.
pub(crate) fn remove(headers: &mut HeaderMap, set: FieldSet) {
    if set.ours {
        headers.remove(DEADLINE);
    }
    if set.grpc_timeout {
        headers.remove(GRPC_TIMEOUT);
    }
}

/// What a try tells its endpoint.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Left {
    pub(crate) time: Duration,
    /// In gRPC's field too, because the client used it.
    pub(crate) grpc: bool,
}

impl Left {
    /// Writes the fields of a head.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(DEADLINE.as_str().as_bytes());
        out.extend_from_slice(b": ");
        h1::write_number(out, u64::try_from(self.time.as_millis()).unwrap_or(u64::MAX));
        out.extend_from_slice(b"\r\n");
        if self.grpc {
            out.extend_from_slice(format!("{GRPC_TIMEOUT}: {}\r\n", format(self.time)).as_bytes());
        }
    }
}

fn parse(text: &[u8]) -> Option<Duration> {
    let (unit, digits) = text.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let (_, nanos) = UNITS.into_iter().find(|(name, _)| name == unit)?;
    let number: u128 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    // 99,999,999 hours fit into u64 seconds by far.
    let nanos = number * nanos;
    Some(Duration::new(u64::try_from(nanos / 1_000_000_000).ok()?, (nanos % 1_000_000_000) as u32))
}

/// In the finest unit that eight digits hold, milliseconds at the finest; rounded down.
fn format(left: Duration) -> String {
    let nanos = left.as_nanos();
    let fits = |(_, unit): &(u8, u128)| *unit >= 1_000_000 && nanos / unit <= DIGITS_MAX;
    let (name, unit) = UNITS.into_iter().find(fits).unwrap_or((b'H', UNITS[5].1));
    format!("{}{}", (nanos / unit).min(DIGITS_MAX), char::from(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn the_shorter_of_the_two_counts() {
        let asked = |fields| {
            let headers = headers(fields);
            asked(&headers, FieldSet::of(&headers))
        };
        assert_eq!(asked(&[("forebay-deadline", "250")]), Some(Duration::from_millis(250)));
        assert_eq!(asked(&[("grpc-timeout", "2S")]), Some(Duration::from_secs(2)));
        assert_eq!(asked(&[("grpc-timeout", "100m"), ("forebay-deadline", "250")]), Some(Duration::from_millis(100)));
        assert_eq!(asked(&[("forebay-deadline", "soon")]), None);
    }

    #[test]
    fn what_grpc_does_not_allow_is_no_timeout() {
        for bad in ["", "S", "1", "1s", "-1S", "123456789m", "1.5S", "1 S"] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(parse(b"99999999H"), Some(Duration::from_secs(99_999_999 * 3_600)));
    }

    #[test]
    fn grpcs_field_is_written_only_where_it_was() {
        let written = |grpc| {
            let mut out = Vec::new();
            Left { time: Duration::from_millis(1_500), grpc }.write(&mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(written(false), "forebay-deadline: 1500\r\n");
        assert_eq!(written(true), "forebay-deadline: 1500\r\ngrpc-timeout: 1500m\r\n");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_as_at_most_that(millis in any::<u64>()) {
            let left = Duration::from_millis(millis);
            let text = format(left);
            let read = parse(text.as_bytes()).unwrap();
            prop_assert!(read <= left, "{text}");
            if millis < 100_000_000 {
                prop_assert_eq!(read, left);
            }
        }
    }
}
