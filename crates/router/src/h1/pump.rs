//! A message on its way out, to whichever side: its head, then its content as it comes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame};
use net::stream::Stream;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;

use super::request;

/// So much is copied together and sent as one piece, which costs the kernel less than a list of pieces.
const GATHER_BYTES: usize = 1 << 10;

/// Where a message is sent to.
pub(crate) trait Wire {
    /// Sends some of `parts`, in their order.
    fn poll_send(&mut self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>>;

    /// Sends what was taken and has not left yet; most wires keep nothing back.
    fn poll_flush(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Wire for TcpStream {
    fn poll_send(&mut self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match parts {
            [one] => Pin::new(self).poll_write(cx, one),
            _ => Pin::new(self).poll_write_vectored(cx, parts),
        }
    }
}

impl Wire for Stream {
    fn poll_send(&mut self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self {
            Stream::Plain(stream) => stream.poll_send(cx, parts),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Plain(_) => Poll::Ready(Ok(())),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }
}

/// How a content goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// As it is; so many bytes are still to come.
    Length(u64),
    Chunked,
    /// As it is; the connection ends with it.
    Open,
}

/// Why a message could not be sent.
#[derive(Debug)]
pub(super) enum Unsent<E> {
    Content(E),
    /// The content is longer or shorter than its head says.
    Length,
    Io(io::Error),
}

/// What is left to send.
#[derive(Debug)]
pub(super) struct Pump {
    coding: Coding,
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
    /// A message whose head is in `front`.
    pub(super) fn new(front: Vec<u8>, coding: Coding) -> Pump {
        let ended = coding == Coding::Length(0);
        Pump { coding, front, front_written: 0, data: Bytes::new(), back: b"", ended, began: false }
    }

    /// Whether any byte has left.
    pub(super) fn began(&self) -> bool {
        self.began
    }

    /// The buffer, for another message.
    pub(super) fn into_buffer(self) -> Vec<u8> {
        self.front
    }

    /// Sends what can be sent; ready when all is sent.
    pub(super) fn poll<B: Body<Data = Bytes> + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        wire: &mut impl Wire,
        content: &mut B,
    ) -> Poll<Result<(), Unsent<B::Error>>> {
        loop {
            // What has come of the content goes out together with the head.
            let waits = if self.ended || !self.data.is_empty() || !self.back.is_empty() {
                false
            } else {
                match Pin::new(&mut *content).poll_frame(cx) {
                    Poll::Pending => true,
                    Poll::Ready(None) => {
                        self.end(None)?;
                        false
                    }
                    Poll::Ready(Some(Ok(frame))) => {
                        self.load(frame, content.is_end_stream())?;
                        false
                    }
                    Poll::Ready(Some(Err(fault))) => return Poll::Ready(Err(Unsent::Content(fault))),
                }
            };
            if self.is_empty() {
                if !self.ended && !waits {
                    continue;
                }
                ready!(wire.poll_flush(cx)).map_err(Unsent::Io)?;
                return if self.ended { Poll::Ready(Ok(())) } else { Poll::Pending };
            }
            ready!(self.poll_write(cx, wire)).map_err(Unsent::Io)?;
        }
    }

    fn is_empty(&self) -> bool {
        self.front_written == self.front.len() && self.data.is_empty() && self.back.is_empty()
    }

    fn load<E>(&mut self, frame: Frame<Bytes>, is_last: bool) -> Result<(), Unsent<E>> {
        self.clear_written();
        let data = match frame.into_data() {
            Ok(data) if data.is_empty() => return Ok(()),
            Ok(data) => data,
            Err(frame) => return self.end(frame.into_trailers().ok().as_ref()),
        };
        let back: &'static [u8] = match &mut self.coding {
            Coding::Chunked => {
                request::write_chunk_size(&mut self.front, data.len());
                if is_last { b"\r\n0\r\n\r\n" } else { b"\r\n" }
            }
            Coding::Length(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or(Unsent::Length)?;
                if is_last && *left > 0 {
                    return Err(Unsent::Length);
                }
                b""
            }
            Coding::Open => b"",
        };
        if self.front.len() - self.front_written + data.len() <= GATHER_BYTES {
            self.front.extend_from_slice(&data);
            self.front.extend_from_slice(back);
        } else {
            (self.data, self.back) = (data, back);
        }
        self.ended = is_last;
        Ok(())
    }

    fn end<E>(&mut self, trailers: Option<&http::HeaderMap>) -> Result<(), Unsent<E>> {
        self.clear_written();
        self.ended = true;
        match self.coding {
            Coding::Length(0) | Coding::Open => {}
            Coding::Length(_) => return Err(Unsent::Length),
            Coding::Chunked => {
                self.front.extend_from_slice(b"0\r\n");
                if let Some(trailers) = trailers {
                    request::write_fields(&mut self.front, trailers);
                }
                self.front.extend_from_slice(b"\r\n");
            }
        }
        Ok(())
    }

    fn clear_written(&mut self) {
        if self.front_written == self.front.len() {
            self.front.clear();
            self.front_written = 0;
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, wire: &mut impl Wire) -> Poll<io::Result<()>> {
        let front = &self.front[self.front_written..];
        let polled = if self.data.is_empty() && self.back.is_empty() {
            wire.poll_send(cx, &[IoSlice::new(front)])
        } else {
            wire.poll_send(cx, &[IoSlice::new(front), IoSlice::new(&self.data), IoSlice::new(self.back)])
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
        self.back = &self.back[written - of_data..];
        if of_data == self.data.len() {
            // Its reader gets the memory back before it is asked for more.
            self.data = Bytes::new();
        } else {
            self.data.advance(of_data);
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::task::Waker;

    use http::{HeaderMap, HeaderValue};
    use proptest::prelude::{any, prop, prop_assert_eq, proptest};

    /// Takes so many bytes at a time, the last number over and over.
    #[derive(Debug)]
    struct Slow {
        steps: VecDeque<usize>,
        taken: Vec<u8>,
    }

    impl Wire for Slow {
        fn poll_send(&mut self, _: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
            let step = if self.steps.len() > 1 { self.steps.pop_front() } else { self.steps.front().copied() };
            let all: Vec<u8> = parts.iter().flat_map(|part| part.to_vec()).collect();
            let taken = step.unwrap_or(1).min(all.len());
            self.taken.extend_from_slice(&all[..taken]);
            Poll::Ready(Ok(taken))
        }
    }

    /// Content in pieces; `None` is a wait.
    #[derive(Debug)]
    struct Pieces(VecDeque<Option<Frame<Bytes>>>);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            match self.0.pop_front() {
                None => Poll::Ready(None),
                Some(None) => Poll::Pending,
                Some(Some(frame)) => Poll::Ready(Some(Ok(frame))),
            }
        }

        fn is_end_stream(&self) -> bool {
            self.0.is_empty()
        }
    }

    fn sent(coding: Coding, pieces: Vec<Option<Frame<Bytes>>>, steps: &[usize]) -> Result<Vec<u8>, Vec<u8>> {
        let mut pump = Pump::new(b"head\r\n\r\n".to_vec(), coding);
        let mut wire = Slow { steps: steps.iter().copied().collect(), taken: Vec::new() };
        let mut content = Pieces(pieces.into());
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            match pump.poll(&mut cx, &mut wire, &mut content) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => return Ok(wire.taken),
                Poll::Ready(Err(_)) => return Err(wire.taken),
            }
        }
    }

    fn data(text: &'static [u8]) -> Option<Frame<Bytes>> {
        Some(Frame::data(Bytes::from_static(text)))
    }

    #[test]
    fn a_content_that_is_not_as_long_as_its_head_says_is_broken_off() {
        assert_eq!(sent(Coding::Length(3), vec![data(b"tea")], &[9]), Ok(b"head\r\n\r\ntea".to_vec()));
        assert!(sent(Coding::Length(2), vec![data(b"tea")], &[9]).is_err());
        assert!(sent(Coding::Length(4), vec![data(b"tea")], &[9]).is_err());
        assert!(sent(Coding::Length(4), vec![data(b"tea"), None], &[9]).is_err());
    }

    #[test]
    fn trailers_go_where_there_are_chunks() {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("7"));
        let pieces = || vec![data(b"tea"), Some(Frame::trailers(trailers.clone()))];
        assert_eq!(
            sent(Coding::Chunked, pieces(), &[5]),
            Ok(b"head\r\n\r\n3\r\ntea\r\n0\r\nx-sum: 7\r\n\r\n".to_vec())
        );
        assert_eq!(sent(Coding::Open, pieces(), &[5]), Ok(b"head\r\n\r\ntea".to_vec()));
    }

    proptest! {
        #[test]
        fn however_slowly_it_is_taken_all_of_it_arrives(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3_000), 0..6),
            steps in prop::collection::vec(1_usize..2_000, 1..20),
            waits in any::<bool>(),
        ) {
            let whole = pieces.concat();
            let frames = |waits: bool| -> Vec<Option<Frame<Bytes>>> {
                let data = pieces.iter().map(|piece| Some(Frame::data(Bytes::from(piece.clone()))));
                data.flat_map(|frame| [frame, None]).filter(|frame| waits || frame.is_some()).collect()
            };
            let head = b"head\r\n\r\n";
            let plain = sent(Coding::Length(whole.len() as u64), frames(waits), &steps).unwrap();
            prop_assert_eq!(&plain, &[&head[..], &whole].concat());
            prop_assert_eq!(sent(Coding::Open, frames(waits), &steps).unwrap(), plain);
            let chunked = sent(Coding::Chunked, frames(waits), &steps).unwrap();
            prop_assert_eq!(super::super::chunks::tests::whole(&chunked[head.len()..]), Ok(whole));
        }
    }
}
