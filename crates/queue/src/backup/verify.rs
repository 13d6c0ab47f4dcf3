//! Reads a whole log without changing anything, and says what is in it and what is not.

use std::path::Path;

use serde::{Deserialize, Serialize};
use stdx::format;
use stdx::io::{Disk, Io};

use super::{BackupError, LOG};
use crate::config::Config;
use crate::engine::{Engine, Limits};
use crate::log::replay::Replay;

/// What a folder holds. Every record of it was read, and its checksum compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// The version of the listing.
    pub schema: u32,
    /// Segments of the log.
    pub segments: u64,
    /// Records in them.
    pub records: u64,
    /// Jobs that are there.
    pub jobs: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Tubes that hold a job or were paused.
    pub tubes: u64,
    /// Bytes at the end that were never acknowledged, as a crash leaves them.
    pub torn_bytes: u64,
    /// Acknowledged data that is not what was written. Empty on a healthy disk.
    pub damage: Vec<String>,
}

/// Reads a queue's folder, in use or not, or a copy of one.
///
/// # Errors
/// [`BackupError`]: what is there is no queue, or nothing of it can be read. Damage is no error, but part of the answer.
pub fn verify(folder: &Path) -> Result<Verified, BackupError> {
    format::check(&Disk, folder, "queue", crate::handle::FORMAT)?;
    log(&Disk, &folder.join(LOG))
}

/// Reads a log's folder.
pub(super) fn log<D: Io>(io: &D, folder: &Path) -> Result<Verified, BackupError> {
    let failed = |why: String| BackupError::Log { folder: folder.to_path_buf(), why };
    let mut replay = Replay::<D>::new(Engine::new(Limits::from(&Config::default())));
    let config = wal::Config::new(folder.to_path_buf());
    let report = wal::inspect(io, &config, &mut |found| replay.visit(found)).map_err(|e| failed(e.to_string()))?;
    let mut damage: Vec<String> = report.damage.iter().map(ToString::to_string).collect();
    if let Some((lsn, kind)) = replay.failed {
        damage.push(format!("record {lsn} is of kind {kind}, which this Forebay does not read"));
    }
    let mut engine = replay.engine;
    engine.settle();
    let figures = engine.tubes().fold((0, 0, 0), |(jobs, bytes, tubes), tube| {
        let some = u64::from(tube.figures.jobs() > 0 || tube.pause.is_some());
        (jobs + tube.figures.jobs(), bytes + tube.figures.bytes, tubes + some)
    });
    let (jobs, bytes, tubes) = figures;
    Ok(Verified {
        schema: 1,
        segments: report.segments,
        records: report.records,
        jobs,
        bytes,
        tubes,
        torn_bytes: report.torn.map_or(0, |torn| torn.bytes.into()),
        damage,
    })
}
