//! A connection in use, and what was read from it and not taken yet.

use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::Frame;
use net::stream::Stream;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::chunks::{Broken, Piece};
use super::rest::Rest;

/// Bytes that are read at once: what most messages fit in, and what a long content is read by.
pub(super) const READ_BYTES: usize = 8 << 10;
const READ_BYTES_MAX: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct Line<S = Stream> {
    pub(super) stream: S,
    pub(super) input: BytesMut,
}

/// Why a content could not be read.
#[derive(Debug)]
pub(super) enum Unread {
    Broken,
    Closed,
    Io(io::Error),
}

impl<S: AsyncRead + Unpin> Line<S> {
    /// Reads more; 0 is the connection's end. `wanted`: how many bytes are still to come, where that is known.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<io::Result<usize>> {
        if self.input.capacity() == self.input.len() || self.input.is_empty() {
            self.input.reserve(wanted.clamp(READ_BYTES, READ_BYTES_MAX));
        }
        self.poll_read(cx)
    }

    /// Reads as much as there is room for, of which there must be some; 0 is the connection's end.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        pin!(self.stream.read_buf(&mut self.input)).poll(cx)
    }

    /// The next piece of the content of which `rest` is to come.
    pub(super) fn poll_content(
        &mut self,
        cx: &mut Context<'_>,
        rest: &mut Rest,
    ) -> Poll<Option<Result<Frame<Bytes>, Unread>>> {
        loop {
            match rest.next(&mut self.input) {
                Ok(Piece::Data(data)) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Ok(Piece::Trailers(trailers)) => return Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
                Ok(Piece::End) => return Poll::Ready(None),
                Err(Broken) => return Poll::Ready(Some(Err(Unread::Broken))),
                Ok(Piece::More) => {
                    let wanted = rest.left().and_then(|left| usize::try_from(left).ok()).unwrap_or(usize::MAX);
                    match ready!(self.poll_fill(cx, wanted)) {
                        Ok(0) if rest.closes() => return Poll::Ready(None),
                        Ok(0) => return Poll::Ready(Some(Err(Unread::Closed))),
                        Ok(_) => {}
                        Err(error) => return Poll::Ready(Some(Err(Unread::Io(error)))),
                    }
                }
            }
        }
    }
}
