//! One record per request, handed to whoever keeps them, never waited for.

mod event;
mod ring;
mod tried;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method};
use stdx::clock::Wall;
use stdx::trace::TraceContext;

pub use self::event::{Event, Strike, StrikeEnd, Unfit, What};
pub use self::ring::{AccessRing, AccessSink, BoundedRing, Discard};
pub use self::tried::{Outcome, Try, TryKind};
pub use crate::snapshot::{RouteFacts, TargetFacts};

/// Bytes of a request's target that a record keeps.
pub(crate) const TARGET_BYTES_MAX: usize = 2 << 10;

/// What happened to one request. Nothing in it is formatted; whoever reads it does that, elsewhere.
#[derive(Debug)]
pub struct AccessRecord {
    /// When its head had arrived.
    pub time: Wall,
    /// Its trace, and the router's span in it.
    pub trace: TraceContext,
    /// The span that caused it, when a trusted peer named one.
    pub parent: Option<TraceContext>,
    /// The context that an untrusted peer named.
    pub link: Option<TraceContext>,
    /// Who connected.
    pub client: SocketAddr,
    /// The method; `None` when the head could not be read, and then there is no target either.
    pub method: Option<Method>,
    /// The host asked for, lower case, without its port; empty when it was refused before that was known.
    pub host: Box<str>,
    /// Path and query, at most 2 KiB of them.
    pub target: Box<str>,
    /// What the request said of its agent; `None` unless the ring wants it.
    pub agent: Option<Box<Agent>>,
    /// The route that took it.
    pub route: Option<Arc<RouteFacts>>,
    /// The status of the reply; 499 when the client left before there was one.
    pub status: u16,
    /// Why the router answered in an endpoint's place, for operators only.
    pub cause: Option<String>,
    /// Every try in the order of their ends; empty when no endpoint was asked. Tries may overlap.
    pub tries: Vec<Try>,
    /// What else decided about it, in order; empty for an ordinary request.
    pub events: Vec<Event>,
    /// How long it was held because nobody was up.
    pub held: Duration,
    /// From its head to the head of the reply.
    pub to_head: Duration,
    /// From its head to the last byte handed to the client.
    pub total: Duration,
    /// Content bytes of the request that were read.
    pub request_bytes: u64,
    /// Content bytes of the reply.
    pub reply_bytes: u64,
    /// Whether the reply came to its end; false when a side broke off.
    pub whole: bool,
}

/// What a request says of who sent it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agent {
    /// The user of its route whose name and password it came with.
    pub user: Option<HeaderValue>,
    /// `Referer`.
    pub referer: Option<HeaderValue>,
    /// `User-Agent`.
    pub user_agent: Option<HeaderValue>,
}

impl AccessRecord {
    /// The try that answered, or the one that ended last.
    pub fn decisive(&self) -> Option<&Try> {
        let answered = |one: &&Try| matches!(one.outcome, Outcome::Answered(_));
        self.tries.iter().rfind(answered).or_else(|| self.tries.last())
    }

    /// The endpoint that answered, or the last one that was asked.
    pub fn endpoint(&self) -> Option<&TargetFacts> {
        self.decisive().map(|one| &*one.target)
    }
}
