//! What a fragment's task and its page tell each other; both are on one worker.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use esi::Failure;
use http::header::CONTENT_ENCODING;
use http_cache::Stored;
use stdx::clock::Mono;
use tokio::sync::OwnedSemaphorePermit;

/// The place of one fragment under way.
#[derive(Debug)]
pub(crate) struct Slot {
    /// How long it is fetched.
    pub(crate) longest: Duration,
    /// What a cache has of it, good enough for a page that waits no longer.
    stale: RefCell<Option<Stale>>,
    /// Its page has gone without it.
    pub(super) late: Cell<Option<Late>>,
}

/// An older copy of a fragment.
#[derive(Debug)]
pub(super) struct Stale {
    pub(super) chunks: Arc<[Bytes]>,
    /// It may have fragments itself.
    pub(super) nests: bool,
}

/// Since when a fragment has been late.
#[derive(Clone, Copy, Debug)]
pub(super) struct Late {
    pub(super) since: Mono,
    pub(super) by_page: bool,
}

/// A fragment's content.
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    /// It may have fragments itself.
    pub(super) nests: bool,
    /// The room that it takes.
    pub(super) permit: Option<OwnedSemaphorePermit>,
}

/// How a fetch ended.
pub(super) struct Arrival {
    /// Which fetch it was, as its page counts them.
    pub(super) fetch: usize,
    pub(super) at: Mono,
    pub(super) outcome: Result<Body, Failure>,
}

/// Where fetches leave what they bring.
#[derive(Default)]
pub(super) struct Desk {
    arrivals: RefCell<Vec<Arrival>>,
    waker: RefCell<Option<Waker>>,
}

impl Slot {
    pub(super) fn new(longest: Duration) -> Rc<Slot> {
        Rc::new(Slot { longest, stale: RefCell::default(), late: Cell::default() })
    }

    /// A kept copy that may stand in for what is about to be fetched. `nests`: whether it may have fragments itself.
    pub(crate) fn offer(&self, stored: &Stored, chunks: Arc<[Bytes]>, nests: bool) {
        if stored.status().is_success() && !stored.headers().contains_key(CONTENT_ENCODING) {
            self.stale.replace(Some(Stale { chunks, nests }));
        }
    }

    pub(super) fn stale(&self) -> Option<Stale> {
        self.stale.take()
    }
}

impl Desk {
    pub(super) fn listen(&self, waker: &Waker) {
        let mut kept = self.waker.borrow_mut();
        if !kept.as_ref().is_some_and(|kept| kept.will_wake(waker)) {
            *kept = Some(waker.clone());
        }
    }

    pub(super) fn arrive(&self, arrival: Arrival) {
        self.arrivals.borrow_mut().push(arrival);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    pub(super) fn take(&self) -> Vec<Arrival> {
        self.arrivals.take()
    }
}
