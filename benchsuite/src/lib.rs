//! Forebay measured from outside: an open-loop load generator, and the router and the queue beside their peers.
//!
//! The load generator is also what the end-to-end tests drive a node with. How to run it and what came out: `README.md`.

pub mod figures;
pub mod http;
pub mod load;
pub mod machine;
pub mod node;
pub mod processes;
pub mod queue;
pub mod router;
pub mod server;
