//! The append-only, checksummed log with group commit, over the disk seam. One per plane: the queue has one for all its
//! tubes, the log store one for all its records.

pub mod attr;
mod batch;
mod committer;
mod config;
mod error;
mod files;
mod format;
mod names;
mod open;
mod reader;
mod report;
mod reserve;
mod shared;
mod survey;
mod thread;
mod types;
mod walk;
mod window;
mod writer;

pub use batch::Batch;
pub use committer::{Committed, Committer};
pub use config::Config;
pub use error::{AppendError, CommitError, DiskError, OpenError, Poison, ReadError};
pub use format::VERSION;
pub use open::{Opened, open};
pub use reader::Reader;
pub use report::{Damage, DamageKind, Report, Torn};
pub use reserve::Reserve;
pub use thread::{CommitThread, SubmitError};
pub use types::{Found, Lsn, LsnRange, Position, Segment};
pub use writer::Writer;
