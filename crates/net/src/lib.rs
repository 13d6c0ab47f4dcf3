//! Listeners, accept limits, names and the small HTTP client that all but the router share.

pub mod accept;
pub mod dns;
pub mod listen;
