//! Starting the plane: the folder, what is on disk, the threads.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use stdx::clock::SharedClock;
use stdx::format;
use stdx::io::{Disk, Io};
use stdx::lock::FolderLock;
use wal::{CommitThread, Found, Opened, Segment};

use crate::FORMAT;
use crate::checkpoint::{self, Checkpoint, Checkpoints};
use crate::config::Config;
use crate::error::StartError;
use crate::format::{KIND_RECORD, View};
use crate::handle::Handle;
use crate::index::Index;
use crate::live::Live;
use crate::origins::{OriginLine, Origins};
use crate::pace::{Limits, Pace};
use crate::shared::{Damaged, OnDisk, Shared};
use crate::store::Store;
use crate::writer::{self, DiskState, Writer};

/// Starts the plane in `folder`, of which it becomes the only holder.
///
/// # Errors
/// When the folder is held by another process, of another format, or not readable.
pub fn start(config: Config, folder: PathBuf, clock: SharedClock) -> Result<Handle, StartError> {
    let lock = FolderLock::take(&folder, "forebay node")?;
    open(Disk, config, folder, clock, Some(lock))
}

/// Starts the plane on another disk, without a lock: for tests, and for tools that hold the lock themselves.
///
/// # Errors
/// As [`start`].
pub fn start_on<D: Io>(disk: D, config: Config, folder: PathBuf, clock: SharedClock) -> Result<Handle, StartError> {
    disk.create_dir(&folder).map_err(StartError::Folder)?;
    open(disk, config, folder, clock, None)
}

fn open<D: Io>(
    disk: D,
    config: Config,
    folder: PathBuf,
    clock: SharedClock,
    lock: Option<FolderLock>,
) -> Result<Handle, StartError> {
    // There is no older version yet, so whatever is not refused is read as it is.
    format::open(&disk, &folder, "logs", FORMAT)?;
    let wal_config = wal_config(&config, &folder);
    let payload_bytes_max = wal_config.payload_bytes_max();
    let (recovered, opened) = recover(&disk, &folder, &wal_config)?;
    let Opened { writer: wal, committer, reader, report } = opened;
    report_damage(&report);
    let checkpoints = Checkpoints::new(reader.log(), recovered.known_in.unwrap_or(0));

    let live = Live::recovered(recovered.index, report.last_lsn.0);
    let pace = Pace::new(Limits {
        interval: Duration::from_millis(config.commit_interval_ms.into()),
        awaited_gap: Duration::from_millis(config.commit_awaited_interval_ms.into()),
        bytes: bytes(config.commit_bytes),
    });
    let damaged = Arc::new(Damaged::default());
    damaged.note(&report.damage);
    let on_disk = Box::new(OnDisk { reader, damaged: Arc::clone(&damaged) });
    let shared = Arc::new(Shared::new(config, clock, (on_disk, damaged), live, recovered.origins));
    let results = Arc::clone(&shared);
    let committer = CommitThread::spawn("logs-commit", committer, move |result| results.inbox.committed(result))
        .map_err(StartError::Thread)?;
    let writer = Writer {
        store: Store::new(Arc::clone(&shared), wal, pace, payload_bytes_max, checkpoints),
        shared: Arc::clone(&shared),
        committer,
        disk,
        folder,
        disk_state: DiskState::Idle,
        drops_said: None,
        _lock: lock,
    };
    let thread = thread::Builder::new().name("logs-writer".into());
    thread.spawn(move || writer::run(writer)).map_err(StartError::Thread)?;
    Ok(Handle::new(shared))
}

fn wal_config(config: &Config, folder: &Path) -> wal::Config {
    wal::Config {
        folder: folder.join("segments"),
        segment_bytes_max: config.segment_bytes_max,
        batch_bytes_max: bytes(config.commit_bytes),
        // The inbox bounds what is pending; an encoded record is not longer than what it counts there, but a report of
        // drops counts nothing.
        pending_bytes_max: bytes(config.pending_bytes_max).saturating_mul(2).max(1 << 20),
        reserve_bytes: 0,
    }
}

/// Reads the log from the checkpoint on, or all of it when there is none that fits.
fn recover<D: Io>(disk: &D, folder: &Path, wal_config: &wal::Config) -> Result<(Recovered, Opened<D>), StartError> {
    let found = checkpoint::read(disk, folder).map_err(StartError::Folder)?;
    let resume = found.as_ref().map(|checkpoint| checkpoint.at);
    let mut recovered = Recovered::from(found);
    let mut no_progress = |_| ();
    let opened = match wal::open_after(disk.clone(), wal_config.clone(), resume, &mut no_progress, &mut |found| {
        recovered.visit(&found);
    }) {
        Err(wal::OpenError::Elsewhere { .. }) => {
            tracing::warn!(target: "logs", "the checkpoint does not fit the log: all of it is read");
            // Before the log gets records under the numbers of those that it has lost.
            checkpoint::remove(disk, folder).map_err(StartError::Folder)?;
            recovered = Recovered::default();
            wal::open(disk.clone(), wal_config.clone(), &mut |found| recovered.visit(&found))?
        }
        other => other?,
    };
    recovered.forget_what_is_gone(&opened.reader.segments());
    Ok((recovered, opened))
}

fn bytes(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Said once to the node's own log, and counted in the status; the rest of the records is served.
fn report_damage(report: &wal::Report) {
    if let Some(torn) = &report.torn {
        let (segment, bytes) = (torn.segment, torn.bytes);
        tracing::info!(target: "logs", segment, bytes, "cut what a crash left unfinished");
    }
    for damage in &report.damage {
        tracing::error!(target: "logs", %damage, "log records are damaged");
    }
}

/// What is kept in memory of the records on disk.
#[derive(Default)]
struct Recovered {
    index: Index,
    origins: Origins,
    /// The segment up to whose middle or so a checkpoint was enough.
    known_in: Option<u64>,
}

impl From<Option<Checkpoint>> for Recovered {
    fn from(checkpoint: Option<Checkpoint>) -> Recovered {
        let Some(Checkpoint { index, origins, .. }) = checkpoint else { return Recovered::default() };
        let known_in = index.above(0).last().map(|segment| segment.number);
        Recovered { index, origins, known_in }
    }
}

impl Recovered {
    /// Segments that were removed after the checkpoint.
    fn forget_what_is_gone(&mut self, segments: &[Segment]) {
        let Some(oldest) = segments.first() else { return };
        self.index.forget_below(oldest.number);
        if let Some(first) = self.index.first_seq() {
            self.origins.forget_below(first);
        }
    }

    fn visit(&mut self, found: &Found<'_>) {
        if found.kind != KIND_RECORD {
            return;
        }
        let Ok(view) = View::decode(found.payload) else { return };
        self.index.note(found.position.segment, found.lsn.0, view.time);
        if let (Some(app), Some(env), Some(instance), Some(origin_seq)) =
            (view.app, view.env, view.instance, view.origin_seq)
        {
            let line = OriginLine { origin_seq, time: view.time };
            self.origins.note_parts(app, env, instance, line, found.lsn.0);
        }
    }
}
