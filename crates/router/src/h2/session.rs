//! One connection: its requests are tasks of their own, each with its own timers.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Error, Reason, RecvStream};
use http::Request;
use tokio::task::spawn_local;
use tokio::time::{Sleep, sleep, timeout};

use super::guard::{Guarded, PREFACE};
use super::stream;
use crate::conn::{Conn, Expiry};
use crate::edge::Stream;
use crate::shared::Phase;
use crate::worker::Worker;

/// What a client may send of one content, and of all together, before somebody takes it.
const STREAM_WINDOW_BYTES: u32 = 64 << 10;
const WINDOW_BYTES: u32 = 64 << 10;
/// What is kept of one reply that the client does not take.
const UNSENT_BYTES_MAX: usize = 64 << 10;
/// Requests that were taken back before anybody looked at them, and those that were refused: beyond it the connection ends.
const RESETS_MAX: usize = 20;
const REFUSALS_MAX: usize = 100;
/// So much of the preface tells HTTP/2 from HTTP/1.1.
const TELLING_BYTES: usize = 12;
/// How long a client has to hear that the connection ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// Whether a connection begins as HTTP/2 does (RFC 9113, 3.4).
pub(crate) fn begins(bytes: &[u8]) -> bool {
    let common = bytes.len().min(PREFACE.len());
    common >= TELLING_BYTES && bytes[..common] == PREFACE[..common]
}

/// Serves a connection to its end; `front` is what has been read of it.
pub(crate) async fn serve(worker: &Rc<Worker>, conn: &Rc<Conn>, stream: Stream, front: Bytes) {
    let Ok(_seat) = worker.shared.http2_connections.try_acquire() else {
        return tracing::debug!(peer = %conn.peer, "as many connections speak HTTP/2 as may");
    };
    let config = &worker.shared.config;
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(config.http2.streams_max)
        .max_header_list_size(config.header_bytes_max)
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_send_buffer_size(UNSENT_BYTES_MAX)
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_local_error_reset_streams(Some(REFUSALS_MAX));
    let guarded = Guarded::new(stream, front, &config.http2, worker.clock.clone());
    let mut greeting = pin!(builder.handshake::<_, Bytes>(guarded));
    let greeted = poll_fn(|cx| match conn.poll_expired(cx.waker()) {
        None if worker.phase.get() < Phase::Draining => greeting.as_mut().poll(cx).map(Some),
        _ => Poll::Ready(None),
    });
    let ended = match greeted.await {
        Some(Ok(connection)) => requests(worker, conn, connection).await,
        Some(Err(error)) => Err(error),
        None => Ok(()),
    };
    if let Err(error) = ended {
        tracing::debug!(peer = %conn.peer, %error, "connection broke off");
    }
}

/// What happens next on a connection.
enum Next {
    Request(Box<(Request<RecvStream>, SendResponse<Bytes>)>),
    Closed,
    /// The router ends it.
    Over,
}

async fn requests(worker: &Rc<Worker>, conn: &Rc<Conn>, connection: Connection<Guarded, Bytes>) -> Result<(), Error> {
    let open = Rc::new(Cell::new(0));
    let mut session = Session { connection, told: false, farewell: None };
    // From here on it waits for requests.
    conn.request_ends(false);
    loop {
        match poll_fn(|cx| session.poll_next(cx, worker.phase.get(), conn, open.get())).await? {
            Next::Request(request) => {
                let (request, mut respond) = *request;
                let Ok(seat) = Arc::clone(&worker.shared.http2_requests).try_acquire_owned() else {
                    respond.send_reset(Reason::REFUSED_STREAM);
                    continue;
                };
                let active = Active::new(conn, &open);
                let worker = Rc::clone(worker);
                // Boxed: a task moves what it is made of several times, and this is of twelve kilobytes.
                spawn_local(Box::pin(async move {
                    stream::serve(&worker, &active.conn, request, respond).await;
                    drop((active, seat));
                }));
            }
            Next::Closed => return Ok(()),
            Next::Over => return session.end().await,
        }
    }
}

struct Session {
    connection: Connection<Guarded, Bytes>,
    /// The client was told to send no more requests.
    told: bool,
    /// How long it still has to hear so, while nothing is under way.
    farewell: Option<Pin<Box<Sleep>>>,
}

impl Session {
    /// A client that is told to leave may have sent requests meanwhile: they are served.
    fn poll_next(&mut self, cx: &mut Context<'_>, phase: Phase, conn: &Conn, open: usize) -> Poll<Result<Next, Error>> {
        let expired = conn.poll_expired(cx.waker());
        if expired == Some(Expiry::Cut) {
            return Poll::Ready(Ok(Next::Over));
        }
        let parts = open == 0 && (expired.is_some() || phase >= Phase::Draining);
        if (parts || phase >= Phase::Leaving) && !std::mem::replace(&mut self.told, true) {
            self.connection.graceful_shutdown();
        }
        if !parts {
            self.farewell = None;
        } else if self.farewell.get_or_insert_with(|| Box::pin(sleep(FAREWELL))).as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(Next::Over));
        }
        self.connection.poll_accept(cx).map(|accepted| match accepted {
            Some(Ok(request)) => Ok(Next::Request(Box::new(request))),
            Some(Err(error)) => Err(error),
            None => Ok(Next::Closed),
        })
    }

    async fn end(mut self) -> Result<(), Error> {
        self.connection.abrupt_shutdown(Reason::NO_ERROR);
        let closed = timeout(FAREWELL, poll_fn(|cx| self.connection.poll_closed(cx)));
        closed.await.unwrap_or(Ok(()))
    }
}

/// A request under way. While there is one the connection is not idle.
struct Active {
    conn: Rc<Conn>,
    open: Rc<Cell<usize>>,
}

impl Active {
    fn new(conn: &Rc<Conn>, open: &Rc<Cell<usize>>) -> Active {
        open.set(open.get() + 1);
        conn.request_begins();
        Active { conn: Rc::clone(conn), open: Rc::clone(open) }
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.open.set(self.open.get() - 1);
        if self.open.get() == 0 {
            self.conn.request_ends(false);
            self.conn.wake();
        }
    }
}
