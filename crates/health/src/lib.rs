//! Whether an endpoint can take requests: the checker's core, one probe, and the cache that everybody else reads.
//!
//! [`Checker`] decides and does no I/O; [`probe()`] asks once over HTTP; [`HealthCache`] keeps the last verdict with its
//! age, so that neither the router nor an operator's question ever reaches the application.

pub mod cache;
pub mod checker;
pub mod probe;

pub use cache::{HealthCache, Verdict};
pub use checker::{Checker, Health, Settings, Transition};
pub use probe::{Failure, probe};
