//! Connections to endpoints that many requests share, kept by one worker for itself.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use net::stream::Stream;
use stdx::clock::Mono;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::spawn_local;

use crate::way::Way;

/// What an endpoint may send of one reply, and of all together, before somebody takes it.
const STREAM_WINDOW_BYTES: u32 = 256 << 10;
const WINDOW_BYTES: u32 = 4 << 20;
/// What is kept of one request's content that the endpoint does not take.
const UNSENT_BYTES_MAX: usize = 64 << 10;
/// Bytes of a reply's header block.
const HEAD_BYTES_MAX: u32 = 64 << 10;
/// Connections to one endpoint; when they are full, requests wait for room on them.
const TRUNKS_MAX: usize = 8;

/// A connection, with room for a request or about to have it.
#[derive(Clone, Debug)]
pub(crate) struct Trunk {
    pub(super) sender: SendRequest<Bytes>,
    pub(super) load: Rc<Load>,
    /// It has TLS.
    pub(super) secure: bool,
}

/// What is under way on a connection.
#[derive(Debug)]
pub(super) struct Load {
    requests: Cell<usize>,
    closed: Cell<bool>,
    /// When it last had a request.
    used: Cell<Mono>,
}

/// A request under way.
#[derive(Debug)]
pub(super) struct Seat(Rc<Load>);

impl Load {
    /// Counts a request until the seat is dropped.
    pub(super) fn seat(self: &Rc<Load>) -> Seat {
        self.requests.set(self.requests.get() + 1);
        Seat(Rc::clone(self))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.requests.set(self.0.requests.get() - 1);
    }
}

impl Trunk {
    fn has_room(&self) -> bool {
        !self.load.closed.get() && self.load.requests.get() < self.sender.current_max_send_streams()
    }
}

/// One worker's connections.
#[derive(Debug, Default)]
pub(crate) struct Trunks {
    by_endpoint: RefCell<HashMap<Way, Trunked>>,
}

#[derive(Debug, Default)]
struct Trunked {
    trunks: Vec<Trunk>,
    /// Held while one is opened: who comes meanwhile waits for it instead of opening another.
    opening: Arc<Mutex<()>>,
    /// It speaks HTTP/1.1.
    declined: bool,
}

impl Trunks {
    /// A connection with room.
    pub(crate) fn take(&self, way: Way, now: Mono) -> Option<Trunk> {
        let mut all = self.by_endpoint.borrow_mut();
        let trunks = &mut all.get_mut(&way)?.trunks;
        trunks.retain(|trunk| !trunk.load.closed.get());
        let found = trunks.iter().find(|trunk| trunk.has_room());
        let found = found.or_else(|| trunks.first().filter(|_| trunks.len() >= TRUNKS_MAX))?;
        found.load.used.set(now);
        Some(found.clone())
    }

    /// Waits for the turn to open a connection; `None` where there is nothing to wait for, because the endpoint has declined
    /// to share connections.
    pub(crate) async fn turn(&self, way: Way) -> Option<OwnedMutexGuard<()>> {
        let has_declined = || self.by_endpoint.borrow().get(&way).is_some_and(|one| one.declined);
        if has_declined() {
            return None;
        }
        let opening = Arc::clone(&self.by_endpoint.borrow_mut().entry(way).or_default().opening);
        let turn = opening.lock_owned().await;
        (!has_declined()).then_some(turn)
    }

    /// The endpoint has chosen HTTP/1.1.
    pub(crate) fn declined(&self, way: Way) {
        self.by_endpoint.borrow_mut().entry(way).or_default().declined = true;
    }

    /// Makes a connection of `stream`.
    ///
    /// # Errors
    /// What broke.
    pub(crate) async fn begin(&self, way: Way, stream: Stream, now: Mono) -> io::Result<Trunk> {
        let secure = matches!(stream, Stream::Tls(_));
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .max_send_buffer_size(UNSENT_BYTES_MAX)
            .max_header_list_size(HEAD_BYTES_MAX);
        let (sender, connection) = builder.handshake::<_, Bytes>(stream).await.map_err(into_io)?;
        let load = Rc::new(Load { requests: Cell::new(0), closed: Cell::new(false), used: Cell::new(now) });
        let ended = Rc::clone(&load);
        spawn_local(async move {
            if let Err(error) = connection.await {
                tracing::debug!(addr = %way.endpoint.addr, %error, "connection to endpoint broke off");
            }
            ended.closed.set(true);
        });
        let trunk = Trunk { sender, load, secure };
        self.by_endpoint.borrow_mut().entry(way).or_default().trunks.push(trunk.clone());
        Ok(trunk)
    }

    /// Takes no more requests to the connections to an endpoint: one of them turned out to be dead.
    pub(crate) fn forget(&self, way: Way) {
        self.by_endpoint.borrow_mut().remove(&way);
    }

    /// Takes no more requests to endpoints that are gone.
    pub(crate) fn retain(&self, present: impl Fn(&Way) -> bool) {
        self.by_endpoint.borrow_mut().retain(|way, _| present(way));
    }

    /// Closes what is dead or has been without a request for too long.
    pub(crate) fn sweep(&self, now: Mono, idle_timeout: Duration) {
        self.by_endpoint.borrow_mut().retain(|_, one| {
            one.trunks.retain(|trunk| {
                let busy = trunk.load.requests.get() > 0;
                if busy {
                    trunk.load.used.set(now);
                }
                !trunk.load.closed.get() && (busy || now.since(trunk.load.used.get()) < idle_timeout)
            });
            !one.trunks.is_empty() || Arc::strong_count(&one.opening) > 1
        });
    }

    /// How many are without a request.
    pub(crate) fn idle(&self) -> usize {
        let all = self.by_endpoint.borrow();
        all.values().flat_map(|one| &one.trunks).filter(|trunk| trunk.load.requests.get() == 0).count()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_endpoint.borrow().is_empty()
    }
}

/// What broke, as the system says it where it was the system's.
pub(super) fn into_io(error: h2::Error) -> io::Error {
    if error.is_io() {
        error.into_io().unwrap_or_else(|| io::ErrorKind::ConnectionAborted.into())
    } else {
        io::Error::other(error)
    }
}
