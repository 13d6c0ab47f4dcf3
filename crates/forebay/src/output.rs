//! What a verb prints: results on stdout, progress and errors on stderr, quietly done when the reader has gone.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use comfy_table::{ContentArrangement, Table, presets};
use config::ConfigError;
use control::error::{ApiError, Kind};
use control::wire::Listing;
use serde::Serialize;

/// How a verb ends when it does not end well.
#[derive(Debug)]
pub(crate) enum Quit {
    /// With an error to print.
    Error(Box<ApiError>),
    /// The reader of stdout has gone (`forebay logs | head`): nothing more to say.
    ReaderGone,
}

/// What every verb returns.
pub(crate) type Done = Result<(), Quit>;

impl From<ApiError> for Quit {
    fn from(error: ApiError) -> Quit {
        Quit::Error(Box::new(error))
    }
}

impl From<ConfigError> for Quit {
    fn from(error: ConfigError) -> Quit {
        ApiError::from(error).into()
    }
}

impl From<io::Error> for Quit {
    fn from(error: io::Error) -> Quit {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Quit::ReaderGone;
        }
        ApiError::new(Kind::Failed, "output_failed", format!("cannot write the output: {error}")).into()
    }
}

impl Quit {
    /// Prints the error and gives its exit code.
    pub(crate) fn report(&self, json: bool) -> ExitCode {
        let Quit::Error(error) = self else { return ExitCode::SUCCESS };
        // Where even stderr cannot be written there is nobody left to tell.
        let told = if json { print_json_error(error) } else { print_error(error) };
        let code = error.kind.exit_code();
        ExitCode::from(if told.is_ok() { code } else { code.max(1) })
    }
}

fn print_json_error(error: &ApiError) -> io::Result<()> {
    let body = serde_json::to_string(&control::error::ErrorBody { error: error.clone() }).map_err(io::Error::other)?;
    writeln!(io::stderr(), "{body}")
}

/// `error: what` / `  at where` / the lines that belong to it / `hint: what to do`
pub(crate) fn print_error(error: &ApiError) -> io::Result<()> {
    let mut err = io::stderr().lock();
    writeln!(err, "error: {}", error.message)?;
    if let Some(at) = &error.at {
        writeln!(err, "  at {at}")?;
    }
    for line in &error.details {
        writeln!(err, "  | {line}")?;
    }
    if let Some(hint) = &error.hint {
        writeln!(err, "hint: {hint}")?;
    }
    writeln!(err, "code: {}", error.code)
}

/// A line of progress on stderr; a closed stderr does not stop the work.
pub(crate) fn progress(text: &str) {
    if writeln!(io::stderr(), "{text}").is_err() {
        tracing::debug!("stderr is closed");
    }
}

/// One line of the result.
pub(crate) fn line(text: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// One object as a line of JSON.
pub(crate) fn json_line(value: &impl Serialize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, value).map_err(io::Error::from)?;
    out.write_all(b"\n")
}

/// A listing: a table for people, `{"schema": 1, "items": [...]}` for machines.
pub(crate) fn listing<T: Serialize>(
    rows: &Listing<T>,
    json: bool,
    header: &[&str],
    cells: impl Fn(&T) -> Vec<String>,
) -> io::Result<()> {
    if json {
        return json_line(rows);
    }
    table(header, rows.items.iter().map(cells))
}

/// A table without lines, as wide as it needs on a pipe and as the terminal on a terminal.
pub(crate) fn table(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if !io::stdout().is_terminal() {
        table.set_content_arrangement(ContentArrangement::Disabled);
    }
    table.set_header(header.iter().map(|word| word.to_uppercase()));
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut out = io::stdout().lock();
    for row in table.lines() {
        writeln!(out, "{}", row.trim_end())?;
    }
    Ok(())
}

/// How long ago, in the largest unit that is not zero: `5s`, `3m`, `2h`, `4d`.
pub(crate) fn ago(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Local time with its offset, to the millisecond: `2026-11-22 23:04:05.123+01:00`.
pub(crate) fn local_time(time_ns: u64) -> String {
    let Ok(stamp) = jiff::Timestamp::from_nanosecond(i128::from(time_ns)) else { return time_ns.to_string() };
    stamp.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S.%3f%:z").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_said_in_their_largest_unit() {
        assert_eq!([0, 59, 60, 3_599, 3_600, 90_000].map(ago), ["0s", "59s", "1m", "59m", "1h", "1d"]);
    }

    #[test]
    fn a_reader_that_has_gone_is_no_error() {
        let gone = Quit::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(matches!(gone, Quit::ReaderGone));
    }
}
