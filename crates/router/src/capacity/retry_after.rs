//! `Retry-After`: a number of seconds, or a date (RFC 9110, 10.2.3). Pure.

use std::time::Duration;

use http::HeaderMap;
use http::header::RETRY_AFTER;
use stdx::clock::Wall;

/// The longest pause that is believed (linkerd2-proxy's cap).
const LONGEST: Duration = Duration::from_secs(300);

/// The pause that the fields of a reply ask for.
pub(crate) fn of(headers: &HeaderMap, now: impl FnOnce() -> Wall) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let pause = match text.parse::<u32>() {
        Ok(seconds) => Duration::from_secs(u64::from(seconds)),
        Err(_) => date(text)?.since(now()),
    };
    Some(pause.min(LONGEST))
}

/// A date as servers write it: `Sun, 06 Nov 1994 08:49:37 GMT`. The two obsolete forms are not read.
fn date(text: &str) -> Option<Wall> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let (_, rest) = text.split_once(", ")?;
    let mut parts = rest.strip_suffix(" GMT")?.split([' ', ':']);
    let number = |parts: &mut dyn Iterator<Item = &'_ str>| parts.next()?.parse::<u64>().ok();
    let day = number(&mut parts)?;
    let name = parts.next().filter(|name| name.len() == 3)?;
    let month = MONTHS.find(name).filter(|at| at % 3 == 0)? as u64 / 3 + 1;
    let year = number(&mut parts).filter(|year| (1970..2500).contains(year))?;
    let (hours, minutes, seconds) = (number(&mut parts)?, number(&mut parts)?, number(&mut parts)?);
    if !(1..=31).contains(&day) || hours > 23 || minutes > 59 || seconds > 60 {
        return None;
    }
    let at = days(year, month, day) * 86_400 + hours * 3_600 + minutes * 60 + seconds;
    Some(Wall::from_millis(at * 1_000))
}

/// Days since 1970-01-01 of a date of the Gregorian calendar. Source: Howard Hinnant, `days_from_civil`.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let of_era = year % 400;
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year / 400 * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn asked(text: &'static str, now_s: u64) -> Option<u64> {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
        of(&headers, || Wall::from_millis(now_s * 1_000)).map(|pause| pause.as_secs())
    }

    #[test]
    fn seconds_and_dates_are_understood_and_bounded() {
        assert_eq!(asked("7", 0), Some(7));
        assert_eq!(asked("86400", 0), Some(300));
        // `date -d 'Sun, 06 Nov 1994 08:49:37 GMT' +%s`
        assert_eq!(asked("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_700), Some(77));
        assert_eq!(asked("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_900), Some(0));
        assert_eq!(asked("Thu, 29 Feb 2024 00:00:10 GMT", 1_709_164_800), Some(10));
        for nonsense in ["", "-1", "soon", "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 99 Nov 1994 08:49:37 GMT", ", GMT"] {
            assert_eq!(asked(nonsense, 0), None, "{nonsense}");
        }
        assert_eq!(of(&HeaderMap::new(), || Wall(0)), None);
    }
}
