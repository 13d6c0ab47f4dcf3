//! One job, from put to delete.
//!
//! The way of a `put`: `serve` reads it off a socket, `proto` finds line and body, `broker` appends its record to the log
//! and applies it to the `engine`, the committer's thread writes and syncs the batch it is in, and `serve` sends
//! `INSERTED` when the batch is on disk. `engine` knows nothing of disks and the wire, `broker` nothing of sockets and
//! threads; time is an argument of both.

pub mod admin;
mod alert;
pub mod backup;
mod broker;
pub mod config;
pub mod cron;
mod dead;
pub mod door;
mod doors;
pub mod durability;
mod engine;
mod event;
mod handle;
mod http;
pub mod import;
mod log;
pub mod metrics;
mod names;
mod proto;
pub mod push;
mod refuse;
mod serve;
mod side;
#[cfg(test)]
mod simulation;
mod start_error;
mod steady;
mod tls;

/// The version of the protocol and of this server, as `stats` tells it.
pub const PROTOCOL_VERSION: &str = concat!("1.13+forebay-", env!("CARGO_PKG_VERSION"));

pub use engine::{Attempt, AttemptEnd};
pub use event::{AlertEvent, AlertKind, JobChange, JobEvent, JobSink, NoSink, NoTokens, TokenSource};
pub use handle::{Deps, FORMAT, Handle, check, start, start_on};
pub use names::{JobId, Namespace, TubeName};
pub use side::Work;
pub use start_error::StartError;
pub use tls::TlsConfig;
