//! From columns to values and back. SQLite's integers are signed; what we keep in them is not and fits.

use rusqlite::Row;
use stdx::ids::{AppName, EnvName, ProcessName, Scope};

use crate::StateError;

/// What one call of the store gives.
pub(crate) type Outcome<T> = Result<T, StateError>;

/// Nanoseconds, serials and counts, as SQLite keeps them; saturates at 2^63 - 1, the year 2262.
pub(crate) fn stored(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Reads what [`stored`] wrote.
pub(crate) fn number(row: &Row<'_>, column: &'static str) -> Outcome<u64> {
    let n: i64 = row.get(column)?;
    u64::try_from(n).map_err(|_| malformed(column, n))
}

/// A number that fits a smaller type.
pub(crate) fn small<T: TryFrom<u64>>(row: &Row<'_>, column: &'static str) -> Outcome<T> {
    let n = number(row, column)?;
    T::try_from(n).map_err(|_| malformed(column, n))
}

/// The scope in the columns `app` and `env`.
pub(crate) fn scope(row: &Row<'_>) -> Outcome<Scope> {
    let app: String = row.get("app")?;
    let env: String = row.get("env")?;
    Ok(Scope {
        app: AppName::new(&app).map_err(|e| malformed("app", e))?,
        env: EnvName::new(&env).map_err(|e| malformed("env", e))?,
    })
}

/// The process in the column `process`.
pub(crate) fn process(row: &Row<'_>) -> Outcome<ProcessName> {
    let name: String = row.get("process")?;
    ProcessName::new(&name).map_err(|e| malformed("process", e))
}

/// A JSON column.
pub(crate) fn json<T: serde::de::DeserializeOwned>(text: &str, what: &'static str) -> Outcome<T> {
    serde_json::from_str(text).map_err(|e| malformed(what, e))
}

/// A value for a JSON column.
pub(crate) fn to_json<T: serde::Serialize>(value: &T, what: &'static str) -> Outcome<String> {
    serde_json::to_string(value).map_err(|e| malformed(what, e))
}

/// A column that does not hold what it should.
pub(crate) fn malformed(what: &'static str, found: impl std::fmt::Display) -> StateError {
    StateError::Malformed { what, found: found.to_string() }
}
