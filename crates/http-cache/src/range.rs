//! Byte ranges (RFC 9110 section 14).

use std::ops::Range;

/// One range of a `Range: bytes=...` field, not yet held against a length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteRange {
    /// `first-last`, or `first-` with no last.
    From {
        /// Position of the first byte.
        first: u64,
        /// Position of the last byte, if given.
        last: Option<u64>,
    },
    /// `-count`: the last bytes.
    Suffix(u64),
}

impl ByteRange {
    /// The positions in a representation of `length` bytes; `None` when none of them exists.
    #[must_use]
    pub fn within(self, length: u64) -> Option<Range<u64>> {
        let range = match self {
            ByteRange::From { first, last } => first..last.map_or(length, |last| last.saturating_add(1).min(length)),
            ByteRange::Suffix(count) => length.saturating_sub(count)..length,
        };
        (!range.is_empty()).then_some(range)
    }
}

/// What a request's ranges come to for a representation of known length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ranges {
    /// The whole representation: no range is asked for, or several that do not make one.
    Whole,
    /// One range.
    One(Range<u64>),
    /// None of the ranges exists: 416.
    Unsatisfiable,
}

/// The ranges of a `Range` field, or `None` when it is to be ignored: another unit, malformed, or more than
/// [`RANGES_MAX`].
#[must_use]
pub fn parse_range(value: &[u8]) -> Option<Vec<ByteRange>> {
    let at = value.iter().position(|byte| *byte == b'=')?;
    let (unit, set) = value.split_at(at);
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    let mut ranges = Vec::new();
    for member in set[1..].split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty()) {
        if ranges.len() == RANGES_MAX {
            return None;
        }
        ranges.push(one(member)?);
    }
    (!ranges.is_empty()).then_some(ranges)
}

/// A request with more ranges than this gets the whole (CVE-2011-3192 is what comes of obeying).
pub const RANGES_MAX: usize = 16;

fn one(member: &[u8]) -> Option<ByteRange> {
    let dash = member.iter().position(|byte| *byte == b'-')?;
    let (first, last) = (&member[..dash], &member[dash + 1..]);
    match (first.is_empty(), last.is_empty()) {
        (true, true) => None,
        (true, false) => Some(ByteRange::Suffix(position(last)?)),
        (false, true) => Some(ByteRange::From { first: position(first)?, last: None }),
        (false, false) => {
            let (first, last) = (position(first)?, position(last)?);
            (first <= last).then_some(ByteRange::From { first, last: Some(last) })
        }
    }
}

fn position(text: &[u8]) -> Option<u64> {
    let number = |sum: u64, byte: &u8| {
        byte.is_ascii_digit().then(|| sum.saturating_mul(10).saturating_add(u64::from(byte - b'0')))
    };
    if text.is_empty() { None } else { text.iter().try_fold(0, number) }
}

/// Several ranges are served when they touch or overlap and so make one; otherwise the whole is sent, which RFC 9110
/// section 14.2 allows and which costs no more than the parts would with their separators.
pub(crate) fn resolve(ranges: &[ByteRange], length: u64) -> Ranges {
    let mut found: Vec<Range<u64>> = ranges.iter().filter_map(|range| range.within(length)).collect();
    found.sort_unstable_by_key(|range| range.start);
    let Some(mut whole) = found.first().cloned() else { return Ranges::Unsatisfiable };
    for range in &found[1..] {
        if range.start > whole.end {
            return Ranges::Whole;
        }
        whole.end = whole.end.max(range.end);
    }
    Ranges::One(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(value: &str, length: u64) -> Option<Ranges> {
        parse_range(value.as_bytes()).map(|ranges| resolve(&ranges, length))
    }

    #[test]
    fn of_ten_bytes() {
        for (value, expected) in [
            ("bytes=0-1", Some(Ranges::One(0..2))),
            ("bytes=1-", Some(Ranges::One(1..10))),
            ("bytes=-1", Some(Ranges::One(9..10))),
            ("bytes=-100", Some(Ranges::One(0..10))),
            ("bytes=5-100", Some(Ranges::One(5..10))),
            ("BYTES=0-0", Some(Ranges::One(0..1))),
            ("bytes=10-", Some(Ranges::Unsatisfiable)),
            ("bytes=-0", Some(Ranges::Unsatisfiable)),
            ("bytes=0-99999999999999999999999", Some(Ranges::One(0..10))),
            ("bytes=0-1,2-3", Some(Ranges::One(0..4))),
            ("bytes=4-6, 0-4 ,", Some(Ranges::One(0..7))),
            ("bytes=0-1,5-6", Some(Ranges::Whole)),
            ("bytes=0-1,50-60", Some(Ranges::One(0..2))),
            ("bytes=2-1", None),
            ("bytes=", None),
            ("bytes=-", None),
            ("bytes=a-b", None),
            ("bytes = 0-1", None),
            ("rows=0-1", None),
        ] {
            assert_eq!(served(value, 10), expected, "{value}");
        }
    }

    #[test]
    fn too_many_are_ignored() {
        let value = format!("bytes={}", ["0-0"; RANGES_MAX + 1].join(","));
        assert_eq!(parse_range(value.as_bytes()), None);
    }

    proptest::proptest! {
        #[test]
        fn what_is_served_lies_within(value in "bytes=[0-9,\\- ]{0,24}", length in 0_u64..40) {
            if let Some(Ranges::One(range)) = served(&value, length) {
                proptest::prop_assert!(!range.is_empty() && range.end <= length);
            }
        }

        #[test]
        fn garbage_never_panics(value in proptest::collection::vec(proptest::num::u8::ANY, 0..60), length in proptest::num::u64::ANY) {
            if let Some(ranges) = parse_range(&value) {
                resolve(&ranges, length);
            }
        }
    }
}
