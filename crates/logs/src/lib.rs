//! One record, from ingest to search and tail.
//!
//! The way of a record, top down: [`Handle::ingest`] or [`Handle::offer`] puts it into the `inbox`, which is bounded and
//! never waits; the `writer` thread takes what is there, lets `parse` read lines of output, `format` encode them and the
//! `store` append them to a write-ahead log of its own (`wal`), from where they are visible to queries and tails at once;
//! a second thread makes them durable, each second or megabyte, sooner where somebody awaits a [`Ticket`]. The sequence
//! number of a record is its place in that log, and the log's segments are the store: a query scans them.
//!
//! What is absent on purpose: the plane never logs its own failures into itself (they go through `tracing`), nothing
//! de-duplicates by content, and no index is built; a scan of the retained bytes answers every query.

pub mod admin;
mod checkpoint;
pub mod config;
mod error;
mod format;
mod handle;
mod inbox;
mod index;
mod level;
mod live;
mod origins;
mod pace;
mod parse;
mod queries;
mod query;
mod record;
mod row;
mod scan;
mod shared;
mod sorted;
mod start;
mod stats;
mod store;
mod tail;
mod writer;

pub use error::{NotDurable, QueryError, Refused, StartError};
pub use handle::Handle;
pub use inbox::Ticket;
pub use level::Level;
pub use queries::Rows;
pub use query::{Filter, Query, SyntaxError};
pub use record::{Body, Record, Source, Stream};
pub use start::{start, start_on};
pub use stats::Stats;

/// The version of the plane folder's format; see `docs/formats.md`.
pub const FORMAT: u32 = 1;
