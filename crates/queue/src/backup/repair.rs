//! A queue's folder without its damage: what can be read is written again, the segments that are damaged leave the log, and
//! their files are kept under another name.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use stdx::format;
use stdx::io::Disk;
use stdx::lock::FolderLock;
use wal::{Committer, Damage, DamageKind, Position};

use super::{BackupError, LOG, Verified, verify};
use crate::broker::{Broker, Opened};
use crate::config::Config;
use crate::engine::{Engine, Limits};
use crate::event::{NoSink, NoTokens};
use crate::log::checkpoint;
use crate::log::record;
use crate::log::replay::Replay;

/// What a repair found, and did or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repaired {
    /// The version of the listing.
    pub schema: u32,
    /// Nothing was changed.
    pub dry_run: bool,
    /// The damaged stretches.
    pub damage: Vec<String>,
    /// Records in them that cannot be read.
    pub records_lost: u64,
    /// Jobs that the queue knows of and whose bodies are lost. They stay, buried, until somebody deletes them.
    pub jobs_lost: Vec<LostJob>,
    /// Jobs that are whole.
    pub jobs_whole: u64,
    /// Segments that leave the log; what lives in them is written again.
    pub segments: Vec<u64>,
    /// The files that are kept for whoever looks into the damage.
    pub kept: Vec<String>,
}

/// A job without its body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostJob {
    /// The job.
    pub id: u64,
    /// Its tube.
    pub tube: String,
    /// Bytes that its body had.
    pub bytes: u32,
}

/// What is damaged, and the last segment that has to go for it.
struct Look {
    told: Repaired,
    damaged: Vec<u64>,
    last: Option<u64>,
    job_bytes_max: u32,
}

/// Says what is damaged in a queue's folder and what of it would be lost; changes nothing.
///
/// # Errors
/// [`BackupError`]: what is there is no queue, or nothing of it can be read.
pub fn preview(folder: &Path) -> Result<Repaired, BackupError> {
    format::check(&Disk, folder, "queue", crate::handle::FORMAT)?;
    Ok(Repaired { dry_run: true, ..look(folder)?.told })
}

/// Takes the damage out of a queue's folder that nobody uses.
///
/// # Errors
/// [`BackupError`]. Each step may be repeated: what is readable is on disk anew before a segment leaves.
pub fn repair(folder: &Path) -> Result<Repaired, BackupError> {
    format::check(&Disk, folder, "queue", crate::handle::FORMAT)?;
    let _lock = FolderLock::take(folder, "forebay queue repair")?;
    let Look { mut told, damaged, last, job_bytes_max } = look(folder)?;
    let Some(last) = last else { return Ok(told) };
    rewrite(folder, &damaged, last, job_bytes_max)?;
    let Verified { damage, .. } = verify(folder)?;
    if !damage.is_empty() {
        return Err(BackupError::Damaged { folder: folder.to_path_buf(), damage });
    }
    let names = stdx::io::Io::list(&Disk, &folder.join(LOG)).map_err(BackupError::disk(folder))?;
    told.kept = names.into_iter().filter(|name| name.ends_with(".damaged")).collect();
    Ok(told)
}

fn look(folder: &Path) -> Result<Look, BackupError> {
    let log = folder.join(LOG);
    let failed = |why: String| BackupError::Log { folder: log.clone(), why };
    let (mut replay, known) = newest_checkpoint(folder);
    let mut whole = HashSet::new();
    let config = wal::Config::new(log.clone());
    let report = wal::inspect(&Disk, &config, &mut |found| {
        if record::job_id(found.kind, found.payload).is_some() {
            whole.insert(found.position);
        }
        if found.lsn > known {
            replay.visit(found);
        }
    })
    .map_err(|e| failed(e.to_string()))?;
    let all = replay.far.bring_all(&mut replay.engine);
    if let Some(cause) = replay.lost.or(all.err()) {
        return Err(failed(format!("a checkpoint of the index: {cause}")));
    }
    let oldest = report.damage.iter().map(|damage| damage.segment).min();
    let last = report.damage.iter().map(last_segment).max();
    let mut engine = replay.engine;
    engine.settle();
    Ok(Look {
        told: Repaired {
            schema: 1,
            damage: report.damage.iter().map(ToString::to_string).collect(),
            records_lost: report.damage.iter().flat_map(|d| &d.lost).map(|lost| lost.last.0 - lost.first.0 + 1).sum(),
            segments: oldest.zip(last).map(|(from, to)| (from..=to).collect()).unwrap_or_default(),
            ..told_of(&engine, &whole)
        },
        damaged: report.damage.iter().map(|damage| damage.segment).collect(),
        last,
        job_bytes_max: engine.all_jobs().map(|job| job.body_len).max().unwrap_or(0),
    })
}

fn told_of(engine: &Engine, whole: &HashSet<Position>) -> Repaired {
    let mut told = Repaired::default();
    for job in engine.all_jobs() {
        if whole.contains(&job.at) {
            told.jobs_whole += 1;
        } else {
            let tube = engine.tube(job.tube).name.to_string();
            told.jobs_lost.push(LostJob { id: job.id.0, tube, bytes: job.body_len });
        }
    }
    told
}

/// What the newest readable checkpoint knows; without one, nothing.
fn newest_checkpoint(folder: &Path) -> (Replay<Disk>, wal::Lsn) {
    let index = checkpoint::folder(folder);
    let engine = || Engine::new(Limits::from(&Config::default()));
    let all = checkpoint::list(&Disk, &index).unwrap_or_default();
    let read = |lsn| checkpoint::read(&Disk, &index, lsn, engine()).ok();
    all.into_iter()
        .find_map(read)
        .map_or_else(|| (Replay::new(engine()), wal::Lsn(0)), |(replay, resume)| (replay, resume.lsn))
}

fn last_segment(damage: &Damage) -> u64 {
    match damage.what {
        DamageKind::Missing { last } => last,
        _ => damage.segment,
    }
}

/// Writes again what lives in the segments up to `last`, and lets those go.
fn rewrite(folder: &Path, damaged: &[u64], last: u64, job_bytes_max: u32) -> Result<(), BackupError> {
    let failed = |why: String| BackupError::Log { folder: folder.join(LOG), why };
    let default = Config::default();
    let config = Config { job_bytes_max: default.job_bytes_max.max(job_bytes_max), ..default };
    let opened = Broker::open(Disk, config, folder, Arc::new(NoTokens), Arc::new(NoSink));
    let Opened { mut broker, mut committer, .. } = opened.map_err(|e| failed(e.to_string()))?;
    damaged.iter().for_each(|&segment| broker.keep_file_of(segment));
    loop {
        let goes_on = broker.empty_through(last).map_err(failed)?;
        commit_all(&mut broker, &mut committer).map_err(failed)?;
        if !goes_on {
            return Ok(());
        }
    }
}

fn commit_all(broker: &mut Broker<Disk>, committer: &mut Committer<Disk>) -> Result<(), String> {
    while let Some(batch) = broker.next_batch_now() {
        let committed = committer.commit(batch).map_err(|e| e.to_string())?;
        broker.written(committed);
        committer.clean_up().map_err(|e| e.to_string())?;
    }
    Ok(())
}
