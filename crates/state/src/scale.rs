//! The table `scale`: how many instances of a process somebody asked for, whatever the manifest says.

use std::collections::BTreeMap;

use rusqlite::params;
use stdx::ids::{ProcessName, Scope};

use crate::Store;
use crate::row::{self, Outcome};

impl Store {
    /// Sets the number of instances of some processes; it stays across deploys and restarts.
    ///
    /// # Errors
    /// When the application is not known or the store fails; then none has changed.
    pub async fn scale_put(&self, scope: Scope, counts: BTreeMap<ProcessName, u16>) -> Outcome<()> {
        self.call(move |db| {
            let tx = db.conn.transaction()?;
            for (process, instances) in counts {
                tx.execute(
                    "INSERT INTO scale (app, env, process, instances) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (app, env, process) DO UPDATE SET instances = excluded.instances",
                    params![scope.app.as_str(), scope.env.as_str(), process.as_str(), instances],
                )?;
            }
            tx.commit()?;
            Ok(())
        })
        .await
    }

    /// The overrides of an application.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn scale(&self, scope: Scope) -> Outcome<BTreeMap<ProcessName, u16>> {
        self.call(move |db| {
            let sql = "SELECT process, instances FROM scale WHERE app = ?1 AND env = ?2";
            let mut all = db.conn.prepare_cached(sql)?;
            all.query_map(params![scope.app.as_str(), scope.env.as_str()], |row| {
                Ok(row::process(row).and_then(|process| Ok((process, row::small(row, "instances")?))))
            })?
            .map(|found| found?)
            .collect()
        })
        .await
    }
}
