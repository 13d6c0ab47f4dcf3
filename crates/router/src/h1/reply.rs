//! The content of an endpoint's reply.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::chunks::{Chunks, Piece};
use super::head::Framing;
use super::link::{Buffers, Fault, Line, Link};
use super::pump::Pump;
use crate::body::ClientBody;

/// Content as it comes. It holds the connection, which is free again when the exchange is whole.
#[derive(Debug)]
pub(crate) struct ReplyContent {
    line: Line,
    /// Read already and put back.
    front: Bytes,
    rest: Rest,
    stays: bool,
    /// What the endpoint has not taken yet of the request that it already answers.
    upload: Option<Box<(Pump, ClientBody)>>,
}

/// What is still to come.
#[derive(Debug)]
enum Rest {
    Length(u64),
    Chunks(Chunks),
    UntilClose,
    Nothing,
}

impl ReplyContent {
    pub(super) fn new(
        line: Line,
        framing: Framing,
        stays: bool,
        upload: Option<Box<(Pump, ClientBody)>>,
    ) -> ReplyContent {
        let rest = match framing {
            Framing::Length(bytes) => Rest::Length(bytes),
            Framing::Chunked => Rest::Chunks(Chunks::Size),
            Framing::Close => Rest::UntilClose,
        };
        ReplyContent { line, front: Bytes::new(), rest, stays, upload }
    }

    /// Makes content that was read come again, before the rest.
    pub(crate) fn put_back(&mut self, front: Bytes) {
        self.front = front;
    }

    /// The connection, if it may carry another exchange: this one is whole in both directions, and the endpoint said
    /// nothing that nobody asked for.
    pub(crate) fn into_link(self, buffers: &Buffers) -> Option<Link> {
        let whole = self.is_end_stream() && self.upload.is_none() && self.line.input.is_empty();
        (whole && self.stays).then(|| self.line.into_link(buffers))
    }

    fn poll_upload(&mut self, cx: &mut Context<'_>) {
        if let Some(upload) = &mut self.upload {
            let (pump, content) = &mut **upload;
            match pump.poll(cx, &mut self.line.stream, content) {
                Poll::Ready(Ok(())) => self.upload = None,
                // The reply goes on; its connection does not outlive it.
                Poll::Ready(Err(_)) => self.stays = false,
                Poll::Pending => {}
            }
        }
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        loop {
            let Rest::Chunks(chunks) = &mut self.rest else { return Poll::Ready(None) };
            let Ok(piece) = chunks.next(&mut self.line.input) else {
                return Poll::Ready(Some(Err(super::HeadFault::Framing.into())));
            };
            match piece {
                Piece::Data(data) => {
                    // Mostly the end has come along; then the last piece can be told from the others.
                    if *chunks == Chunks::DataEnd && *self.line.input == *b"\r\n0\r\n\r\n" {
                        self.line.input.clear();
                        self.rest = Rest::Nothing;
                    }
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Piece::Trailers(trailers) => {
                    self.rest = Rest::Nothing;
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
                Piece::End => self.rest = Rest::Nothing,
                Piece::More => match ready!(self.line.poll_fill(cx, usize::MAX)) {
                    Ok(0) => return Poll::Ready(Some(Err(Fault::Closed))),
                    Ok(_) => {}
                    Err(error) => return Poll::Ready(Some(Err(Fault::Io(error)))),
                },
            }
        }
    }

    fn poll_data(&mut self, cx: &mut Context<'_>, left: u64) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        if self.line.input.is_empty() {
            match ready!(self.line.poll_fill(cx, usize::try_from(left).unwrap_or(usize::MAX))) {
                Ok(0) if matches!(self.rest, Rest::UntilClose) => {
                    self.rest = Rest::Nothing;
                    return Poll::Ready(None);
                }
                Ok(0) => return Poll::Ready(Some(Err(Fault::Closed))),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(Fault::Io(error)))),
            }
        }
        let now = usize::try_from(left).unwrap_or(usize::MAX).min(self.line.input.len());
        if let Rest::Length(left) = &mut self.rest {
            *left -= now as u64;
        }
        Poll::Ready(Some(Ok(Frame::data(self.line.input.split_to(now).freeze()))))
    }
}

impl Body for ReplyContent {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let this = self.get_mut();
        this.poll_upload(cx);
        if !this.front.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut this.front)))));
        }
        match this.rest {
            Rest::Nothing | Rest::Length(0) => Poll::Ready(None),
            Rest::Length(left) => this.poll_data(cx, left),
            Rest::UntilClose => this.poll_data(cx, u64::MAX),
            Rest::Chunks(_) => this.poll_chunk(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.rest, Rest::Nothing | Rest::Length(0)) && self.front.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        match self.rest {
            Rest::Nothing => SizeHint::with_exact(self.front.len() as u64),
            Rest::Length(left) => SizeHint::with_exact(left + self.front.len() as u64),
            Rest::Chunks(_) | Rest::UntilClose => SizeHint::default(),
        }
    }
}
