//! The table `uids`: a user id of its own for each application and environment, given once and never again.

use rusqlite::{OptionalExtension, params};
use stdx::ids::Scope;

use crate::row::Outcome;
use crate::{StateError, Store};

/// The ids that are given to applications: a range that Debian leaves to the local administrator's software.
const FIRST: u32 = 60_000;
const LAST: u32 = 64_999;

impl Store {
    /// The user id of an application; the next free one when it has none yet.
    ///
    /// # Errors
    /// When the range is used up or the store fails.
    pub async fn uid(&self, scope: Scope) -> Outcome<u32> {
        self.call(move |db| {
            let sql = "SELECT uid FROM uids WHERE app = ?1 AND env = ?2";
            let keys = params![scope.app.as_str(), scope.env.as_str()];
            if let Some(uid) = db.conn.query_row(sql, keys, |row| row.get(0)).optional()? {
                return Ok(uid);
            }
            let highest: Option<u32> = db.conn.query_row("SELECT max(uid) FROM uids", [], |row| row.get(0))?;
            let next = highest.map_or(FIRST, |uid| uid + 1);
            if next > LAST {
                return Err(StateError::Exhausted {
                    what: "user ids for applications",
                    limit: u64::from(LAST - FIRST + 1),
                });
            }
            db.conn.execute(
                "INSERT INTO uids (uid, app, env) VALUES (?1, ?2, ?3)",
                params![next, scope.app.as_str(), scope.env.as_str()],
            )?;
            Ok(next)
        })
        .await
    }
}
