//! The table `secrets`: versions of values, encrypted. A release keeps the versions that it was made with, so that a
//! rollback brings them back; a version that no release and no new release would be given is removed.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};
use stdx::clock::Wall;
use stdx::ids::Scope;

use crate::key::KeyRing;
use crate::row::{self, Outcome, stored};
use crate::seal::{Sealed, Sensitive};
use crate::{StateError, Store};

/// One secret as a listing shows it: never its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRow {
    /// Its key.
    pub key: String,
    /// Its newest version.
    pub version: u32,
    /// When that was set.
    pub created: Wall,
}

const NEWEST: &str = "SELECT key, version, created_ns FROM secrets s WHERE app = ?1 AND env = ?2 AND nonce IS NOT NULL \
                      AND version = (SELECT max(version) FROM secrets n WHERE n.app = s.app AND n.env = s.env AND n.key = s.key) \
                      ORDER BY key";

impl Store {
    /// Adds a version of a secret and says its number.
    ///
    /// # Errors
    /// When the key is lost or wrong, or the store fails.
    pub async fn secret_put(&self, scope: Scope, key: String, value: Sensitive, now: Wall) -> Outcome<u32> {
        self.call(move |db| {
            let seal = db.keys.seal(&db.conn)?;
            let tx = db.conn.transaction()?;
            let version = next_version(&tx, &scope, &key)?;
            let sealed = seal
                .close(&place(&scope, &key, version), value.expose())
                .map_err(|_| StateError::Corrupt("the crypto provider refuses to encrypt".into()))?;
            insert(&tx, &scope, &key, version, now, Some(sealed))?;
            prune(&tx, &scope)?;
            tx.commit()?;
            Ok(version)
        })
        .await
    }

    /// Removes a secret: new releases are not given it. Says which version it was, if there was one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn secret_remove(&self, scope: Scope, key: String, now: Wall) -> Outcome<Option<u32>> {
        self.call(move |db| {
            let tx = db.conn.transaction()?;
            let there = newest(&tx, &scope)?.iter().find(|row| row.key == key).map(|row| row.version);
            if there.is_some() {
                let version = next_version(&tx, &scope, &key)?;
                insert(&tx, &scope, &key, version, now, None)?;
                prune(&tx, &scope)?;
                tx.commit()?;
            }
            Ok(there)
        })
        .await
    }

    /// The secrets of an application, without their values.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn secrets(&self, scope: Scope) -> Outcome<Vec<SecretRow>> {
        self.call(move |db| newest(&db.conn, &scope)).await
    }

    /// The values of the given versions.
    ///
    /// # Errors
    /// When the key is lost or wrong, when a version is not there, or when the store fails.
    pub async fn secret_values(
        &self,
        scope: Scope,
        versions: BTreeMap<String, u32>,
    ) -> Outcome<BTreeMap<String, Sensitive>> {
        self.call(move |db| {
            if versions.is_empty() {
                return Ok(BTreeMap::new());
            }
            let seal = db.keys.seal(&db.conn)?;
            let mut values = BTreeMap::new();
            for (key, version) in versions {
                let sealed = stored_version(&db.conn, &scope, &key, version)?
                    .ok_or_else(|| StateError::NotFound(format!("version {version} of the secret {key} of {scope}")))?;
                let value =
                    seal.open(&place(&scope, &key, version), &sealed).map_err(|_| KeyRing::damaged("a secret"))?;
                values.insert(key, value);
            }
            Ok(values)
        })
        .await
    }
}

fn place(scope: &Scope, key: &str, version: u32) -> String {
    format!("secret/{scope}/{key}/{version}")
}

fn newest(conn: &Connection, scope: &Scope) -> Outcome<Vec<SecretRow>> {
    let mut all = conn.prepare_cached(NEWEST)?;
    all.query_map(params![scope.app.as_str(), scope.env.as_str()], |row| {
        Ok(row::number(row, "created_ns")
            .and_then(|ns| Ok(SecretRow { key: row.get("key")?, version: row.get("version")?, created: Wall(ns) })))
    })?
    .map(|found| found?)
    .collect()
}

fn next_version(conn: &Connection, scope: &Scope, key: &str) -> Outcome<u32> {
    let sql = "SELECT coalesce(max(version), 0) + 1 FROM secrets WHERE app = ?1 AND env = ?2 AND key = ?3";
    Ok(conn.query_row(sql, params![scope.app.as_str(), scope.env.as_str(), key], |row| row.get(0))?)
}

fn insert(conn: &Connection, scope: &Scope, key: &str, version: u32, now: Wall, sealed: Option<Sealed>) -> Outcome<()> {
    let (nonce, ciphertext) = sealed.map(|s| (s.nonce, s.ciphertext)).unzip();
    conn.execute(
        "INSERT INTO secrets (app, env, key, version, created_ns, nonce, ciphertext) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![scope.app.as_str(), scope.env.as_str(), key, version, stored(now.0), nonce, ciphertext],
    )?;
    Ok(())
}

fn stored_version(conn: &Connection, scope: &Scope, key: &str, version: u32) -> Outcome<Option<Sealed>> {
    let found = conn
        .query_row(
            "SELECT nonce, ciphertext FROM secrets
             WHERE app = ?1 AND env = ?2 AND key = ?3 AND version = ?4 AND nonce IS NOT NULL",
            params![scope.app.as_str(), scope.env.as_str(), key, version],
            |row| Ok(Sealed { nonce: row.get(0)?, ciphertext: row.get(1)? }),
        )
        .optional()?;
    Ok(found)
}

/// Removes versions that are neither the newest of their key nor named by a release. The newest stays even where it
/// says "removed", so that no version number is given twice.
pub(crate) fn prune(conn: &Connection, scope: &Scope) -> Outcome<()> {
    conn.execute(
        "DELETE FROM secrets AS s WHERE app = ?1 AND env = ?2
         AND version < (SELECT max(version) FROM secrets n WHERE n.app = s.app AND n.env = s.env AND n.key = s.key)
         AND NOT EXISTS (SELECT 1 FROM releases r, json_each(r.secrets) j
                         WHERE r.app = s.app AND r.env = s.env AND j.key = s.key AND j.value = s.version)",
        params![scope.app.as_str(), scope.env.as_str()],
    )?;
    Ok(())
}
