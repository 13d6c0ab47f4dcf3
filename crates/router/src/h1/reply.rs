//! The content of an endpoint's reply.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use net::stream::Stream;

use super::buffers::Buffers;
use super::chunks::Chunks;
use super::head::Framing;
use super::line::{Line, Unread};
use super::link::{Fault, Link};
use super::pump::Pump;
use super::rest::Rest;
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

impl ReplyContent {
    pub(super) fn new(
        line: Line,
        framing: Framing,
        stays: bool,
        upload: Option<Box<(Pump, ClientBody)>>,
    ) -> ReplyContent {
        let rest = match framing {
            Framing::Length(bytes) => Rest::Length(bytes),
            Framing::Chunked => Rest::Chunks(Chunks::new()),
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
        (whole && self.stays).then(|| Link::of(self.line, buffers))
    }

    /// The connection itself, and what was read of it: the endpoint has switched protocols.
    pub(crate) fn into_tunnel(self) -> (Stream, Bytes) {
        (self.line.stream, self.line.input.freeze())
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
        this.line.poll_content(cx, &mut this.rest).map_err(|unread| match unread {
            Unread::Broken => super::HeadFault::Framing.into(),
            Unread::Closed => Fault::Closed,
            Unread::Io(error) => Fault::Io(error),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_ended() && self.front.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        match self.rest.left() {
            Some(left) => SizeHint::with_exact(left + self.front.len() as u64),
            None => SizeHint::default(),
        }
    }
}
