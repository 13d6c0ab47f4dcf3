//! From a folder to a running broker.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use stdx::io::Io;
use wal::{Committer, Lsn, Report};

use super::bodies::Bodies;
use super::compact::Compaction;
use super::events::Events;
use super::parked::ParkedPuts;
use super::pulse::Pulse;
use super::{Broker, Identity, Intake};
use crate::config::Config;
use crate::engine::{Engine, Limits};
use crate::event::{JobSink, TokenSource};
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
pub(super) const PENDING_BYTES_MAX: usize = 32 << 20;

/// One batch; a sync of so much costs about what one of a few bytes does (design/queue.md, 4.3).
const BATCH_BYTES_MAX: usize = 1 << 20;

/// Beside the limit of free space, the log keeps some of its own for deletes on a full disk.
const LOG_RESERVE_BYTES_MAX: u64 = 4 << 20;

/// A record must fit a segment with its headers.
const SEGMENT_BYTES_BESIDE_BODY: u64 = 4 << 10;

impl<D: Io> Broker<D> {
    /// Opens the log in `folder` and takes over what it describes.
    pub(crate) fn open(
        io: D,
        config: Config,
        folder: &Path,
        tokens: Arc<dyn TokenSource>,
        sink: Arc<dyn JobSink>,
    ) -> Result<Opened<D>, BrokerError> {
        let mut replay = Replay::new(Engine::new(Limits::from(&config)));
        let segment_bytes_least = u64::from(config.job_bytes_max) + SEGMENT_BYTES_BESIDE_BODY;
        let log = wal::Config {
            segment_bytes_max: config.segment_bytes_max.max(segment_bytes_least),
            batch_bytes_max: BATCH_BYTES_MAX,
            pending_bytes_max: PENDING_BYTES_MAX,
            reserve_bytes: (config.disk_reserve_bytes / 4).min(LOG_RESERVE_BYTES_MAX),
            ..wal::Config::new(folder.to_path_buf())
        };
        let opened = wal::open(io, log, &mut |found| replay.visit(found))?;
        if let Some((lsn, kind)) = replay.failed {
            return Err(BrokerError::Record { folder: folder.to_path_buf(), lsn, kind });
        }
        let mut engine = replay.engine;
        // Each lost record may have given out an id.
        let lost: u64 =
            opened.report.damage.iter().flat_map(|damage| &damage.lost).map(|r| r.last.0 - r.first.0 + 1).sum();
        engine.never_again(JobId(engine.next_id().0 + lost - 1));
        engine.settle();
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
            failed: None,
            tokens,
            events: Events::new(sink),
            compaction: Compaction::default(),
            identity: Identity::of_this_process(),
            ops: Vec::new(),
            body_scratch: Vec::new(),
            parked: ParkedPuts::default(),
            pulse: Pulse::default(),
            answered: 0,
        };
        Ok(Opened { broker, committer: opened.committer, report: opened.report })
    }
}
