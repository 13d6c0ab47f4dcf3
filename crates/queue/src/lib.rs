//! One job, from put to delete.

pub mod config;
