//! The table `instances`: one row per run of a process. The row is written before the process is started, with the
//! socket that it will have, so that a node that dies in between finds it again and starts nothing twice.

use std::path::PathBuf;

use rusqlite::params;
use stdx::clock::Wall;
use stdx::ids::{InstanceId, ProcessName, ReleaseNo, Scope};

use crate::row::{self, Outcome, malformed, stored};
use crate::{StateError, Store};

/// Whether an instance is meant to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Desired {
    /// It is.
    Run,
    /// It is being stopped; a node that finds it goes on stopping it.
    Stop,
}

impl Desired {
    fn as_str(self) -> &'static str {
        match self {
            Desired::Run => "run",
            Desired::Stop => "stop",
        }
    }
}

/// What was last known of an instance's health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Known {
    /// It has not been healthy yet.
    #[default]
    Unknown,
    /// It is healthy.
    Healthy,
    /// It was healthy once and is not any more.
    Unhealthy,
}

impl Known {
    fn as_str(self) -> &'static str {
        match self {
            Known::Unknown => "unknown",
            Known::Healthy => "healthy",
            Known::Unhealthy => "unhealthy",
        }
    }

    fn read(text: &str) -> Outcome<Known> {
        let all = [Known::Unknown, Known::Healthy, Known::Unhealthy];
        all.into_iter().find(|one| one.as_str() == text).ok_or_else(|| malformed("health", text))
    }
}

/// What is known of an instance before it is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewInstance {
    /// Its application and environment.
    pub scope: Scope,
    /// Its process type.
    pub process: ProcessName,
    /// The release that it runs.
    pub release: ReleaseNo,
    /// The port it is given.
    pub port: Option<u16>,
    /// The user it runs as.
    pub uid: Option<u32>,
    /// The folder of the inits' sockets; the instance's own is `SERIAL.sock` in it.
    pub sockets: PathBuf,
    /// Crashes of its place before it.
    pub restarts: u32,
    /// When.
    pub started: Wall,
}

/// One run of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceRecord {
    /// Its id, never given twice on a node.
    pub id: InstanceId,
    /// Its application and environment.
    pub scope: Scope,
    /// The release that it runs.
    pub release: ReleaseNo,
    /// The port it was given.
    pub port: Option<u16>,
    /// The user it runs as.
    pub uid: Option<u32>,
    /// The socket of its init process.
    pub socket: PathBuf,
    /// How its processes are found again (JSON); absent until the start has returned.
    pub ticket: Option<String>,
    /// Whether it is meant to run.
    pub desired: Desired,
    /// When it was started.
    pub started: Wall,
    /// Crashes of its place before it.
    pub restarts: u32,
    /// What was last known of its health.
    pub health: Known,
}

impl Store {
    /// Writes the row of an instance that is about to be started and gives it its serial.
    ///
    /// # Errors
    /// When the store fails; then nothing may be started.
    pub async fn instance_create(&self, new: NewInstance) -> Outcome<InstanceRecord> {
        self.call(move |db| {
            let tx = db.conn.transaction()?;
            let serial: i64 = tx.query_row(
                "INSERT INTO serials (name, last) VALUES ('instance', 1)
                 ON CONFLICT (name) DO UPDATE SET last = last + 1 RETURNING last",
                [],
                |row| row.get(0),
            )?;
            let socket = new.sockets.join(format!("{serial}.sock"));
            tx.execute(
                "INSERT INTO instances (serial, app, env, process, release, port, uid, socket, desired, started_ns, restarts)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'run', ?9, ?10)",
                params![
                    serial,
                    new.scope.app.as_str(),
                    new.scope.env.as_str(),
                    new.process.as_str(),
                    new.release.0,
                    new.port,
                    new.uid,
                    path_text(&socket)?,
                    stored(new.started.0),
                    new.restarts,
                ],
            )?;
            tx.commit()?;
            let serial = u64::try_from(serial).map_err(|_| malformed("instance serial", serial))?;
            Ok(InstanceRecord {
                id: InstanceId { process: new.process, serial },
                scope: new.scope,
                release: new.release,
                port: new.port,
                uid: new.uid,
                socket,
                ticket: None,
                desired: Desired::Run,
                started: new.started,
                restarts: new.restarts,
                health: Known::Unknown,
            })
        })
        .await
    }

    /// Adds the ticket that the start has returned.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn instance_started(&self, serial: u64, ticket: String) -> Outcome<()> {
        self.call(move |db| {
            let sql = "UPDATE instances SET ticket = ?2 WHERE serial = ?1";
            db.conn.execute(sql, params![stored(serial), ticket])?;
            Ok(())
        })
        .await
    }

    /// Notes that an instance is to be stopped, before it is.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn instance_desire(&self, serial: u64, desired: Desired) -> Outcome<()> {
        self.call(move |db| {
            let sql = "UPDATE instances SET desired = ?2 WHERE serial = ?1";
            db.conn.execute(sql, params![stored(serial), desired.as_str()])?;
            Ok(())
        })
        .await
    }

    /// Notes what is known of an instance's health.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn instance_health(&self, serial: u64, health: Known) -> Outcome<()> {
        self.call(move |db| {
            let sql = "UPDATE instances SET health = ?2 WHERE serial = ?1";
            db.conn.execute(sql, params![stored(serial), health.as_str()])?;
            Ok(())
        })
        .await
    }

    /// Removes the row of an instance whose processes are gone.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn instance_gone(&self, serial: u64) -> Outcome<()> {
        self.call(move |db| {
            db.conn.execute("DELETE FROM instances WHERE serial = ?1", [stored(serial)])?;
            Ok(())
        })
        .await
    }

    /// All instances of all applications, in the order of their start.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn instances(&self) -> Outcome<Vec<InstanceRecord>> {
        self.call(|db| {
            let mut all = db.conn.prepare_cached("SELECT * FROM instances ORDER BY serial")?;
            all.query_map([], |row| Ok(read(row)))?.map(|found| found?).collect()
        })
        .await
    }
}

fn path_text(path: &std::path::Path) -> Outcome<&str> {
    path.to_str().ok_or_else(|| StateError::Malformed { what: "socket path", found: path.display().to_string() })
}

fn read(row: &rusqlite::Row<'_>) -> Outcome<InstanceRecord> {
    let socket: String = row.get("socket")?;
    let desired: String = row.get("desired")?;
    let health: String = row.get("health")?;
    Ok(InstanceRecord {
        id: InstanceId { process: row::process(row)?, serial: row::number(row, "serial")? },
        scope: row::scope(row)?,
        release: ReleaseNo(row.get("release")?),
        port: row.get("port")?,
        uid: row.get("uid")?,
        socket: socket.into(),
        ticket: row.get("ticket")?,
        desired: match desired.as_str() {
            "run" => Desired::Run,
            "stop" => Desired::Stop,
            other => return Err(malformed("desired state", other)),
        },
        started: Wall(row::number(row, "started_ns")?),
        restarts: row::small(row, "restarts")?,
        health: Known::read(&health)?,
    })
}
