//! The table `audit`: who did what, and what came of it. Bounded: the oldest rows go.

use rusqlite::params;
use stdx::clock::Wall;
use stdx::ids::Scope;

use crate::Store;
use crate::row::{self, Outcome, stored};

/// Rows kept; beyond it the oldest go.
const ROWS_MAX: i64 = 100_000;

/// One thing that somebody did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// When.
    pub time: Wall,
    /// Who: `uid 1000`, `admin token`.
    pub who: String,
    /// What: `deploy`, `rollback`, `scale`, `secret_set`, `secret_remove`.
    pub what: String,
    /// To which application.
    pub scope: Option<Scope>,
    /// To what of it: `v3`, `web=2`, the key of a secret. Never a value.
    pub target: String,
    /// `ok`, or the code of the error.
    pub outcome: String,
}

impl Store {
    /// Adds a row.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn audit(&self, entry: AuditRow) -> Outcome<()> {
        self.call(move |db| {
            let scope = entry.scope.as_ref();
            db.conn.execute(
                "INSERT INTO audit (time_ns, who, what, app, env, target, outcome) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    stored(entry.time.0),
                    entry.who,
                    entry.what,
                    scope.map(|s| s.app.as_str()),
                    scope.map(|s| s.env.as_str()),
                    entry.target,
                    entry.outcome
                ],
            )?;
            db.conn.execute("DELETE FROM audit WHERE id <= ?1", [db.conn.last_insert_rowid() - ROWS_MAX])?;
            Ok(())
        })
        .await
    }

    /// The newest `limit` rows, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn audit_rows(&self, limit: u32) -> Outcome<Vec<AuditRow>> {
        self.call(move |db| {
            let mut all = db.conn.prepare_cached("SELECT * FROM audit ORDER BY id DESC LIMIT ?1")?;
            all.query_map([limit], |row| Ok(read(row)))?.map(|found| found?).collect()
        })
        .await
    }
}

fn read(row: &rusqlite::Row<'_>) -> Outcome<AuditRow> {
    let app: Option<String> = row.get("app")?;
    Ok(AuditRow {
        time: Wall(row::number(row, "time_ns")?),
        who: row.get("who")?,
        what: row.get("what")?,
        scope: app.map(|_| row::scope(row)).transpose()?,
        target: row.get("target")?,
        outcome: row.get("outcome")?,
    })
}
