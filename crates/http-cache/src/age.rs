//! The `Age` field (RFC 9111 section 5.1).

use http::HeaderMap;
use http::header::AGE;

use crate::options::AgeReading;

/// What an upstream cache says of a response's age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Age {
    /// No `Age`, or one that may be left aside.
    Absent,
    Seconds(u32),
    /// Something is there that is no age: the response counts as stale.
    Unreadable,
}

pub(crate) fn read(headers: &HeaderMap, reading: AgeReading) -> Age {
    let mut lines = headers.get_all(AGE).iter();
    let Some(first) = lines.next() else { return Age::Absent };
    match reading {
        AgeReading::Strict if lines.next().is_some() => Age::Unreadable,
        AgeReading::Strict => seconds(first.as_bytes()).map_or(Age::Unreadable, Age::Seconds),
        AgeReading::FirstMember => {
            let member = first.as_bytes().split(|byte| *byte == b',').next().unwrap_or_default();
            seconds(member.trim_ascii()).map_or(Age::Absent, Age::Seconds)
        }
    }
}

/// A delta-seconds; one that does not fit is the largest (RFC 9111 section 1.2.2).
pub(crate) fn seconds(text: &[u8]) -> Option<u32> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u32, |sum, byte| {
        byte.is_ascii_digit().then(|| sum.saturating_mul(10).saturating_add(u32::from(byte - b'0')).min(DELTA_MAX))
    })
}

/// 2^31 seconds stand for "for ever".
pub(crate) const DELTA_MAX: u32 = 1 << 31;

#[cfg(test)]
mod tests {
    use super::*;

    fn ages(lines: &[&'static str]) -> (Age, Age) {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(AGE, http::HeaderValue::from_static(line));
        }
        (read(&headers, AgeReading::Strict), read(&headers, AgeReading::FirstMember))
    }

    #[test]
    fn both_readings() {
        use Age::{Absent, Seconds, Unreadable};
        for (lines, strict, first) in [
            (&[][..], Absent, Absent),
            (&["7200"], Seconds(7200), Seconds(7200)),
            (&["99999999999"], Seconds(DELTA_MAX), Seconds(DELTA_MAX)),
            (&["abc"], Unreadable, Absent),
            (&["-7200"], Unreadable, Absent),
            (&["7200.0"], Unreadable, Absent),
            (&[""], Unreadable, Absent),
            (&["7200, 0"], Unreadable, Seconds(7200)),
            (&["0", "7200"], Unreadable, Seconds(0)),
            (&["7200;foo=111"], Unreadable, Absent),
        ] {
            assert_eq!(ages(lines), (strict, first), "{lines:?}");
        }
    }
}
