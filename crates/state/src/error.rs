//! Why the control store could not do something.

use std::io;
use std::path::PathBuf;

use rusqlite::ErrorCode;
use stdx::format::FormatError;
use stdx::lock::LockError;

/// Why the control store could not do something; each has a stable code and, where there is one, a way out.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another process has the folder.
    #[error(transparent)]
    Locked(#[from] LockError),
    /// The folder is of another Forebay's format.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The database itself was written by a later Forebay.
    #[error("{} has schema {found}; this Forebay reads up to {known}", path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest that is understood here.
        known: u32,
    },
    /// A folder or file could not be made or read.
    #[error("cannot use {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The disk is full; nothing was changed.
    #[error("the disk that holds the control store is full")]
    DiskFull,
    /// The database is damaged.
    #[error("the control store is damaged: {0}")]
    Corrupt(String),
    /// A row does not hold what it should.
    #[error("the control store has a bad {what}: {found}")]
    Malformed {
        /// Which column.
        what: &'static str,
        /// What it holds.
        found: String,
    },
    /// There is no such row.
    #[error("there is no {0}")]
    NotFound(String),
    /// A table or range is full.
    #[error("no more {what}: the limit is {limit}")]
    Exhausted {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// More calls wait than the writer's queue holds.
    #[error("the control store is busy")]
    Busy,
    /// The writer thread has ended.
    #[error("the control store has stopped")]
    Stopped,
    /// There are encrypted rows, and the key file is gone.
    #[error("the key for secrets is missing: {}", .0.display())]
    KeyMissing(PathBuf),
    /// The key file is not the one that the rows were encrypted with.
    #[error("the key for secrets in {} is not the one they were encrypted with", .0.display())]
    KeyWrong(PathBuf),
    /// The key file is no key file, or cannot be read or made.
    #[error("cannot use the key for secrets in {}: {reason}", path.display())]
    KeyUnusable {
        /// The key file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Anything else that SQLite says.
    #[error("the control store failed: {0}")]
    Sql(rusqlite::Error),
}

impl From<rusqlite::Error> for StateError {
    fn from(error: rusqlite::Error) -> StateError {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => StateError::DiskFull,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StateError::Corrupt(error.to_string()),
            _ => StateError::Sql(error),
        }
    }
}

impl StateError {
    /// A stable word for machines.
    pub fn code(&self) -> &'static str {
        match self {
            StateError::Locked(_) => "folder_locked",
            StateError::Format(error) => error.code(),
            StateError::Newer { .. } => "format_newer",
            StateError::Io { .. } => "state_unreadable",
            StateError::DiskFull => "disk_full",
            StateError::Corrupt(_) | StateError::Malformed { .. } => "state_corrupt",
            StateError::NotFound(_) => "not_found",
            StateError::Exhausted { .. } => "limit_reached",
            StateError::Busy => "state_busy",
            StateError::Stopped => "state_stopped",
            StateError::KeyMissing(_) => "secrets_key_missing",
            StateError::KeyWrong(_) => "secrets_key_wrong",
            StateError::KeyUnusable { .. } => "secrets_key_unusable",
            StateError::Sql(_) => "state_failed",
        }
    }

    /// What the operator can do, where there is something.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            StateError::Format(error) => Some(error.hint()),
            StateError::Newer { .. } => Some("run the Forebay that wrote it, or name another folder with --data"),
            StateError::Io { .. } => Some("check the folder's permissions and the disk"),
            StateError::DiskFull => Some("free some space; what ran keeps running"),
            StateError::Corrupt(_) | StateError::Malformed { .. } => {
                Some("restore DATA/state from a backup; instances keep running meanwhile")
            }
            StateError::KeyMissing(_) | StateError::KeyWrong(_) => Some(
                "put the key file back from its backup; without it stored secrets cannot be read and must be set again",
            ),
            StateError::KeyUnusable { .. } => Some("the file must hold 64 hex digits and be readable for Forebay only"),
            _ => None,
        }
    }
}
