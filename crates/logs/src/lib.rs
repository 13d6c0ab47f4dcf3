//! One record, from ingest to search and tail.

pub mod config;
