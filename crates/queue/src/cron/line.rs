//! A cron line: five fields, as Vixie's cron reads them, or one of the `@` words.

use std::fmt;
use std::str::FromStr;

/// Minutes, hours, days, months and weekdays at which something happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    text: String,
    /// One bit for each value that matches.
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    /// 0 is Sunday.
    weekdays: u64,
    /// With both days and weekdays restricted, a day that matches either of them does.
    either_day: bool,
    /// The hours are all hours or every so many: the line means "so often", not "at that time of day".
    is_by_elapsed_time: bool,
}

/// Why a line is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no cron line: {why}")]
pub struct LineError {
    text: String,
    why: String,
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Line {
    /// The local hours of a matching day are those of its line in every season, so that a change of the clock is made up for.
    pub(super) fn is_by_elapsed_time(&self) -> bool {
        self.is_by_elapsed_time
    }

    pub(super) fn has_month(&self, month: i8) -> bool {
        has(self.months, month)
    }

    /// Whether a day matches, by its number in the month and in the week (0 is Sunday).
    pub(super) fn has_day(&self, day: i8, weekday: i8) -> bool {
        let (day, weekday) = (has(self.days, day), has(self.weekdays, weekday));
        if self.either_day { day || weekday } else { day && weekday }
    }

    pub(super) fn has_hour(&self, hour: i8) -> bool {
        has(self.hours, hour)
    }

    pub(super) fn has_minute(&self, minute: i8) -> bool {
        has(self.minutes, minute)
    }
}

fn has(bits: u64, value: i8) -> bool {
    u32::try_from(value).is_ok_and(|value| bits.checked_shr(value).unwrap_or(0) & 1 == 1)
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Line {
    type Err = LineError;

    fn from_str(text: &str) -> Result<Line, LineError> {
        let failed = |why: String| LineError { text: text.into(), why };
        let fields = match text.trim() {
            "@hourly" => "0 * * * *",
            "@daily" | "@midnight" => "0 0 * * *",
            "@weekly" => "0 0 * * 0",
            "@monthly" => "0 0 1 * *",
            "@yearly" | "@annually" => "0 0 1 1 *",
            fields => fields,
        };
        let words: Vec<&str> = fields.split_ascii_whitespace().collect();
        let [minute, hour, day, month, weekday] = words[..] else {
            return Err(failed("it has five fields: minute, hour, day, month, weekday".into()));
        };
        let weekdays = field(weekday, 0, 7, &WEEKDAYS, 0).map_err(failed)?;
        Ok(Line {
            text: text.trim().into(),
            minutes: field(minute, 0, 59, &[], 0).map_err(failed)?,
            hours: field(hour, 0, 23, &[], 0).map_err(failed)?,
            days: field(day, 1, 31, &[], 0).map_err(failed)?,
            months: field(month, 1, 12, &MONTHS, 1).map_err(failed)?,
            // 7 is Sunday, too.
            weekdays: weekdays | weekdays >> 7,
            either_day: !day.starts_with('*') && !weekday.starts_with('*'),
            is_by_elapsed_time: hour.starts_with('*'),
        })
    }
}

/// The bits of `*`, `5`, `1-5`, `*/2`, `1-9/2`, and lists of these.
fn field(text: &str, low: u32, high: u32, names: &[&str], first_name: u32) -> Result<u64, String> {
    let value = |word: &str| {
        let named = names.iter().position(|name| name.eq_ignore_ascii_case(word));
        let value = match named {
            Some(ix) => Some(ix as u32 + first_name),
            None if word.bytes().all(|byte| byte.is_ascii_digit()) => word.parse().ok(),
            None => None,
        };
        value.filter(|value| (low..=high).contains(value)).ok_or_else(|| format!("`{word}` is not in {low}-{high}"))
    };
    let mut bits = 0;
    for part in text.split(',') {
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (low, high),
            Some((from, to)) => (value(from)?, value(to)?),
            // `5/15` is every 15 from 5 on.
            None if step.is_some() => (value(range)?, high),
            None => (value(range)?, value(range)?),
        };
        let step = step.map_or(Some(1), |step| step.parse::<usize>().ok().filter(|step| *step > 0));
        let step = step.ok_or_else(|| format!("`{part}` has no number of steps behind the slash"))?;
        if from > to {
            return Err(format!("`{part}` ends before it begins"));
        }
        for bit in (from..=to).step_by(step) {
            bits |= 1 << bit;
        }
    }
    Ok(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(line: &str) -> Vec<i8> {
        let line: Line = line.parse().unwrap();
        (0..60).filter(|minute| line.has_minute(*minute)).collect()
    }

    #[test]
    fn fields_are_numbers_ranges_steps_and_lists() {
        assert_eq!(minutes("5 * * * *"), [5]);
        assert_eq!(minutes("*/20 * * * *"), [0, 20, 40]);
        assert_eq!(minutes("10-12,50/5 * * * *"), [10, 11, 12, 50, 55]);
        assert_eq!(minutes("1-9/4 * * * *"), [1, 5, 9]);
        let line: Line = "0 9-17 * jan,MAR mon-fri".parse().unwrap();
        assert!(line.has_month(1) && !line.has_month(2) && line.has_month(3));
        assert!(line.has_day(31, 1) && line.has_day(1, 5) && !line.has_day(1, 0) && !line.has_day(1, 6));
        assert!("0 0 * * 7".parse::<Line>().unwrap().has_day(1, 0), "7 is Sunday");
    }

    #[test]
    fn with_both_days_given_either_will_do() {
        let line: Line = "0 0 13 * 5".parse().unwrap();
        assert!(line.has_day(13, 1) && line.has_day(2, 5) && !line.has_day(2, 1));
        let line: Line = "0 0 */2 * 5".parse().unwrap();
        assert!(line.has_day(3, 5) && !line.has_day(3, 1) && !line.has_day(2, 5), "a star is no restriction");
    }

    #[test]
    fn anything_else_is_refused_with_a_reason() {
        for bad in [
            "",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 8",
            "*/0 * * * *",
            "5-1 * * * *",
            "a * * * *",
            "1, * * * *",
            "-1 * * * *",
            "+1 * * * *",
            "@reboot",
            "1/x * * * *",
        ] {
            let error = bad.parse::<Line>().unwrap_err();
            assert!(error.to_string().contains("no cron line"), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[ 0-9*/,@a-z-]{0,40}") {
            if let Ok(line) = text.parse::<Line>() {
                proptest::prop_assert_eq!(line.to_string(), text.trim());
            }
        }
    }
}
