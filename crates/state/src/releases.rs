//! The table `releases`: numbered, and but for their state immutable.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use rusqlite::{Connection, OptionalExtension, params};
use stdx::clock::Wall;
use stdx::ids::{ReleaseNo, Scope};

use crate::row::{self, Outcome, malformed, stored};
use crate::{StateError, Store};

/// Where a release is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleaseState {
    /// Its source is being put in place.
    Preparing,
    /// Its instances are being started; they have no traffic yet.
    Starting,
    /// It has the traffic.
    Serving,
    /// It had the traffic once.
    Retired,
    /// It never had the traffic.
    Failed,
}

impl ReleaseState {
    const ALL: [(ReleaseState, &str); 5] = [
        (ReleaseState::Preparing, "preparing"),
        (ReleaseState::Starting, "starting"),
        (ReleaseState::Serving, "serving"),
        (ReleaseState::Retired, "retired"),
        (ReleaseState::Failed, "failed"),
    ];

    /// The word that `forebay releases` shows.
    pub fn as_str(self) -> &'static str {
        ReleaseState::ALL.iter().find(|(state, _)| *state == self).map_or("failed", |(_, word)| word)
    }
}

impl fmt::Display for ReleaseState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for ReleaseState {
    type Err = StateError;
    fn from_str(text: &str) -> Outcome<ReleaseState> {
        let found = ReleaseState::ALL.iter().find(|(_, word)| *word == text);
        found.map(|(state, _)| *state).ok_or_else(|| malformed("release state", text))
    }
}

/// What a release consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// SHA-256 of the source, 64 hex digits.
    pub digest: String,
    /// The version of the resolved manifest.
    pub manifest_schema: u32,
    /// The resolved manifest, JSON.
    pub manifest: String,
    /// Variables of the environment.
    pub config: BTreeMap<String, String>,
    /// The version of each secret that it is given.
    pub secrets: BTreeMap<String, u32>,
}

/// One release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// Its application and environment.
    pub scope: Scope,
    /// Its number.
    pub no: ReleaseNo,
    /// Where it is in its life.
    pub state: ReleaseState,
    /// When it was made.
    pub created: Wall,
    /// `deploy` or `rollback to v2`.
    pub origin: String,
    /// The release whose folder holds the source: its own, or the one that was rolled back to.
    pub source: ReleaseNo,
    /// What it consists of.
    pub content: Content,
    /// Why it failed.
    pub reason: Option<String>,
}

const COLUMNS: &str = "SELECT app, env, no, state, created_ns, origin, source, digest, manifest_schema, manifest, \
                       config, secrets, reason FROM releases";

impl Store {
    /// Gives the next number to a release in the state `preparing`. `source`: the release whose folder it shares, or
    /// none where it brings its own.
    ///
    /// # Errors
    /// When the application is not known or the store fails.
    pub async fn release_create(
        &self,
        scope: Scope,
        origin: String,
        source: Option<ReleaseNo>,
        content: Content,
        now: Wall,
    ) -> Outcome<Release> {
        self.call(move |db| {
            let tx = db.conn.transaction()?;
            let no = next_number(&tx, &scope)?;
            let release = Release {
                source: source.unwrap_or(no),
                scope,
                no,
                state: ReleaseState::Preparing,
                created: now,
                origin,
                content,
                reason: None,
            };
            insert(&tx, &release)?;
            tx.commit()?;
            Ok(release)
        })
        .await
    }

    /// Moves a release that has no traffic to another state: `starting`, or `failed` with its reason.
    ///
    /// # Errors
    /// When there is no such release or the store fails.
    pub async fn release_mark(
        &self,
        scope: Scope,
        no: ReleaseNo,
        state: ReleaseState,
        reason: Option<String>,
    ) -> Outcome<()> {
        self.call(move |db| mark(&db.conn, &scope, no, state, reason.as_deref())).await
    }

    /// Makes `no` the serving release and retires the one before, in one transaction.
    ///
    /// # Errors
    /// When there is no such release or the store fails; then nothing has changed.
    pub async fn release_activate(&self, scope: Scope, no: ReleaseNo) -> Outcome<()> {
        self.call(move |db| {
            let tx = db.conn.transaction()?;
            tx.execute(
                "UPDATE releases SET state = 'retired' WHERE app = ?1 AND env = ?2 AND state = 'serving' AND no <> ?3",
                params![scope.app.as_str(), scope.env.as_str(), no.0],
            )?;
            mark(&tx, &scope, no, ReleaseState::Serving, None)?;
            tx.execute(
                "UPDATE apps SET current = ?3 WHERE app = ?1 AND env = ?2",
                params![scope.app.as_str(), scope.env.as_str(), no.0],
            )?;
            tx.commit()?;
            Ok(())
        })
        .await
    }

    /// The releases of an application, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn releases(&self, scope: Scope) -> Outcome<Vec<Release>> {
        self.call(move |db| {
            let mut all = db.conn.prepare_cached(&format!("{COLUMNS} WHERE app = ?1 AND env = ?2 ORDER BY no DESC"))?;
            all.query_map(params![scope.app.as_str(), scope.env.as_str()], |row| Ok(read(row)))?
                .map(|found| found?)
                .collect()
        })
        .await
    }

    /// One release.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn release(&self, scope: Scope, no: ReleaseNo) -> Outcome<Option<Release>> {
        self.call(move |db| {
            let mut one = db.conn.prepare_cached(&format!("{COLUMNS} WHERE app = ?1 AND env = ?2 AND no = ?3"))?;
            let found = one.query_row(params![scope.app.as_str(), scope.env.as_str(), no.0], |row| Ok(read(row)));
            found.optional()?.transpose()
        })
        .await
    }

    /// Forgets a release and the versions of secrets that only it was given.
    ///
    /// # Errors
    /// When an instance still refers to it, when it is the serving one, or when the store fails.
    pub async fn release_forget(&self, scope: Scope, no: ReleaseNo) -> Outcome<()> {
        self.call(move |db| {
            let tx = db.conn.transaction()?;
            tx.execute(
                "DELETE FROM releases WHERE app = ?1 AND env = ?2 AND no = ?3 AND state <> 'serving'",
                params![scope.app.as_str(), scope.env.as_str(), no.0],
            )?;
            crate::secrets::prune(&tx, &scope)?;
            tx.commit()?;
            Ok(())
        })
        .await
    }
}

fn next_number(conn: &Connection, scope: &Scope) -> Outcome<ReleaseNo> {
    let next = conn
        .query_row(
            "UPDATE apps SET last_release = last_release + 1 WHERE app = ?1 AND env = ?2 RETURNING last_release",
            params![scope.app.as_str(), scope.env.as_str()],
            |row| row.get(0),
        )
        .optional()?;
    next.map(ReleaseNo).ok_or_else(|| StateError::NotFound(format!("application {scope}")))
}

fn insert(conn: &Connection, release: &Release) -> Outcome<()> {
    let content = &release.content;
    conn.execute(
        "INSERT INTO releases (app, env, no, state, created_ns, origin, source, digest, manifest_schema, manifest, config, secrets)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        params![
            release.scope.app.as_str(),
            release.scope.env.as_str(),
            release.no.0,
            release.state.as_str(),
            stored(release.created.0),
            release.origin,
            release.source.0,
            content.digest,
            content.manifest_schema,
            content.manifest,
            row::to_json(&content.config, "release config")?,
            row::to_json(&content.secrets, "release secrets")?,
        ],
    )?;
    Ok(())
}

fn mark(conn: &Connection, scope: &Scope, no: ReleaseNo, state: ReleaseState, reason: Option<&str>) -> Outcome<()> {
    let changed = conn.execute(
        "UPDATE releases SET state = ?4, reason = ?5 WHERE app = ?1 AND env = ?2 AND no = ?3",
        params![scope.app.as_str(), scope.env.as_str(), no.0, state.as_str(), reason],
    )?;
    match changed {
        0 => Err(StateError::NotFound(format!("release {no} of {scope}"))),
        _ => Ok(()),
    }
}

fn read(row: &rusqlite::Row<'_>) -> Outcome<Release> {
    let state: String = row.get("state")?;
    let config: String = row.get("config")?;
    let secrets: String = row.get("secrets")?;
    Ok(Release {
        scope: row::scope(row)?,
        no: ReleaseNo(row.get("no")?),
        state: state.parse()?,
        created: Wall(row::number(row, "created_ns")?),
        origin: row.get("origin")?,
        source: ReleaseNo(row.get("source")?),
        content: Content {
            digest: row.get("digest")?,
            manifest_schema: row.get("manifest_schema")?,
            manifest: row.get("manifest")?,
            config: row::json(&config, "release config")?,
            secrets: row::json(&secrets, "release secrets")?,
        },
        reason: row.get("reason")?,
    })
}
