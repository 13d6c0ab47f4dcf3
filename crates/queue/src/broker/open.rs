//! From a folder to a running broker.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use stdx::io::{Io, OpenMode};
use wal::{Committer, Lsn, Progress, Report, Resume};

use super::bodies::Bodies;
use super::checkpoints::Checkpoints;
use super::compact::Compaction;
use super::disk::DiskRoom;
use super::events::Events;
use super::holders::Holders;
use super::parked::ParkedPuts;
use super::promise::IdsAhead;
use super::pulse::Pulse;
use super::{Broker, Identity, Intake};
use crate::backup::LOG;
use crate::config::Config;
use crate::engine::{Engine, Limits};
use crate::event::{JobSink, TokenSource};
use crate::log::checkpoint;
use crate::log::journal::Journal;
use crate::log::replay::Replay;
use crate::names::JobId;

/// A broker and the end of its log that writes.
pub(crate) struct Opened<D: Io> {
    pub(crate) broker: Broker<D>,
    pub(crate) committer: Committer<D>,
    pub(crate) report: Report,
}

/// Why the log gave no state.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BrokerError {
    /// The log itself.
    #[error(transparent)]
    Log(#[from] wal::OpenError),
    /// The folder of the checkpoints.
    #[error("cannot look into {}: {cause}", folder.display())]
    Index {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// A record is whole and yet means nothing here.
    #[error("record {lsn} of the log in {} is of kind {kind}, which this Forebay does not read", folder.display())]
    Record {
        /// The log's folder.
        folder: PathBuf,
        /// The record.
        lsn: Lsn,
        /// Its kind.
        kind: u8,
    },
}

/// What may be appended and not yet be on its way to the disk.
const PENDING_BYTES_MAX: usize = 32 << 20;

/// What may be appended before connections are read no further; no more than the log has set aside for a full disk, so that
/// puts which still came before it was full leave room for deletes.
const BEHIND_BYTES_MAX: usize = PENDING_BYTES_MAX / 4;

/// One batch; a sync of so much costs about what one of a few bytes does (design/queue.md, 4.3).
const BATCH_BYTES_MAX: usize = 1 << 20;

/// Bytes of log between two lines about the progress of a start.
const PROGRESS_BYTES: u64 = 256 << 20;

/// Beside the limit of free space, the log keeps some of its own for deletes on a full disk.
const LOG_RESERVE_BYTES_MAX: u64 = 4 << 20;

/// A segment is no more than this part of a disk, unless it is small.
const DISK_PARTS: u64 = 32;
const SMALL_SEGMENT_BYTES: u64 = 1 << 20;

/// A record must fit a segment with its headers.
const SEGMENT_BYTES_BESIDE_BODY: u64 = 4 << 10;

impl<D: Io> Broker<D> {
    /// Opens the queue in `folder` and takes over what its log describes: from the newest good checkpoint on, and all of it
    /// when there is none.
    pub(crate) fn open(
        io: D,
        config: Config,
        folder: &Path,
        tokens: Arc<dyn TokenSource>,
        sink: Arc<dyn JobSink>,
    ) -> Result<Opened<D>, BrokerError> {
        let index = checkpoint::folder(folder);
        let log = log_config(&io, &config, folder);
        let behind_bytes = match usize::try_from(log.reserve_bytes) {
            Ok(reserve) if reserve > 0 => reserve.min(BEHIND_BYTES_MAX),
            _ => BEHIND_BYTES_MAX,
        };
        let (replay, opened) = recover(&io, &config, &log, &index)?;
        let (mut engine, mut far) = (replay.engine, replay.far);
        // Each lost record may have given out an id.
        let lost: u64 =
            opened.report.damage.iter().flat_map(|damage| &damage.lost).map(|r| r.last.0 - r.first.0 + 1).sum();
        engine.never_again(JobId(engine.next_id().0 + lost - 1));
        engine.settle();
        far.settle(&mut engine, config.horizon_ms / 2);
        let broker = Broker {
            bodies: Bodies::new(config.body_cache_bytes_max),
            config,
            engine,
            journal: Journal::new(opened.writer, replay.segments),
            reader: opened.reader,
            conns: Vec::new(),
            dirty: Vec::new(),
            awaiting: Vec::new(),
            resumed: Vec::new(),
            intake: Intake::default(),
            disk_room: DiskRoom::default(),
            behind_bytes,
            segment_bytes_max: log.segment_bytes_max,
            failed: None,
            tokens,
            events: Events::new(sink),
            compaction: Compaction::default(),
            ids_ahead: IdsAhead::default(),
            volatile_turn: 0,
            checkpoints: Checkpoints::new(index, replay.bytes),
            far,
            near: VecDeque::new(),
            io,
            identity: Identity::of_this_process(),
            ops: Vec::new(),
            body_scratch: Vec::new(),
            parked: ParkedPuts::default(),
            output_bytes: 0,
            input_bytes: 0,
            holders: Holders::default(),
            pulse: Pulse::default(),
            log_folder: folder.join(LOG),
            copies: 0,
            answered: 0,
        };
        Ok(Opened { broker, committer: opened.committer, report: opened.report })
    }
}

/// The log as the configuration and the disk have it. A segment can only go when what lives in it has been copied, so it
/// is no more than a part of the disk, and no more than is kept free for that.
fn log_config<D: Io>(io: &D, config: &Config, folder: &Path) -> wal::Config {
    let folder = folder.join(LOG);
    let room = io.free_bytes(&folder).map_or(u64::MAX, |free| free.saturating_add(bytes_of(io, &folder)));
    let part = (room / DISK_PARTS).min(match config.disk_reserve_bytes {
        0 => u64::MAX,
        reserve => reserve / 2,
    });
    let segment_bytes_least = u64::from(config.job_bytes_max) + SEGMENT_BYTES_BESIDE_BODY;
    let segment_bytes_max = config.segment_bytes_max.min(part.max(SMALL_SEGMENT_BYTES)).max(segment_bytes_least);
    wal::Config {
        segment_bytes_max,
        batch_bytes_max: BATCH_BYTES_MAX,
        pending_bytes_max: PENDING_BYTES_MAX,
        reserve_bytes: (config.disk_reserve_bytes / 4).min(LOG_RESERVE_BYTES_MAX),
        ..wal::Config::new(folder)
    }
}

/// What the files in a folder hold; what cannot be looked at counts as nothing.
fn bytes_of<D: Io>(io: &D, folder: &Path) -> u64 {
    let names = io.list(folder).unwrap_or_default();
    let len = |name: &String| io.open(&folder.join(name), OpenMode::Read).and_then(|file| io.len(&file)).unwrap_or(0);
    names.iter().map(len).sum()
}

/// Tries the checkpoints from the newest on; each that is no good is told and removed.
fn recover<D: Io>(io: &D, config: &Config, log: &wal::Config, index: &Path) -> Result<Recovered<D>, BrokerError> {
    let at_index = |cause| BrokerError::Index { folder: index.to_path_buf(), cause };
    let checkpoints = checkpoint::list(io, index).map_err(at_index)?;
    for (tried, &lsn) in checkpoints.iter().enumerate() {
        let engine = Engine::new(Limits::from(config));
        let found = match checkpoint::read(io, index, lsn, engine) {
            Ok((replay, resume)) => replay_log(io, log, replay, Some(resume))?,
            Err(cause) => {
                tracing::error!(%lsn, %cause, "a checkpoint of the queue's index is of no use");
                None
            }
        };
        if let Some(found) = found {
            // Before the log gets records under the numbers of those that it has lost.
            checkpoint::remove(io, index, &checkpoints[..tried]).map_err(at_index)?;
            return Ok(found);
        }
    }
    let replay = Replay::new(Engine::new(Limits::from(config)));
    let all = replay_log(io, log, replay, None)?;
    checkpoint::remove(io, index, &checkpoints).map_err(at_index)?;
    Ok(all.expect("without a checkpoint there is nothing that could not fit"))
}

/// A state and the log that it is of.
type Recovered<D> = (Replay<D>, wal::Opened<D>);

/// Reads the log on from where the replay stands; `None` when the two do not fit.
fn replay_log<D: Io>(
    io: &D,
    log: &wal::Config,
    mut replay: Replay<D>,
    resume: Option<Resume>,
) -> Result<Option<Recovered<D>>, BrokerError> {
    let mut told = 0;
    let mut progress = |progress: Progress| {
        if progress.bytes - told >= PROGRESS_BYTES {
            told = progress.bytes;
            tracing::info!(bytes = progress.bytes, of = progress.of, "reading the queue's log");
        }
    };
    let opened = match wal::open_after(io.clone(), log.clone(), resume, &mut progress, &mut |found| replay.visit(found))
    {
        Ok(opened) => opened,
        Err(cause @ wal::OpenError::Elsewhere { .. }) => {
            tracing::error!(%cause, "a checkpoint of the queue's index is of no use");
            return Ok(None);
        }
        Err(e) => return Err(e.into()),
    };
    if let Some((lsn, kind)) = replay.failed {
        return Err(BrokerError::Record { folder: log.folder.clone(), lsn, kind });
    }
    if let Some(cause) = &replay.lost {
        tracing::error!(%cause, "a checkpoint of the queue's index is of no use");
        return Ok(None);
    }
    let oldest = opened.reader.segments().first().map_or(0, |segment| segment.number);
    let fits = replay.forget_below(oldest);
    if !fits && resume.is_some() {
        tracing::error!("a checkpoint of the queue's index tells of jobs in segments that are gone");
        return Ok(None);
    }
    Ok(Some((replay, opened)))
}
