//! A reply's content, piece by piece.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::{Stamp, Switched};
use crate::access::What;
use crate::cache::{self, CachedContent};
use crate::compress::Coder;
use crate::conn::Conn;
use crate::endpoint::InFlight;
use crate::exchange::Exchange;
use crate::fields;
use crate::fragments::Assembly;
use crate::h1::Fault;
use crate::link::ReplyContent;

/// A reply's content. It holds the request's facts until the last byte has left, or until the client is gone.
#[derive(Debug)]
pub(crate) struct ReplyBody {
    pub(super) content: Content,
    pub(super) exchange: Exchange,
    pub(super) is_last: bool,
    /// What puts the content together of fragments.
    pub(super) assembly: Option<Box<Assembly>>,
    /// What compresses the content.
    pub(super) coder: Option<Box<Coder>>,
}

/// Why an endpoint's reply ends in its middle, and the client's connection with it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplyFault {
    #[error("the endpoint's reply broke off: {0}")]
    Broken(#[from] Fault),
    #[error("the endpoint's reply did not go on in time")]
    Stalled,
    #[error("the fetch that the reply came from broke off")]
    CutOff,
    #[error("the reply could not be compressed: {0}")]
    Coding(#[from] std::io::Error),
}

#[derive(Debug)]
pub(super) enum Content {
    Ended,
    Text(Bytes),
    Endpoint { incoming: ReplyContent, in_flight: InFlight },
    Cached(CachedContent),
}

impl ReplyBody {
    /// What belongs to the reply's head besides its fields.
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp { trace: self.exchange.traced.context.trace, is_last: self.is_last }
    }

    /// The connection behind a reply that switches protocols.
    pub(crate) fn into_switched(self) -> Option<Switched> {
        let ReplyBody { content, exchange, .. } = self;
        match content {
            Content::Endpoint { incoming: ReplyContent::H1(incoming), in_flight } => {
                let (endpoint, surplus) = incoming.into_tunnel();
                Some(Switched { endpoint, surplus, exchange, in_flight })
            }
            _ => None,
        }
    }

    /// Notes what decided about the request at this moment.
    pub(crate) fn note(&mut self, what: What) {
        self.exchange.note(what);
    }

    /// Whether it may have fragments.
    pub(crate) fn may_nest(&self, headers: &HeaderMap) -> bool {
        self.exchange.may_nest(headers)
    }

    pub(super) fn end(&mut self) {
        if let Content::Endpoint { incoming, in_flight } = std::mem::replace(&mut self.content, Content::Ended) {
            let worker = &self.exchange.worker;
            worker.pool.put(in_flight.way(), incoming, worker.now());
        }
        self.exchange.ends();
    }
}

/// The next piece of an endpoint's reply, for which it has a limited time.
fn from_endpoint(
    incoming: &mut ReplyContent,
    conn: &Conn,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, ReplyFault>>> {
    match Pin::new(incoming).poll_frame(cx) {
        Poll::Pending if conn.reply_is_late() => Poll::Ready(Some(Err(ReplyFault::Stalled))),
        Poll::Pending => {
            conn.wants_reply();
            Poll::Pending
        }
        Poll::Ready(piece) => {
            conn.got_reply();
            Poll::Ready(piece.map(|piece| piece.map_err(ReplyFault::from)))
        }
    }
}

/// The next piece of a kept reply, or of one that is being fetched, which has a limited time too.
fn from_cache(
    content: &mut CachedContent,
    conn: &Conn,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, ReplyFault>>> {
    match content.poll(cx) {
        Poll::Pending if conn.reply_is_late() => Poll::Ready(Some(Err(ReplyFault::Stalled))),
        Poll::Pending => {
            conn.wants_reply();
            Poll::Pending
        }
        Poll::Ready(piece) => {
            conn.got_reply();
            Poll::Ready(piece.map(|piece| piece.map(Frame::data).map_err(|cache::CutOff| ReplyFault::CutOff)))
        }
    }
}

/// The next piece of a reply, put together where it has fragments.
fn whole(
    content: &mut Content,
    assembly: &mut Option<Box<Assembly>>,
    conn: &Conn,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, ReplyFault>>> {
    match assembly {
        None => as_it_comes(content, conn, cx),
        Some(assembly) => assembly.poll(cx, |cx| as_it_comes(content, conn, cx)),
    }
}

/// The next piece of a reply as it comes.
fn as_it_comes(
    content: &mut Content,
    conn: &Conn,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, ReplyFault>>> {
    match content {
        Content::Ended => Poll::Ready(None),
        Content::Text(text) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(text))))),
        Content::Endpoint { incoming, .. } => from_endpoint(incoming, conn, cx),
        Content::Cached(cached) => from_cache(cached, conn, cx),
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = ReplyFault;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ReplyFault>>> {
        let this = &mut *self;
        let ReplyBody { content, exchange, assembly, coder, .. } = this;
        let polled = match coder {
            None => whole(content, assembly, &exchange.conn, cx),
            Some(coder) => coder.poll(cx, |cx| whole(content, assembly, &exchange.conn, cx)),
        };
        if let Some(assembly) = assembly {
            assembly.told().into_iter().for_each(|what| exchange.note(what));
        }
        match polled {
            Poll::Ready(Some(Ok(mut frame))) => {
                if let Some(data) = frame.data_ref() {
                    this.exchange.add_reply_bytes(data.len());
                } else if let Some(trailers) = frame.trailers_mut() {
                    fields::clean_trailers(trailers);
                }
                if this.is_end_stream() {
                    this.end();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                this.end();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(fault))) => {
                this.exchange.breaks_off(&fault);
                Poll::Ready(Some(Err(fault)))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Ended => true,
            Content::Text(text) => text.is_empty(),
            Content::Endpoint { .. } | Content::Cached(_) if self.coder.is_some() => {
                self.coder.as_ref().is_none_or(|coder| coder.is_ended())
            }
            Content::Endpoint { .. } | Content::Cached(_) if self.assembly.is_some() => {
                self.assembly.as_ref().is_none_or(|assembly| assembly.is_ended())
            }
            Content::Endpoint { incoming, .. } => incoming.is_end_stream(),
            Content::Cached(cached) => cached.is_ended(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Ended => SizeHint::with_exact(0),
            Content::Text(text) => SizeHint::with_exact(text.len() as u64),
            Content::Endpoint { .. } | Content::Cached(_) if self.coder.is_some() || self.assembly.is_some() => {
                SizeHint::default()
            }
            Content::Endpoint { incoming, .. } => incoming.size_hint(),
            Content::Cached(cached) => cached.length().map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}
