//! A client's connection: its socket, what was read from it and not taken yet, and where in which request it is.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Frame;
use tokio::io::AsyncWrite;

use super::head::{Head, HeadFault, HeadReader};
use super::rest_of;
use crate::conn::{Conn, Expiry};
use crate::edge::Stream;
use crate::gate::Framing;
use crate::h1::line::{Line, READ_BYTES, Unread};
use crate::h1::pump::Wire;
use crate::h1::rest::Rest;
use crate::h2;
use crate::reply::Switched;
use crate::shared::Phase;
use crate::worker::Worker;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// How long, and how much, is read from a client after its last reply so that it sees the reply and not a reset.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 4 << 20;

/// Room to read into while a request is worked on.
const WATCH_BYTES: usize = 512;

/// Why a connection ends, when it is not the end of a last reply.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("the client has gone")]
    Gone,
    #[error("{0}")]
    NoHead(HeadFault),
    #[error("it expired: {0:?}")]
    Expired(Expiry),
    #[error("the reply broke off")]
    Reply,
    #[error("{0}")]
    Io(io::Error),
    /// It is no HTTP any more; the head of the reply that says so is still to be sent.
    #[error("it is a tunnel")]
    Switched(Box<Switched>, Vec<u8>),
}

/// What a request's head says to the connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opening {
    /// `None`: in doubt; nothing behind it is read.
    pub(super) framing: Option<Framing>,
    /// The client waits to be told to go on.
    pub(super) expects: bool,
    /// The client knows of interim replies.
    pub(super) is_1_1: bool,
}

/// One client's connection.
#[derive(Debug)]
pub(crate) struct Front {
    pub(super) conn: Rc<Conn>,
    inner: RefCell<Inner>,
}

#[derive(Debug)]
struct Inner {
    line: Line<Stream>,
    heads: HeadReader,
    /// What is to come of the present request's content.
    rest: Rest,
    /// Counts requests: content knows its own.
    request: u64,
    expects: bool,
    /// The client knows of interim replies.
    is_1_1: bool,
    /// The reply has begun.
    replies: bool,
    /// What is left to send of one.
    interim: &'static [u8],
}

impl Front {
    pub(super) fn new(stream: Stream, conn: Rc<Conn>) -> Front {
        let inner = Inner {
            line: Line { stream, input: BytesMut::new() },
            heads: HeadReader::default(),
            rest: Rest::Nothing,
            request: 0,
            expects: false,
            is_1_1: false,
            replies: false,
            interim: b"",
        };
        Front { conn, inner: RefCell::new(inner) }
    }

    /// Whether its first request is none because it begins as HTTP/2 does.
    pub(super) fn begins_http2(&self) -> bool {
        let inner = self.inner.borrow();
        inner.request == 0 && h2::begins(&inner.line.input)
    }

    /// The connection, and what was read from it and not taken.
    pub(super) fn into_parts(self) -> (Stream, Bytes) {
        let line = self.inner.into_inner().line;
        (line.stream, line.input.freeze())
    }

    /// # Errors
    /// When the connection must end now.
    pub(super) fn check(&self, cx: &Context<'_>) -> Result<(), Ended> {
        self.conn.poll_expired(cx.waker()).map_or(Ok(()), |why| Err(Ended::Expired(why)))
    }

    /// The next request's head, `None` at the connection's end. While nothing has come there is no buffer.
    pub(super) fn poll_head(&self, cx: &mut Context<'_>, worker: &Worker) -> Poll<Result<Option<Head>, Ended>> {
        self.check(cx)?;
        let inner = &mut *self.inner.borrow_mut();
        let buffers = worker.pool.buffers();
        loop {
            let input = &mut inner.line.input;
            if !input.is_empty()
                && let Some(head) = inner.heads.take(input, worker.head_limits, buffers).map_err(Ended::NoHead)?
            {
                self.conn.request_begins();
                return Poll::Ready(Ok(Some(head)));
            }
            if input.is_empty() && worker.phase.get() >= Phase::Draining {
                return Poll::Ready(Ok(None));
            }
            if input.capacity() == 0 {
                *input = buffers.take_input();
            }
            match inner.line.poll_fill(cx, READ_BYTES) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Ok(None)),
                Poll::Ready(Ok(_)) => self.conn.head_begins(),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Ended::Io(error))),
                Poll::Pending => {
                    if inner.line.input.is_empty() {
                        buffers.give_input(std::mem::take(&mut inner.line.input));
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    /// A request begins; its number.
    pub(super) fn open(&self, opening: Opening) -> u64 {
        let inner = &mut *self.inner.borrow_mut();
        inner.rest = opening.framing.map_or(Rest::Nothing, rest_of);
        inner.expects = opening.expects;
        inner.is_1_1 = opening.is_1_1;
        inner.replies = false;
        inner.request += 1;
        inner.request
    }

    /// Whether all of the present request was read.
    pub(super) fn is_read(&self) -> bool {
        self.inner.borrow().rest.is_ended()
    }

    /// Whether there is something that was not asked for yet.
    pub(super) fn has_input(&self) -> bool {
        !self.inner.borrow().line.input.is_empty()
    }

    /// The next piece of a request's content.
    pub(super) fn poll_content(
        &self,
        cx: &mut Context<'_>,
        request: u64,
    ) -> Poll<Option<Result<Frame<Bytes>, Unread>>> {
        let inner = &mut *self.inner.borrow_mut();
        if inner.request != request {
            return Poll::Ready(Some(Err(Unread::Closed)));
        }
        if std::mem::take(&mut inner.expects) && inner.may_interim() && inner.line.input.is_empty() {
            inner.interim = CONTINUE;
        }
        if let Poll::Ready(Err(error)) = inner.poll_interim(cx) {
            return Poll::Ready(Some(Err(Unread::Io(error))));
        }
        inner.line.poll_content(cx, &mut inner.rest)
    }

    /// How much of a request's content is still to come, where that is known.
    pub(super) fn content_left(&self, request: u64) -> Option<u64> {
        let inner = self.inner.borrow();
        if inner.request == request { inner.rest.left() } else { None }
    }

    /// Whether the client has gone while its request is worked on. It may have closed its own side only: then it gets its
    /// reply, and whether it is still there shows as soon as something is sent to it. The next request may come
    /// meanwhile; it waits, and no more is read than one buffer.
    pub(super) fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<Ended> {
        let inner = &mut *self.inner.borrow_mut();
        if !inner.rest.is_ended() || !inner.line.input.is_empty() {
            return Poll::Pending;
        }
        if !self.conn.is_half_closed() {
            // Mostly nothing comes, and the head's buffer has room for what may.
            if inner.line.input.capacity() < WATCH_BYTES {
                inner.line.input.reserve(READ_BYTES);
            }
            match ready!(inner.line.poll_read(cx)) {
                Ok(0) => {
                    self.conn.half_closes();
                    if inner.may_interim() {
                        inner.interim = CONTINUE;
                    } else if !inner.replies {
                        // Nothing can be sent to it by which that would show: its reply has a moment to come.
                        self.conn.wants_reply();
                    }
                }
                Ok(_) => return Poll::Pending,
                Err(_) => return Poll::Ready(Ended::Gone),
            }
        }
        let sent = inner.poll_interim(cx);
        match (sent, inner.line.stream.take_error()) {
            (Poll::Ready(Err(_)), _) | (_, Err(_) | Ok(Some(_))) => Poll::Ready(Ended::Gone),
            _ => Poll::Pending,
        }
    }

    /// Sends the rest of a reply that nobody waits for, as far as the client takes it at once.
    pub(super) fn say(&self, reply: &[u8]) {
        let inner = &mut *self.inner.borrow_mut();
        if let Err(error) = inner.line.stream.try_write(reply) {
            tracing::debug!(peer = %self.conn.peer, %error, "cannot say why the connection ends");
        }
    }

    /// Reads away what the client still sends, within bounds; otherwise the kernel would reset the connection, and the
    /// client might lose its reply.
    pub(super) async fn linger(&self) {
        let drained = async {
            std::future::poll_fn(|cx| Pin::new(&mut self.inner.borrow_mut().line.stream).poll_shutdown(cx)).await?;
            let mut left = LINGER_BYTES_MAX;
            while left > 0 {
                let read = std::future::poll_fn(|cx| {
                    let line = &mut self.inner.borrow_mut().line;
                    line.input.clear();
                    line.poll_fill(cx, READ_BYTES)
                });
                match read.await? {
                    0 => break,
                    read => left = left.saturating_sub(read),
                }
            }
            io::Result::Ok(())
        };
        if tokio::time::timeout(LINGER, drained).await.is_err() {
            tracing::debug!("client went on sending after its last reply");
        }
    }

    /// Says that all was said, where the protocol has words for that.
    pub(super) fn part(&self) {
        self.inner.borrow_mut().line.stream.part();
    }

    /// The connection ends; its buffer is for others.
    pub(super) fn close(&self, worker: &Worker) {
        let inner = &mut *self.inner.borrow_mut();
        worker.pool.buffers().give_input(std::mem::take(&mut inner.line.input));
    }
}

impl Inner {
    fn may_interim(&self) -> bool {
        self.is_1_1 && !self.replies
    }

    /// Sends what is left of an interim reply.
    fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.interim.is_empty() {
            let sent = ready!(Pin::new(&mut self.line.stream).poll_write(cx, self.interim))?;
            self.interim = &self.interim[sent..];
        }
        Poll::Ready(Ok(()))
    }
}

impl Wire for &Front {
    fn poll_send(&mut self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let inner = &mut *self.inner.borrow_mut();
        if !std::mem::replace(&mut inner.replies, true) {
            self.conn.got_reply();
        }
        let polled = match inner.poll_interim(cx)? {
            Poll::Ready(()) => inner.line.stream.poll_send(cx, parts),
            Poll::Pending => Poll::Pending,
        };
        match polled {
            Poll::Pending => self.conn.write_is_blocked(),
            Poll::Ready(_) => self.conn.wrote(),
        }
        polled
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = &mut self.inner.borrow_mut().line.stream;
        if matches!(stream, Stream::Plain(_)) {
            return Poll::Ready(Ok(()));
        }
        let polled = Pin::new(stream).poll_flush(cx);
        match polled {
            Poll::Pending => self.conn.write_is_blocked(),
            Poll::Ready(_) => self.conn.wrote(),
        }
        polled
    }
}
