//! The tries of a request, as its record tells them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::TargetFacts;

/// One try.
#[derive(Clone, Debug)]
pub struct Try {
    /// The endpoint asked.
    pub target: Arc<TargetFacts>,
    /// Why it was made.
    pub kind: TryKind,
    /// How it went.
    pub outcome: Outcome,
    /// From the request's head to its start.
    pub at: Duration,
    /// From its start to its reply's head or its failure.
    pub took: Duration,
}

/// Why a try was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryKind {
    /// The request had to go somewhere.
    First,
    /// One before it had failed.
    Retry,
    /// One before it was slow, and went on beside it.
    Hedge,
}

impl TryKind {
    /// A stable word for machines.
    pub fn word(self) -> &'static str {
        match self {
            TryKind::First => "first",
            TryKind::Retry => "retry",
            TryKind::Hedge => "hedge",
        }
    }
}

/// How a try went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A reply with this status.
    Answered(u16),
    /// The connection was refused or could not be made.
    Refused,
    /// No connection in time.
    ConnectTimeout,
    /// The connection ended before a reply.
    Died,
    /// No reply's head in time.
    TimedOut,
    /// What came was no valid reply.
    Malformed,
    /// The client's side broke off, or its content was refused on the way.
    Abandoned,
    /// Another try of the same request answered first.
    Cancelled,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Answered(status) => write!(f, "answered {status}"),
            Outcome::Refused => f.write_str("connection refused"),
            Outcome::ConnectTimeout => f.write_str("no connection in time"),
            Outcome::Died => f.write_str("connection ended before a reply"),
            Outcome::TimedOut => f.write_str("no reply in time"),
            Outcome::Malformed => f.write_str("malformed reply"),
            Outcome::Abandoned => f.write_str("abandoned"),
            Outcome::Cancelled => f.write_str("cancelled: another try answered first"),
        }
    }
}
