//! A request's content, read from the connection as somebody wants it.

use std::pin::Pin;
use std::rc::Weak;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::socket::Front;

/// The content of one request. It may outlive its request, even its connection; then it is broken.
#[derive(Debug)]
pub(crate) struct Content {
    front: Weak<Front>,
    request: u64,
}

/// The content broke off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

impl Content {
    pub(super) fn new(front: Weak<Front>, request: u64) -> Content {
        Content { front, request }
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self.front.upgrade() {
            Some(front) => front.poll_content(cx, self.request).map_err(|_| Broken),
            None => Poll::Ready(Some(Err(Broken))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.front.upgrade().and_then(|front| front.content_left(self.request)) == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.front.upgrade().and_then(|front| front.content_left(self.request));
        left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
