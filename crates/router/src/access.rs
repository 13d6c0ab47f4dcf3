//! One record per request, handed to whoever keeps them, never waited for.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Method;
use stdx::clock::Wall;
use stdx::trace::TraceContext;

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
    /// The route that took it.
    pub route: Option<Arc<RouteFacts>>,
    /// The status of the reply; 499 when the client left before there was one.
    pub status: u16,
    /// Why the router answered in an endpoint's place, for operators only.
    pub cause: Option<String>,
    /// Every try in order; empty when no endpoint was asked.
    pub tries: Vec<Try>,
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

impl AccessRecord {
    /// The endpoint that answered, or the last one that was asked.
    pub fn endpoint(&self) -> Option<&TargetFacts> {
        self.tries.last().map(|last| &*last.target)
    }
}

/// One try.
#[derive(Clone, Debug)]
pub struct Try {
    /// The endpoint asked.
    pub target: Arc<TargetFacts>,
    /// How it went.
    pub outcome: Outcome,
    /// From its start to its reply's head or its failure.
    pub took: Duration,
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
        }
    }
}

/// Where records go.
pub trait AccessSink: Send + Sync {
    /// The ring of one worker; `None` when nobody wants records.
    fn ring(&self, worker: usize) -> Option<Box<dyn AccessRing>>;
}

/// One worker's way out for its records: bounded, and never a wait.
pub trait AccessRing: Send {
    /// Takes a record; false when it is full and the record was dropped and counted.
    fn push(&mut self, record: AccessRecord) -> bool;
}

/// A sink that keeps nothing.
#[derive(Clone, Copy, Debug)]
pub struct Discard;

impl AccessSink for Discard {
    fn ring(&self, _worker: usize) -> Option<Box<dyn AccessRing>> {
        None
    }
}

/// A bounded ring between one worker and one reader. The writer never wakes the reader, who comes by from time to time;
/// the lock is held only for a push or a swap of two buffers.
#[derive(Clone, Debug)]
pub struct BoundedRing {
    records: Arc<Mutex<Vec<AccessRecord>>>,
    dropped: Arc<AtomicU64>,
    capacity: usize,
}

impl BoundedRing {
    /// A ring of at most `capacity` records.
    pub fn new(capacity: usize) -> BoundedRing {
        BoundedRing { records: Arc::default(), dropped: Arc::default(), capacity }
    }

    /// Swaps everything that is in the ring into `into`, which is cleared first; returns the records dropped since the
    /// last call.
    pub fn take(&self, into: &mut Vec<AccessRecord>) -> u64 {
        into.clear();
        std::mem::swap(&mut *self.records.lock().unwrap_or_else(PoisonError::into_inner), into);
        self.dropped.swap(0, Relaxed)
    }
}

impl AccessRing for BoundedRing {
    fn push(&mut self, record: AccessRecord) -> bool {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        if records.len() < self.capacity {
            records.push(record);
            return true;
        }
        drop(records);
        self.dropped.fetch_add(1, Relaxed);
        false
    }
}
