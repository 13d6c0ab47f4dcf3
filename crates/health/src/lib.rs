//! Whether an endpoint can take requests: the checker's core, one probe, and the cache that everybody else reads.
//!
//! [`Checker`] decides for one endpoint and does no I/O, [`Board`] for many; [`probe()`] asks once over HTTP, gRPC or TCP;
//! [`HealthCache`] keeps the last verdict with its age, so that neither the router nor an operator's question ever reaches
//! the application; [`Memory`] keeps verdicts over a restart. [`Silences`] tells of what nobody checks any more. [`fails_static`] says when checks are not to be believed.

pub mod board;
pub mod cache;
pub mod checker;
pub mod memory;
pub mod position;
pub mod probe;
pub mod share;
pub mod silence;

pub use board::Board;
pub use cache::{HealthCache, Verdict};
pub use checker::{Checker, Health, Settings, Transition};
pub use memory::{Memory, Remembered};
pub use position::{At, Position};
pub use probe::{Answer, Approach, Failure, Question, probe};
pub use share::fails_static;
pub use silence::{Alarm, Seen, Silences};
