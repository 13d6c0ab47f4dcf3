//! The queue over its sockets: what a client sees.

mod admin;
mod bad_input;
mod clients;
mod differential;
mod failing_disk;
mod figures;
mod fixtures;
mod http_api;
mod namespaces;
mod pressure;
mod restart;
mod retries;
mod rig;
mod transcripts;
