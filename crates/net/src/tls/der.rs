//! As much DER (ITU-T X.690) as it takes to look into certificates that were parsed by others before. Pure.

pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTETS: u8 = 0x04;
pub(super) const OID: u8 = 0x06;
pub(super) const ENUMERATED: u8 = 0x0a;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERAL_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;

/// The tag of a constructed element `[number]`.
pub(super) const fn context(number: u8) -> u8 {
    0xa0 | number
}

/// One element: its tag, its content, what follows it.
pub(super) fn take(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// Takes an element with this tag from the front of `der`.
pub(super) fn next<'a>(der: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (found, content, rest) = take(der)?;
    *der = rest;
    (found == tag).then_some(content)
}

/// As [`next`], of an element that may be absent.
pub(super) fn next_if<'a>(der: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    if der.first() == Some(&tag) { next(der, tag) } else { None }
}

/// Takes a time (RFC 5280, 4.1.2.5) from the front of `der`: seconds since 1970, 0 for times before.
pub(super) fn next_time(der: &mut &[u8]) -> Option<u64> {
    let (tag, text, rest) = take(der)?;
    *der = rest;
    let (digits, b"Z") = text.split_at_checked(text.len().checked_sub(1)?)? else { return None };
    let pair = |at: usize| -> Option<i64> {
        let two = digits.get(at..at + 2)?;
        two.iter().all(u8::is_ascii_digit).then(|| i64::from((two[0] - b'0') * 10 + (two[1] - b'0')))
    };
    let (year, at) = match (tag, digits.len()) {
        (UTC_TIME, 12) => (pair(0)? + if pair(0)? < 50 { 2000 } else { 1900 }, 2),
        (GENERAL_TIME, 14) => (pair(0)? * 100 + pair(2)?, 4),
        _ => return None,
    };
    let (month, day) = (pair(at)?, pair(at + 2)?);
    let (hour, minute, second) = (pair(at + 4)?, pair(at + 6)?, pair(at + 8)?);
    let sound = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 61;
    let seconds = days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    sound.then(|| u64::try_from(seconds).unwrap_or(0))
}

/// Days from 1970-01-01 to a day of the Gregorian calendar: years begin in March, so that leap days come last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop, prop_assert, proptest};

    fn time(tag: u8, text: &str) -> Option<u64> {
        let der = [&[tag, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
        next_time(&mut &der[..])
    }

    #[test]
    fn times_are_seconds_since_1970() {
        assert_eq!(time(UTC_TIME, "700101000000Z"), Some(0));
        assert_eq!(time(UTC_TIME, "261123151945Z"), Some(1_795_447_185));
        assert_eq!(time(GENERAL_TIME, "20000229235959Z"), Some(951_868_799));
        assert_eq!(time(GENERAL_TIME, "99991231235959Z"), Some(253_402_300_799));
        assert_eq!(time(UTC_TIME, "500101000000Z"), Some(0), "1950");
        for bad in ["", "Z", "2611231519Z", "261123151945", "26112315194xZ", "261323151945Z", "261123241945Z"] {
            assert_eq!(time(UTC_TIME, bad), None, "{bad}");
        }
    }

    #[test]
    fn elements_follow_each_other() {
        let mut der: &[u8] = &[INTEGER, 1, 7, SEQUENCE, 0x81, 2, 1, 2];
        assert_eq!(next_if(&mut der, SEQUENCE), None);
        assert_eq!((next(&mut der, INTEGER), next(&mut der, SEQUENCE)), (Some(&[7][..]), Some(&[1, 2][..])));
        assert_eq!((der, take(&[INTEGER, 2, 0]), take(&[INTEGER, 0x84, 0, 0, 0, 0])), (&[][..], None, None));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            prop_assert!(take(&bytes).is_none_or(|(_, content, rest)| content.len() + rest.len() < bytes.len()));
            next_time(&mut &bytes[..]);
        }
    }
}
