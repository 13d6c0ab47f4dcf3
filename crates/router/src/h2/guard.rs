//! A client's connection below the library: it counts frames as they pass, and ends when they are too many.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use stdx::clock::SharedClock;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::ledger::{Excess, Ledger};
use super::walk::Walk;
use crate::config::Http2Config;
use crate::edge::Stream;

/// What a client sends before its first frame (RFC 9113, 3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// GOAWAY, but for its code. It names the highest stream: which of the requests were begun is not known down here, and none
/// is to be sent again.
const GOAWAY: [u8; 16] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0];

/// A connection below HTTP/2.
pub(super) struct Guarded {
    stream: Stream,
    /// Read already.
    front: Bytes,
    inbound: Walk,
    outbound: Walk,
    ledger: Ledger,
    clock: SharedClock,
    /// Once there is one, nothing is read any more.
    excess: Option<Excess>,
}

impl Guarded {
    /// Guards a connection; `front` is what has been read of it.
    pub(super) fn new(stream: Stream, front: Bytes, config: &Http2Config, clock: SharedClock) -> Guarded {
        Guarded {
            stream,
            front,
            inbound: Walk::behind(PREFACE.len()),
            outbound: Walk::behind(0),
            ledger: Ledger::new(config, clock.mono()),
            clock,
            excess: None,
        }
    }

    fn has_sent(&mut self, bytes: &[u8]) {
        let ledger = &mut self.ledger;
        self.outbound.over(bytes, |head| ledger.sent(head));
    }

    fn poll_some(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.front.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let some = self.front.len().min(buffer.remaining());
        buffer.put_slice(&self.front[..some]);
        self.front.advance(some);
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Guarded {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(excess) = this.excess {
            return Poll::Ready(Err(io::Error::other(excess)));
        }
        let before = buffer.filled().len();
        ready!(this.poll_some(cx, buffer))?;
        let (ledger, clock, excess) = (&mut this.ledger, &this.clock, &mut this.excess);
        this.inbound.over(&buffer.filled()[before..], |head| {
            if let Err(beyond) = ledger.received(head, || clock.mono()) {
                *excess = excess.or(Some(beyond));
            }
        });
        let Some(excess) = this.excess else { return Poll::Ready(Ok(())) };
        buffer.set_filled(before);
        if this.outbound.is_between_frames() {
            // The word is a courtesy: a client that does not take it is closed all the same.
            let mut goaway = GOAWAY.to_vec();
            goaway.push(excess.code());
            let told = Pin::new(&mut this.stream).poll_write(cx, &goaway);
            let left = Pin::new(&mut this.stream).poll_flush(cx);
            tracing::debug!(?told, ?left, %excess, "a client is told why its connection ends");
        }
        Poll::Ready(Err(io::Error::other(excess)))
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.stream).poll_write(cx, bytes))?;
        this.has_sent(&bytes[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.stream).poll_write_vectored(cx, parts))?;
        let mut left = written;
        for part in parts {
            let step = part.len().min(left);
            this.has_sent(&part[..step]);
            left -= step;
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
