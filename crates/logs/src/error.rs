//! What can go wrong, one enum per operation, and the one table to the admin API.

use std::io;

use control::error::{ApiError, Kind};
use stdx::format::FormatError;
use stdx::lock::LockError;

use crate::level::Level;
use crate::query::SyntaxError;

/// Why the plane did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another process has the folder.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The folder is of another format.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The folder could not be made.
    #[error("cannot create the folder of the logs: {0}")]
    Folder(#[source] io::Error),
    /// The log could not be opened.
    #[error("cannot open the logs: {0}")]
    Log(#[from] wal::OpenError),
    /// The system gives no thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
}

/// Why records were not taken. Nothing of them was kept; the sender has them still.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Too many bytes wait for the disk already; try again soon.
    #[error("the log store is behind: {pending} bytes wait for the disk already (limit {max})")]
    Busy {
        /// Bytes that wait.
        pending: u64,
        /// How many may.
        max: u64,
    },
    /// The disk is full; the store goes on by itself once there is space.
    #[error("the disk of the log store is full")]
    DiskFull,
    /// The plane has failed.
    #[error("the log store has failed")]
    Failed,
    /// The plane was stopped.
    #[error("the log store has stopped")]
    Stopped,
}

/// Why records that were taken are not known to be on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotDurable {
    /// The disk is full. They are kept in memory and written once there is space; sending them again is safe for records
    /// with an `origin_seq`.
    #[error("the disk of the log store is full")]
    DiskFull,
    /// The plane has failed or has stopped before they were written.
    #[error("the log store has failed")]
    Failed,
}

/// Why a query gave no or not all records.
#[derive(Clone, Debug, thiserror::Error)]
pub enum QueryError {
    /// The query is not well formed.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// The level asked for is none.
    #[error("`{word}` is no level")]
    Level {
        /// What was given.
        word: String,
    },
    /// As many as may run are running.
    #[error("{max} queries are running already")]
    TooManyQueries {
        /// How many may run.
        max: u16,
    },
    /// As many tails as there may be are there.
    #[error("{max} tails are running already")]
    TooManyTails {
        /// How many may run.
        max: u16,
    },
    /// The client took nothing for long while others waited for a query.
    #[error("the query was ended: its reader took nothing for {seconds} s while others waited")]
    Stalled {
        /// How long.
        seconds: u64,
    },
    /// A segment could not be read.
    #[error("cannot read the logs: {0}")]
    Read(#[from] wal::ReadError),
    /// There is nothing to follow: the plane has failed. What it has on disk can be searched all the same.
    #[error("the log store has failed")]
    PlaneFailed,
    /// The query's thread could not be started or panicked.
    #[error("the query failed")]
    Failed,
}

impl From<QueryError> for ApiError {
    fn from(e: QueryError) -> ApiError {
        let text = e.to_string();
        match e {
            QueryError::Syntax(syntax) => ApiError::new(Kind::Usage, "query_syntax", text)
                .at(format!("q, column {}", syntax.column))
                .hint(syntax.hint),
            QueryError::Level { .. } => {
                ApiError::new(Kind::Usage, "query_level", text).at("level").hint(format!("expected {}", Level::NAMES))
            }
            QueryError::TooManyQueries { .. } => ApiError::new(Kind::Policy, "too_many_queries", text)
                .hint("wait for one to end, or raise logs.queries_max"),
            QueryError::TooManyTails { .. } => {
                ApiError::new(Kind::Policy, "too_many_tails", text).hint("end one, or raise logs.tails_max")
            }
            QueryError::Stalled { .. } => {
                ApiError::new(Kind::Timeout, "query_stalled", text).hint("ask for fewer records, with --since or -n")
            }
            QueryError::Read(cause) => {
                tracing::error!(target: "logs", %cause, "a query could not read");
                ApiError::new(Kind::Failed, "logs_unreadable", "cannot read the logs").hint("see the node's log")
            }
            QueryError::PlaneFailed => ApiError::new(Kind::Unavailable, "logs_failed", text)
                .hint("`forebay ps` says why; what is on disk can be read without -f"),
            QueryError::Failed => ApiError::new(Kind::Failed, "query_failed", text).hint("see the node's log"),
        }
    }
}
