//! The queue over its sockets: what a client sees.

mod admin;
mod alerts;
mod backups;
mod bad_input;
mod clients;
mod clock_jump;
mod crons;
mod differential;
mod failing_disk;
mod figures;
mod fixtures;
mod garbage;
mod hand;
mod http_api;
mod http_door;
mod memory;
mod namespaces;
mod pressure;
mod push;
mod restart;
mod retries;
mod rig;
mod scale;
mod transcripts;
