//! The table `apps`: who owns an application, and which release serves.

use rusqlite::{OptionalExtension, params};
use stdx::clock::Wall;
use stdx::ids::{ReleaseNo, Scope};

use crate::Store;
use crate::row::{self, Outcome, stored};

/// One application in one environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// The application and its environment.
    pub scope: Scope,
    /// Whom to ask about it.
    pub owner: Option<String>,
    /// The release that serves; none before the first deploy has succeeded.
    pub current: Option<ReleaseNo>,
}

const COLUMNS: &str = "SELECT app, env, owner, current FROM apps";

impl Store {
    /// Makes the application known, or changes its owner.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn app_put(&self, scope: Scope, owner: Option<String>, now: Wall) -> Outcome<()> {
        self.call(move |db| {
            db.conn.execute(
                "INSERT INTO apps (app, env, owner, last_release, created_ns) VALUES (?1, ?2, ?3, 0, ?4)
                 ON CONFLICT (app, env) DO UPDATE SET owner = excluded.owner",
                params![scope.app.as_str(), scope.env.as_str(), owner, stored(now.0)],
            )?;
            Ok(())
        })
        .await
    }

    /// The application, when it was ever deployed.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn app(&self, scope: Scope) -> Outcome<Option<App>> {
        self.call(move |db| {
            let mut found = db.conn.prepare_cached(&format!("{COLUMNS} WHERE app = ?1 AND env = ?2"))?;
            let found = found.query_row(params![scope.app.as_str(), scope.env.as_str()], |row| Ok(read(row)));
            found.optional()?.transpose()
        })
        .await
    }

    /// All applications, by name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn apps(&self) -> Outcome<Vec<App>> {
        self.call(|db| {
            let mut all = db.conn.prepare_cached(&format!("{COLUMNS} ORDER BY app, env"))?;
            all.query_map([], |row| Ok(read(row)))?.map(|found| found?).collect()
        })
        .await
    }
}

fn read(row: &rusqlite::Row<'_>) -> Outcome<App> {
    let current: Option<u32> = row.get("current")?;
    Ok(App { scope: row::scope(row)?, owner: row.get("owner")?, current: current.map(ReleaseNo) })
}
