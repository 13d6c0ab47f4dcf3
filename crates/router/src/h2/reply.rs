//! The content of an endpoint's reply.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http::header::{CONTENT_LENGTH, HeaderMap};
use http_body::{Body, Frame, SizeHint};

use super::ask::{Upload, fault};
use super::trunk::Seat;
use crate::body::ClientBody;
use crate::h1::Fault;

/// Content as it comes. Its connection is free for other requests all the while.
#[derive(Debug)]
pub(crate) struct ReplyContent {
    stream: RecvStream,
    /// Read already and put back.
    front: Bytes,
    /// What is still to come, where the endpoint has said so; that it keeps its word is the library's matter.
    left: Option<u64>,
    data_ended: bool,
    /// What the endpoint has not taken yet of the request that it already answers.
    upload: Option<Box<(Upload, ClientBody)>>,
    _seat: Seat,
}

impl ReplyContent {
    pub(super) fn new(
        stream: RecvStream,
        headers: &HeaderMap,
        upload: Option<Box<(Upload, ClientBody)>>,
        seat: Seat,
    ) -> ReplyContent {
        let left = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        ReplyContent { stream, front: Bytes::new(), left, data_ended: false, upload, _seat: seat }
    }

    /// Makes content that was read come again, before the rest.
    pub(crate) fn put_back(&mut self, front: Bytes) {
        self.front = front;
    }

    fn poll_upload(&mut self, cx: &mut Context<'_>) {
        if let Some(upload) = &mut self.upload {
            let (upload, content) = &mut **upload;
            if upload.poll(cx, content).is_ready() {
                self.upload = None;
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
        if !this.data_ended {
            match ready!(this.stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    // It is handed on at once; whoever takes no more asks for no more.
                    let released = this.stream.flow_control().release_capacity(data.len());
                    this.left = this.left.map(|left| left.saturating_sub(data.len() as u64));
                    return Poll::Ready(Some(released.map(|()| Frame::data(data)).map_err(fault)));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(fault(error)))),
                None => this.data_ended = true,
            }
        }
        match ready!(this.stream.poll_trailers(cx)) {
            Ok(Some(trailers)) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            Ok(None) => Poll::Ready(None),
            Err(error) => Poll::Ready(Some(Err(fault(error)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.front.is_empty() && self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.left {
            _ if self.is_end_stream() => SizeHint::with_exact(0),
            Some(left) => SizeHint::with_exact(left + self.front.len() as u64),
            None => SizeHint::default(),
        }
    }
}
