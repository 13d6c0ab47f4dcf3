//! `forebay logs`: search, or follow.

use control::client::body;
use control::error::{ApiError, Kind};
use control::wire::LogRow;
use http::Method;
use stdx::clock::{Clock, SystemClock};

use crate::args::{Global, LogsArgs};
use crate::output::{self, Done};

/// Records shown before the first new one, unless `-n` says otherwise.
const FOLLOW_FIRST: u32 = 10;

pub(super) async fn run(global: &Global, args: LogsArgs) -> Done {
    let now_ms = SystemClock::new().wall().millis();
    let since = args.since.as_deref().map(|text| since_ms(text, now_ms)).transpose()?;
    let last = args.lines.or((args.follow && since.is_none()).then_some(FOLLOW_FIRST));
    let pairs = [
        ("app", args.app.map(|app| app.to_string())),
        ("env", args.env.map(|env| env.to_string())),
        ("process", args.process.map(|process| process.to_string())),
        ("since_ms", since.map(|ms| ms.to_string())),
        ("n", last.map(|n| n.to_string())),
        ("follow", args.follow.then(|| "true".to_string())),
        ("q", (!args.query.is_empty()).then(|| args.query.join(" "))),
    ];
    let path = format!("/v1/logs{}", super::query(&pairs));
    let mut rows = super::client(global)?.lines(Method::GET, &path, body("")).await?;
    while let Some(row) = rows.next::<LogRow>().await? {
        print(&row, global.json)?;
    }
    Ok(())
}

/// One record: an object for machines, a line for people.
pub(super) fn print(row: &LogRow, json: bool) -> std::io::Result<()> {
    if json { output::json_line(row) } else { output::line(&human(row)) }
}

/// `2026-11-22 23:04:05.123+01:00 shop web.17 info  GET / 200 field=value`
fn human(row: &LogRow) -> String {
    let who = match &row.app {
        Some(app) => format!("{app} {}", speaker(row)),
        None => row.source.clone(),
    };
    format!("{} {who} {}", output::local_time(row.time_ns), story(row))
}

/// Who said it: an application's instance by its name, a plane by its own.
pub(super) fn speaker(row: &LogRow) -> &str {
    row.instance.as_deref().filter(|_| row.source == "app").unwrap_or(&row.source)
}

/// Level, message and fields of a record, in one line.
pub(super) fn story(row: &LogRow) -> String {
    let mut text = format!("{} {}", row.level, printable(&row.message));
    for (key, value) in &row.fields {
        let value = value.as_str().map_or_else(|| value.to_string(), ToString::to_string);
        text.push_str(&format!(" {}={}", printable(key), printable(&value)));
    }
    text
}

/// Without the control characters that a terminal would obey.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// `90s`, `5m`, `2h`, `1d` ago, or a time of RFC 3339.
fn since_ms(text: &str, now_ms: u64) -> Result<u64, ApiError> {
    let malformed = || {
        ApiError::new(Kind::Usage, "time_malformed", format!("`{text}` is not a time"))
            .hint("write 90s, 5m, 2h, 1d, or 2026-11-22T10:00:00Z")
    };
    let unit = match text.as_bytes().last() {
        Some(b's') => 1_000,
        Some(b'm') => 60_000,
        Some(b'h') => 3_600_000,
        Some(b'd') => 86_400_000,
        _ => {
            let stamp: jiff::Timestamp = text.parse().map_err(|_| malformed())?;
            return u64::try_from(stamp.as_millisecond()).map_err(|_| malformed());
        }
    };
    let count: u64 = text[..text.len() - 1].parse().map_err(|_| malformed())?;
    Ok(now_ms.saturating_sub(count.saturating_mul(unit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_an_age_or_a_time() {
        assert_eq!(since_ms("5m", 1_000_000).unwrap(), 700_000);
        assert_eq!(since_ms("99d", 1_000_000).unwrap(), 0);
        assert_eq!(since_ms("1970-01-01T00:00:01Z", 0).unwrap(), 1_000);
        for bad in ["", "m", "5", "5w", "-5m", "yesterday"] {
            assert_eq!(since_ms(bad, 0).unwrap_err().code, "time_malformed", "{bad}");
        }
    }

    #[test]
    fn a_terminal_is_not_commanded_by_what_an_application_logs() {
        assert_eq!(printable("a\x1b[2Jb\tc"), "a\u{fffd}[2Jb\tc");
    }
}
