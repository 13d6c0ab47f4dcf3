//! A request on its way out: its head, then its content as the client sends it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::request::Parts;
use http_body::{Body, Frame};
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;

use super::link::Fault;
use super::request::{self, Framing};
use crate::body::ClientBody;
use crate::hop::Hop;

/// What is left to send.
#[derive(Debug)]
pub(super) struct Pump {
    framing: Framing,
    /// Written before `data`: the head, a chunk's size.
    front: Vec<u8>,
    front_written: usize,
    data: Bytes,
    /// Written after `data`: a chunk's end.
    back: &'static [u8],
    /// The content has come to its end.
    ended: bool,
    /// A byte has left.
    began: bool,
}

impl Pump {
    /// A request with `head`, written into `front`, and `content`.
    pub(super) fn new(mut front: Vec<u8>, head: &Parts, hop: Hop<'_>, content: &ClientBody) -> Pump {
        let framing = match (content, content.size_hint().exact()) {
            (ClientBody::Empty, _) => Framing::None,
            (_, Some(bytes)) => Framing::Length(bytes),
            (_, None) => Framing::Chunked,
        };
        request::write_head(&mut front, head, hop, framing);
        let ended = framing == Framing::None;
        Pump { framing, front, front_written: 0, data: Bytes::new(), back: b"", ended, began: false }
    }

    /// Whether any byte has left.
    pub(super) fn began(&self) -> bool {
        self.began
    }

    /// The buffer, for another request.
    pub(super) fn into_buffer(self) -> Vec<u8> {
        self.front
    }

    /// Sends what can be sent; ready when all is sent.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut TcpStream,
        content: &mut ClientBody,
    ) -> Poll<Result<(), Fault>> {
        loop {
            // What has come of the content goes out together with the head.
            let waits = if self.ended || !self.data.is_empty() || !self.back.is_empty() {
                false
            } else {
                match Pin::new(&mut *content).poll_frame(cx) {
                    Poll::Pending => true,
                    Poll::Ready(None) => {
                        self.end(None);
                        false
                    }
                    Poll::Ready(Some(Ok(frame))) => {
                        self.load(frame, content.is_end_stream());
                        false
                    }
                    Poll::Ready(Some(Err(fault))) => return Poll::Ready(Err(Fault::Content(fault))),
                }
            };
            if self.is_empty() {
                if self.ended {
                    return Poll::Ready(Ok(()));
                }
                if waits {
                    return Poll::Pending;
                }
                continue;
            }
            ready!(self.poll_write(cx, stream)).map_err(Fault::Io)?;
        }
    }

    fn is_empty(&self) -> bool {
        self.front_written == self.front.len() && self.data.is_empty() && self.back.is_empty()
    }

    fn load(&mut self, frame: Frame<Bytes>, is_last: bool) {
        self.clear_written();
        match frame.into_data() {
            Ok(data) if data.is_empty() => {}
            Ok(data) => {
                if self.framing == Framing::Chunked {
                    request::write_chunk_size(&mut self.front, data.len());
                    self.back = if is_last { b"\r\n0\r\n\r\n" } else { b"\r\n" };
                }
                self.data = data;
                self.ended = is_last;
            }
            Err(frame) => self.end(frame.into_trailers().ok().as_ref()),
        }
    }

    fn end(&mut self, trailers: Option<&http::HeaderMap>) {
        self.clear_written();
        self.ended = true;
        if self.framing == Framing::Chunked {
            self.front.extend_from_slice(b"0\r\n");
            if let Some(trailers) = trailers {
                request::write_fields(&mut self.front, trailers);
            }
            self.front.extend_from_slice(b"\r\n");
        }
    }

    fn clear_written(&mut self) {
        if self.front_written == self.front.len() {
            self.front.clear();
            self.front_written = 0;
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, stream: &mut TcpStream) -> Poll<io::Result<()>> {
        let stream = Pin::new(stream);
        let front = &self.front[self.front_written..];
        let polled = if self.data.is_empty() && self.back.is_empty() {
            stream.poll_write(cx, front)
        } else {
            let parts = [IoSlice::new(front), IoSlice::new(&self.data), IoSlice::new(self.back)];
            stream.poll_write_vectored(cx, &parts)
        };
        let mut written = ready!(polled)?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.began = true;
        let of_front = written.min(front.len());
        self.front_written += of_front;
        written -= of_front;
        let of_data = written.min(self.data.len());
        self.data.advance(of_data);
        self.back = &self.back[written - of_data..];
        Poll::Ready(Ok(()))
    }
}
