//! Certificates from an authority by itself (ACME, RFC 8555), with the challenges HTTP-01 and TLS-ALPN-01.
//!
//! `plan.rs`: when each host's certificate is asked for, and again after a failure (pure). `order.rs`: one order, from the
//! account to the certificate, which goes on where a process before it stopped. `folder.rs`: what is kept on disk.
//! `runner.rs`: the task that carries the plan out. `desk.rs`: what listeners see of it: answers to challenges, and how each
//! host stands. `advice.rs`: when the authority wants to be asked. `http.rs`: how the authority is reached.

mod account;
mod advice;
mod answers;
mod config;
mod desk;
mod error;
mod folder;
mod http;
mod keys;
mod order;
mod plan;
mod runner;

pub use answers::Answers;
pub use config::{AcmeConfig, AcmeFault, ChallengeKind, ExternalAccountConfig};
pub use desk::{Desk, HostRow};
pub use error::AcmeError;
pub use runner::{Front, Running, kept, run};
