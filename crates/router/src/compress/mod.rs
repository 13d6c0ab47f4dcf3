//! Replies that are compressed on their way (RFC 9110, 8.4): `coding` decides and changes the head, `encoder` has the bytes,
//! and here is what stands between a reply's content and its client.

mod coding;
mod encoder;

use std::io;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use http_body::Frame;
use tokio::sync::OwnedSemaphorePermit;

use self::encoder::Encoder;
use crate::config::{CompressConfig, ContentCoding};

/// A piece of this size goes out as soon as it is there.
const PIECE_BYTES: usize = 16 << 10;
/// So much is taken in before something goes out, however well it compresses.
const TAKEN_BYTES_MAX: usize = 128 << 10;

/// What a route says about it, and what this client wants.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    rule: std::sync::Arc<CompressConfig>,
    method: Method,
    coding: Option<ContentCoding>,
}

impl Wish {
    /// What a request's head says.
    pub(crate) fn of(rule: &std::sync::Arc<CompressConfig>, method: &Method, request: &HeaderMap) -> Wish {
        let coding = coding::negotiate(request, &rule.codings);
        Wish { rule: std::sync::Arc::clone(rule), method: method.clone(), coding }
    }

    /// Changes the head of a reply that is to be compressed, or could have been; how, if it is. `permit`: room for it.
    pub(crate) fn begin(
        &self,
        status: StatusCode,
        head: &mut HeaderMap,
        permit: impl FnOnce() -> Option<OwnedSemaphorePermit>,
    ) -> Option<Box<Coder>> {
        if !coding::is_worth(&self.rule, &self.method, status, head) {
            return None;
        }
        coding::vary(head);
        let coding = self.coding?;
        let permit = permit()?;
        let encoder = Encoder::new(coding).ok()?;
        coding::coded(head, coding);
        Some(Box::new(Coder { encoder: Some(encoder), unflushed: false, trailers: None, _permit: permit }))
    }
}

/// Content that is being compressed.
#[derive(Debug)]
pub(crate) struct Coder {
    /// `None` at the end.
    encoder: Option<Encoder>,
    /// Something was taken in that has not come out.
    unflushed: bool,
    trailers: Option<HeaderMap>,
    _permit: OwnedSemaphorePermit,
}

impl Coder {
    /// Whether nothing comes any more.
    pub(crate) fn is_ended(&self) -> bool {
        self.encoder.is_none() && self.trailers.is_none()
    }

    /// The next compressed piece, of those that `next` gives. What has come goes out when nothing more is there.
    pub(crate) fn poll<E: From<io::Error>>(
        &mut self,
        cx: &mut Context<'_>,
        mut next: impl FnMut(&mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, E>>>,
    ) -> Poll<Option<Result<Frame<Bytes>, E>>> {
        let mut taken = 0;
        loop {
            let Some(encoder) = &mut self.encoder else {
                return Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))));
            };
            let frame = match next(cx) {
                Poll::Ready(Some(frame)) => frame?.into_data(),
                Poll::Ready(None) => Err(Frame::trailers(HeaderMap::new())),
                Poll::Pending if self.unflushed => return Poll::Ready(Some(self.flushed())),
                Poll::Pending => return Poll::Pending,
            };
            match frame {
                Ok(data) => {
                    encoder.feed(&data)?;
                    self.unflushed |= !data.is_empty();
                    taken += data.len();
                    if encoder.ready() >= PIECE_BYTES {
                        return Poll::Ready(Some(Ok(Frame::data(encoder.take()))));
                    }
                    if taken >= TAKEN_BYTES_MAX {
                        return Poll::Ready(Some(self.flushed()));
                    }
                }
                Err(last) => {
                    self.trailers = last.into_trailers().ok().filter(|trailers| !trailers.is_empty());
                    let rest = self.encoder.take().map(Encoder::finish).transpose()?.unwrap_or_default();
                    if !rest.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(rest))));
                    }
                }
            }
        }
    }

    fn flushed<E: From<io::Error>>(&mut self) -> Result<Frame<Bytes>, E> {
        self.unflushed = false;
        let Some(encoder) = &mut self.encoder else { return Ok(Frame::data(Bytes::new())) };
        encoder.flush()?;
        Ok(Frame::data(encoder.take()))
    }
}
