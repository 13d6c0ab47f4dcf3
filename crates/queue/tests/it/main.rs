//! The queue over its sockets: what a client sees.

mod admin;
mod bad_input;
mod differential;
mod namespaces;
mod restart;
mod rig;
mod transcripts;
