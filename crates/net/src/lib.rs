//! Listeners, accept limits and the small HTTP client that all but the router share.

pub mod accept;
pub mod listen;
