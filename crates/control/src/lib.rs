//! The typed admin API: wire structs, errors, auth and audit. Planes add their own routes (`admin.rs` of each); the binary
//! puts them together and serves them on a unix socket and, behind a bearer token, on TCP.

pub mod auth;
pub mod client;
pub mod error;
pub mod metrics;
pub mod plane;
pub mod serve;
pub mod wire;
