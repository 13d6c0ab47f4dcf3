//! A connection to an endpoint, whichever protocol it speaks, and the content of a reply that came by it.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http::request::Parts;
use http_body::{Body, Frame, SizeHint};

use crate::body::ClientBody;
use crate::h1::{self, Asked, Buffers, Fault};
use crate::h2;
use crate::hop::Hop;

/// A connection that may carry a request.
#[derive(Debug)]
pub(crate) enum Link {
    H1(h1::Link),
    /// One of many requests on it.
    H2(h2::Trunk),
}

impl Link {
    /// Sends a request and reads the head of its reply, as [`h1::Link::ask`] does.
    ///
    /// # Errors
    /// Why there is no reply, and whether the endpoint can know of the request.
    pub(crate) async fn ask(
        self,
        head: &Parts,
        hop: Hop<'_>,
        content: &mut ClientBody,
        buffers: &Buffers,
    ) -> Result<Response<ReplyContent>, Asked> {
        match self {
            Link::H1(link) => link.ask(head, hop, content, buffers).await.map(|reply| reply.map(ReplyContent::H1)),
            Link::H2(trunk) => {
                let reply = Box::pin(trunk.ask(head, hop, content)).await;
                reply.map(|reply| reply.map(|content| ReplyContent::H2(Box::new(content))))
            }
        }
    }
}

/// A reply's content as it comes.
#[derive(Debug)]
pub(crate) enum ReplyContent {
    H1(h1::ReplyContent),
    H2(Box<h2::ReplyContent>),
}

impl ReplyContent {
    /// Makes content that was read come again, before the rest.
    pub(crate) fn put_back(&mut self, front: Bytes) {
        match self {
            ReplyContent::H1(content) => content.put_back(front),
            ReplyContent::H2(content) => content.put_back(front),
        }
    }
}

impl Body for ReplyContent {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        match self.get_mut() {
            ReplyContent::H1(content) => Pin::new(content).poll_frame(cx),
            ReplyContent::H2(content) => Pin::new(&mut **content).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            ReplyContent::H1(content) => content.is_end_stream(),
            ReplyContent::H2(content) => content.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            ReplyContent::H1(content) => content.size_hint(),
            ReplyContent::H2(content) => content.size_hint(),
        }
    }
}
