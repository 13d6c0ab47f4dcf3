//! What the table says and is told.

use std::sync::Arc;

use crate::stored::Stored;

/// Names one fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FetchId(pub(super) u64);

/// Names one request that waits for, or reads from, a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WaiterId(pub(super) u64);

/// The bounds of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchLimits {
    /// Fetches at once.
    pub fetches_max: usize,
    /// Waiters on one fetch whose header section is not there yet.
    pub waiters_max: usize,
    /// Bytes of one fetch that are kept: a longer body is not stored, and whoever lags so far behind is cut off.
    pub body_bytes_max: u64,
    /// Bytes that all fetches together keep: what arrives beyond is passed on and not stored.
    pub bytes_max: u64,
    /// For so long requests for what could not be shared go alone, and sixty times as long those for what was too long.
    pub alone_ms: u64,
    /// So many such resources are remembered.
    pub alone_max: usize,
}

impl Default for FetchLimits {
    fn default() -> Self {
        let body_bytes_max = 8 * 1024 * 1024;
        let bytes_max = 64 * 1024 * 1024;
        let (alone_ms, alone_max) = (10_000, 16_384);
        FetchLimits { fetches_max: 4096, waiters_max: 4096, body_bytes_max, bytes_max, alone_ms, alone_max }
    }
}

/// What a request is told that wants to share a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// It is the first: start the fetch, detached from it, and wait like everybody else.
    Lead(FetchId, WaiterId),
    /// A fetch is under way: wait for its header section, or read at once when that is there already.
    Wait(FetchId, WaiterId),
    /// The last answer could not be shared: fetch alone.
    Alone,
    /// A bound is reached: fetch alone or refuse.
    Full,
}

/// Whose the response is, said when its header section is there.
#[derive(Clone, Debug)]
pub enum Shared {
    /// Everybody's whom it fits.
    Yes(Arc<Stored>),
    /// Only that of the request that caused the fetch.
    No,
}

/// Waiters to wake after a header section arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Woken {
    /// They read.
    pub ready: Vec<WaiterId>,
    /// They are out of the table and ask again: another variant is theirs, or they go alone.
    pub released: Vec<WaiterId>,
    /// Nobody is left who could use the response: break the fetch off.
    pub abort: bool,
}

/// What becomes of a fetch when one of its waiters leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// It goes on: for others, or for the cache.
    Continue,
    /// Nobody can use it any more: break it off.
    Abort(FetchId),
}

/// After some bytes were pushed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Waiters that have something to read, or were cut off.
    pub wake: Vec<WaiterId>,
    /// Receive no more until somebody has read: even the fastest is behind by all that may be kept.
    pub pause: bool,
    /// Nobody reads and nothing will be stored: break the fetch off.
    pub abort: bool,
}
