//! Copies of a queue's folder: taken while it runs, looked through, and brought back.
//!
//! The log alone is the whole state, and it is only ever appended to; so a copy of its segments in order is the queue as it was at
//! some moment after the copy began. While one is made no segment goes. A batch that was being written when its segment
//! was copied is a torn end, as after a crash: it was not acknowledged when the copy was asked for.

mod copy;
mod repair;
mod verify;

use std::io;
use std::path::{Path, PathBuf};

use control::error::{ApiError, Kind};
use serde::{Deserialize, Serialize};
use stdx::format::{self, FormatError};
use stdx::io::{Disk, Io};
use stdx::lock::{FolderLock, LockError};

pub use repair::{LostJob, Repaired, preview, repair};
pub use verify::{Verified, verify};

use crate::handle::FORMAT;

/// The folder of the log in that of the queue.
pub(crate) const LOG: &str = "log";

/// What was copied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// Segments.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Why there is no copy, or no queue from one.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A place that is used.
    #[error("{} is not empty", .0.display())]
    NotEmpty(PathBuf),
    /// A place that depends on where somebody stands.
    #[error("{} is not an absolute path", .0.display())]
    Relative(PathBuf),
    /// The disk.
    #[error("{}: {source}", path.display())]
    Disk {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody has the folder.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The folder is not of a queue, or of another format.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The log cannot be read.
    #[error("the log in {} cannot be read: {why}", folder.display())]
    Log {
        /// Where.
        folder: PathBuf,
        /// Why.
        why: String,
    },
    /// The log can be read and something is missing.
    #[error("{} is damaged: {}", folder.display(), damage.join("; "))]
    Damaged {
        /// Where.
        folder: PathBuf,
        /// What is missing.
        damage: Vec<String>,
    },
}

impl BackupError {
    fn disk(path: &Path) -> impl Fn(io::Error) -> BackupError + '_ {
        move |source| BackupError::Disk { path: path.to_path_buf(), source }
    }
}

impl From<BackupError> for ApiError {
    fn from(error: BackupError) -> ApiError {
        let message = error.to_string();
        match error {
            BackupError::NotEmpty(_) => ApiError::new(Kind::Conflict, "folder_not_empty", message)
                .hint("name a folder that does not exist yet, or an empty one"),
            BackupError::Relative(_) => ApiError::new(Kind::Usage, "path_relative", message),
            BackupError::Disk { .. } => ApiError::new(Kind::Failed, "backup_failed", message),
            BackupError::Lock(LockError::Held { .. }) => ApiError::new(Kind::Conflict, "folder_in_use", message)
                .hint("stop the queue or node that runs on this folder first"),
            BackupError::Lock(_) => ApiError::new(Kind::Failed, "folder_unusable", message),
            BackupError::Format(ref format) => ApiError::new(Kind::Failed, format.code(), message).hint(format.hint()),
            BackupError::Log { .. } => ApiError::new(Kind::Failed, "queue_log_unreadable", message),
            BackupError::Damaged { damage, .. } => {
                ApiError::new(Kind::Failed, "queue_log_damaged", "acknowledged records are missing").details(damage)
            }
        }
    }
}

/// Copies the log in `from_log` into `to`, which becomes a queue's folder of its own. Whoever calls sees to it that no segment goes
/// meanwhile.
///
/// # Errors
/// [`BackupError`]; a copy that is not whole lacks its FORMAT and cannot be opened.
pub(crate) fn take<D: Io>(io: &D, from_log: &Path, to: &Path) -> Result<Copied, BackupError> {
    if !to.is_absolute() {
        return Err(BackupError::Relative(to.to_path_buf()));
    }
    copy::make_empty(io, to)?;
    let log = to.join(LOG);
    io.create_dir(&log).map_err(BackupError::disk(&log))?;
    let copied = copy::segments(io, from_log, &log)?;
    let verified = verify::log(io, &log)?;
    if !verified.damage.is_empty() {
        return Err(BackupError::Damaged { folder: to.to_path_buf(), damage: verified.damage });
    }
    io.sync_dir(to).map_err(BackupError::disk(to))?;
    // Last: without it the folder is no queue's.
    format::write(io, to, "queue", FORMAT)?;
    Ok(copied)
}

/// Makes a queue's folder, absent or empty, from a copy. The copy is looked through first.
///
/// # Errors
/// [`BackupError`]; then `to` is no queue's folder.
pub fn restore(from: &Path, to: &Path) -> Result<Verified, BackupError> {
    let verified = verify(from)?;
    if !verified.damage.is_empty() {
        return Err(BackupError::Damaged { folder: from.to_path_buf(), damage: verified.damage });
    }
    if to.is_dir() {
        // A queue that runs there has made its folder not empty, and says so better by its lock.
        drop(FolderLock::take(to, "forebay queue restore")?);
    }
    take(&Disk, &from.join(LOG), &absolute(to)?)?;
    Ok(verified)
}

fn absolute(path: &Path) -> Result<PathBuf, BackupError> {
    std::path::absolute(path).map_err(BackupError::disk(path))
}
