//! A request's content on its way to an endpoint: streamed, counted, never collected.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::conn::Conn;
use crate::fields;
use crate::h1::front::{self, Broken};
use crate::h2;
use crate::idempotency::{Digest, Hash};
use crate::kept::Replay;

/// Why content could not be passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ContentFault {
    #[error("the request's content is longer than the route allows")]
    TooLarge,
    #[error("the request's content did not come in time")]
    TooSlow,
    #[error("the request's content broke off")]
    Broken,
    /// Another try reads it now, or the disk lost it.
    #[error("the request's content could not be sent again")]
    Unkept,
}

/// What is known about a request's content while somebody else reads it.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    pub(crate) bytes: Cell<u64>,
    pub(crate) ended: Cell<bool>,
    pub(crate) fault: Cell<Option<ContentFault>>,
    hash: RefCell<Option<Box<Digest>>>,
}

impl Meter {
    /// From here on the content's hash is computed.
    pub(crate) fn digest(&self) {
        self.hash.replace(Some(Box::default()));
    }

    /// The hash of what has come, once.
    pub(crate) fn hash(&self) -> Option<Hash> {
        self.hash.take().map(|hash| hash.finish())
    }
}

/// The content of an outbound request.
#[derive(Debug)]
pub(crate) enum ClientBody {
    Empty,
    Stream(Box<Stream>),
    Kept(Box<Replay>),
}

/// Content as its protocol brings it.
#[derive(Debug)]
pub(crate) enum Content {
    H1(front::Content),
    H2(h2::Content),
}

impl Body for Content {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self.get_mut() {
            Content::H1(content) => Pin::new(content).poll_frame(cx),
            Content::H2(content) => Pin::new(content).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Content::H1(content) => content.is_end_stream(),
            Content::H2(content) => content.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Content::H1(content) => content.size_hint(),
            Content::H2(content) => content.size_hint(),
        }
    }
}

/// Content as the client sends it.
#[derive(Debug)]
pub(crate) struct Stream {
    incoming: Content,
    bytes_max: u64,
    meter: Rc<Meter>,
    conn: Rc<Conn>,
}

impl ClientBody {
    /// Content of at most `bytes_max` bytes; more than that is a fault in the middle of it.
    pub(crate) fn stream(incoming: Content, bytes_max: u64, meter: Rc<Meter>, conn: Rc<Conn>) -> ClientBody {
        ClientBody::Stream(Box::new(Stream { incoming, bytes_max, meter, conn }))
    }
}

impl Stream {
    /// How long it is, where the client has said so.
    pub(crate) fn length(&self) -> Option<u64> {
        self.incoming.size_hint().exact()
    }

    /// Whether nothing more comes.
    pub(crate) fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    /// The next piece.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ContentFault>>> {
        match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Pending if self.conn.content_is_late() => self.fault(ContentFault::TooSlow),
            Poll::Pending => {
                self.conn.wants_content(cx.waker());
                Poll::Pending
            }
            Poll::Ready(None) => {
                self.conn.got_content();
                self.meter.ended.set(true);
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(_))) => self.fault(ContentFault::Broken),
            Poll::Ready(Some(Ok(mut frame))) => {
                self.conn.got_content();
                if let Some(data) = frame.data_ref() {
                    self.meter.bytes.set(self.meter.bytes.get() + data.len() as u64);
                    if let Some(hash) = &mut *self.meter.hash.borrow_mut() {
                        hash.update(data);
                    }
                } else if let Some(trailers) = frame.trailers_mut() {
                    fields::clean_trailers(trailers);
                }
                if self.meter.bytes.get() > self.bytes_max {
                    return self.fault(ContentFault::TooLarge);
                }
                self.meter.ended.set(self.incoming.is_end_stream());
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }

    fn fault(&self, fault: ContentFault) -> Poll<Option<Result<Frame<Bytes>, ContentFault>>> {
        self.meter.fault.set(Some(fault));
        Poll::Ready(Some(Err(fault)))
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = ContentFault;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ContentFault>>> {
        match self.get_mut() {
            ClientBody::Empty => Poll::Ready(None),
            ClientBody::Stream(stream) => stream.poll(cx),
            ClientBody::Kept(replay) => Pin::new(&mut **replay).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            ClientBody::Empty => true,
            ClientBody::Stream(stream) => stream.incoming.is_end_stream(),
            ClientBody::Kept(replay) => replay.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            ClientBody::Empty => SizeHint::with_exact(0),
            ClientBody::Stream(stream) => stream.incoming.size_hint(),
            ClientBody::Kept(replay) => replay.size_hint(),
        }
    }
}
