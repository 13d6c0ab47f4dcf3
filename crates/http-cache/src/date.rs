//! HTTP dates (RFC 9110 section 5.6.7): three fixed formats, nothing else.
//!
//! Month, weekday and zone are read in any case, as RFC 5322 has them; everything else must be exact, because a date that
//! one cache reads and the next one does not makes them disagree about freshness.

const MONTHS: [&[u8]; 12] =
    [b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"];
const DAYS: [&[u8]; 7] = [b"sunday", b"monday", b"tuesday", b"wednesday", b"thursday", b"friday", b"saturday"];
const DAY_SECONDS: i64 = 86_400;

/// Seconds since 1970. `now` (same unit) decides the century of a two-digit year: none is over 50 years ahead.
pub(crate) fn parse(text: &[u8], now: i64) -> Option<i64> {
    let mut rest = Rest(text);
    let letters = text.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let day = rest.take(letters)?;
    let short = DAYS.iter().any(|name| name[..3].eq_ignore_ascii_case(day));
    let long = DAYS.iter().any(|name| name.eq_ignore_ascii_case(day));
    match (short, long, rest.0.first()?) {
        (true, _, b',') => rest.imf_fixdate(),
        (_, true, b',') => rest.rfc850(now),
        (true, _, b' ') => rest.asctime(),
        _ => None,
    }
}

/// What of the text is not yet read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    /// `, 06 Nov 1994 08:49:37 GMT`
    fn imf_fixdate(mut self) -> Option<i64> {
        self.literal(b", ")?;
        let day = self.number(2)?;
        self.literal(b" ")?;
        let month = self.month()?;
        self.literal(b" ")?;
        let year = self.number(4)?;
        self.literal(b" ")?;
        let seconds = self.clock()?;
        self.gmt_and_end()?;
        Some(days(year, month, day)? * DAY_SECONDS + seconds)
    }

    /// `, 06-Nov-94 08:49:37 GMT`
    fn rfc850(mut self, now: i64) -> Option<i64> {
        self.literal(b", ")?;
        let day = self.number(2)?;
        self.literal(b"-")?;
        let month = self.month()?;
        self.literal(b"-")?;
        let year = self.number(2)?;
        self.literal(b" ")?;
        let seconds = self.clock()?;
        self.gmt_and_end()?;
        let this_year = 1970 + now.div_euclid(31_556_952);
        let mut full = this_year - this_year.rem_euclid(100) + year;
        if full > this_year + 50 {
            full -= 100;
        }
        Some(days(full, month, day)? * DAY_SECONDS + seconds)
    }

    /// ` Nov  6 08:49:37 1994`
    fn asctime(mut self) -> Option<i64> {
        self.literal(b" ")?;
        let month = self.month()?;
        self.literal(b" ")?;
        let day = if self.0.first() == Some(&b' ') {
            self.literal(b" ")?;
            self.number(1)?
        } else {
            self.number(2)?
        };
        self.literal(b" ")?;
        let seconds = self.clock()?;
        self.literal(b" ")?;
        let year = self.number(4)?;
        self.0.is_empty().then_some(())?;
        Some(days(year, month, day)? * DAY_SECONDS + seconds)
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn literal(&mut self, expected: &[u8]) -> Option<()> {
        (self.take(expected.len())? == expected).then_some(())
    }

    fn number(&mut self, digits: usize) -> Option<i64> {
        self.take(digits)?
            .iter()
            .try_fold(0, |sum: i64, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
    }

    fn month(&mut self) -> Option<i64> {
        let name = self.take(3)?;
        let at = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(name))?;
        i64::try_from(at + 1).ok()
    }

    /// `08:49:37` as seconds of the day; a leap second is the last one of its minute.
    fn clock(&mut self) -> Option<i64> {
        let hour = self.number(2)?;
        self.literal(b":")?;
        let minute = self.number(2)?;
        self.literal(b":")?;
        let second = self.number(2)?;
        (hour < 24 && minute < 60 && second <= 60).then(|| hour * 3600 + minute * 60 + second.min(59))
    }

    fn gmt_and_end(&mut self) -> Option<()> {
        self.literal(b" ")?;
        self.0.eq_ignore_ascii_case(b"gmt").then_some(())
    }
}

/// Days from 1970-01-01 to a day of the Gregorian calendar (H. Hinnant, `days_from_civil`).
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 31,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let of_era = shifted.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_000_000;

    #[test]
    fn the_three_formats_of_one_instant() {
        for text in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(parse(text.as_bytes(), NOW), Some(784_111_777), "{text}");
        }
    }

    #[test]
    fn names_in_any_case_and_far_years() {
        assert_eq!(parse(b"THU, 18 AUG 2050 02:01:18 gMT", NOW), Some(2_544_400_878));
        assert_eq!(parse(b"Thursday, 18-Aug-50 02:01:18 GMT", NOW), Some(2_544_400_878));
        assert_eq!(parse(b"Sun, 21 Nov 2286 04:46:39 GMT", NOW), Some(10_000_039_599));
    }

    #[test]
    fn what_is_no_date() {
        for text in [
            "0",
            "",
            "Thu, 18 Aug 2050 02:01:18 UTC",
            "Thu, 18 Aug 2050 02:01:18 AEST",
            "Thu, 18 Aug 50 02:01:18 GMT",
            "Thu 18 Aug 2050 02:01:18 GMT",
            "Thu, 18  Aug  2050 02:01:18 GMT",
            "Thu, 18-Aug-2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02.01.18 GMT",
            "Thu, 18 Aug 2050 2:01:18 GMT",
            "Thu, 31 Feb 2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 24:01:18 GMT",
            "Thu, 18 Aug 2050 02:01:18 GMT ",
        ] {
            assert_eq!(parse(text.as_bytes(), NOW), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn reads_what_is_written(seconds in 0_u64..7_000_000_000) {
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
            let text = httpdate::fmt_http_date(time);
            proptest::prop_assert_eq!(parse(text.as_bytes(), NOW), i64::try_from(seconds).ok());
        }

        #[test]
        fn garbage_never_panics(text in proptest::collection::vec(proptest::num::u8::ANY, 0..40)) {
            parse(&text, NOW);
        }
    }
}
