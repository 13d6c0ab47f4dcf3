//! What can go wrong, one enum per operation.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::types::{Lsn, Position};

/// A call to the disk that failed: what was tried, on which file, what the system said.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub struct DiskError {
    /// What was tried, as a verb: `write`, `sync`, `rename`.
    pub action: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// What the system said.
    pub source: Arc<io::Error>,
}

impl DiskError {
    pub(crate) fn new(action: &'static str, path: &Path, source: io::Error) -> DiskError {
        DiskError { action, path: path.to_path_buf(), source: Arc::new(source) }
    }

    /// Says whether the disk, the quota or the file size limit is exhausted.
    pub fn is_full(&self) -> bool {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        matches!(self.source.kind(), StorageFull | QuotaExceeded | FileTooLarge)
    }
}

/// Why a log takes nothing any more. The first cause stays; only opening the log again gets it going.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Poison {
    /// A write or a sync failed, so nothing is known of what stands on disk after the last acknowledged batch.
    #[error("the log is stopped: {0}")]
    Disk(#[source] DiskError),
    /// The committing thread panicked; the text is the panic's.
    #[error("the log is stopped: its committer panicked: {0}")]
    Panicked(String),
}

/// Why [`crate::open`] gave no log. Nothing was changed on disk unless it is [`OpenError::Disk`].
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A newer Forebay wrote this log.
    #[error("{} has log format {found}, this Forebay reads up to {known}; start the Forebay that wrote it", path.display())]
    Newer {
        /// The segment.
        path: PathBuf,
        /// Its format version.
        found: u32,
        /// The newest that is known here.
        known: u32,
    },
    /// Two segments of different logs lie in one folder.
    #[error("{} belongs to another log than {}; move one of them away", path.display(), other.display())]
    Foreign {
        /// The older segment.
        path: PathBuf,
        /// The newer one.
        other: PathBuf,
    },
    /// The log does not hold the record that its owner wants to go on from, see [`crate::open_after`].
    #[error("the log in {} does not go on from record {lsn}", folder.display())]
    Elsewhere {
        /// The log's folder.
        folder: PathBuf,
        /// The record.
        lsn: Lsn,
    },
    /// There are segments and not one readable header: starting empty would be a lie.
    #[error("no segment in {} has a readable header; restore the folder or move its files away", folder.display())]
    Unreadable {
        /// The log's folder.
        folder: PathBuf,
    },
}

/// Why a record was not appended. Nothing was changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// Too much is pending already; try again when a batch was committed.
    #[error("{pending} bytes wait to be written already (limit {max})")]
    Full {
        /// What is pending.
        pending: usize,
        /// The limit.
        max: usize,
    },
    /// The record can never fit a segment.
    #[error("a record of {len} bytes is longer than the log takes ({max})")]
    TooLong {
        /// The payload's length.
        len: usize,
        /// The longest payload.
        max: usize,
    },
    /// The log has stopped.
    #[error(transparent)]
    Poisoned(#[from] Poison),
}

/// Why a batch is not durable.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The disk is full and the reserve is used up. Nothing is lost: commit the very same batch again once there is
    /// space. No other batch can come before it.
    #[error("the disk is full: {cause}")]
    DiskFull {
        /// The batch, to be committed again.
        batch: crate::Batch,
        /// What the system said.
        cause: DiskError,
    },
    /// The log has stopped, now or earlier.
    #[error(transparent)]
    Poisoned(#[from] Poison),
}

/// Why a record could not be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// The bytes are not those that were written.
    #[error("the record at {}:{} ({} bytes) is damaged", at.segment, at.offset, at.len)]
    Damaged {
        /// Where it should be.
        at: Position,
    },
    /// The segment was removed, or never was.
    #[error("segment {segment} is not part of the log")]
    NoSegment {
        /// Its number.
        segment: u64,
    },
    /// The record is not on disk yet; its batch has not been committed.
    #[error("the record at {}:{} is not committed yet", at.segment, at.offset)]
    NotCommitted {
        /// Where it will be.
        at: Position,
    },
    /// The disk failed; the record may be whole.
    #[error(transparent)]
    Disk(#[from] DiskError),
}
