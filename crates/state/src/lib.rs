//! The control store: what the node must still know after a power cut. SQLite in `DATA/state`, one writer thread.
//!
//! Everything is keyed by (application, environment). [`Store`] is the door: its functions are async, run one after the
//! other on the writer thread, and are on disk when they return `Ok` (`synchronous = FULL`). One file per table:
//! [`apps`], [`releases`], [`instances`], [`scale`], [`secrets`], [`tokens`], [`uids`], [`audit`]; `migrate.rs` makes
//! them, `seal.rs` encrypts what must not be read from a stolen disk.

pub mod apps;
pub mod audit;
mod error;
pub mod instances;
mod key;
mod migrate;
pub mod releases;
mod row;
pub mod scale;
mod seal;
pub mod secrets;
mod store;
pub mod tokens;
pub mod uids;

pub use error::StateError;
pub use migrate::FORMAT;
pub use seal::Sensitive;
pub use store::Store;
