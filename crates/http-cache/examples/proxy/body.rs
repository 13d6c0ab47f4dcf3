//! Bodies that go to clients: of bytes at hand, of the origin, or read from a shared fetch.

use std::ops::Range;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};
use http_cache::{Leave, Read, WaiterId};
use hyper::body::Incoming;

use crate::exchange::Proxy;
use crate::origin::Failure;

pub(crate) enum Reply {
    Whole(std::vec::IntoIter<Bytes>),
    Origin(Incoming),
    Shared(Shared),
}

impl Reply {
    pub(crate) fn empty() -> Reply {
        Reply::Whole(Vec::new().into_iter())
    }

    /// Some bytes of a stored body.
    pub(crate) fn part(chunks: &[Bytes], mut range: Range<u64>) -> Reply {
        let parts: Vec<Bytes> = chunks.iter().map(|chunk| cut(chunk, &mut range)).collect();
        Reply::Whole(parts.into_iter())
    }
}

/// What of `chunk`, which comes next, lies in `range`; the range moves with it.
fn cut(chunk: &Bytes, range: &mut Range<u64>) -> Bytes {
    let length = chunk.len() as u64;
    let (start, end) = (range.start.min(length), range.end.min(length));
    *range = range.start - start..range.end - end;
    chunk.slice(start as usize..end as usize)
}

/// The place of one client in a shared fetch.
pub(crate) struct Shared {
    pub(crate) proxy: Rc<Proxy>,
    pub(crate) waiter: WaiterId,
    pub(crate) range: Range<u64>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        let leave = self.proxy.table.borrow_mut().leave(self.waiter);
        self.proxy.wakers.borrow_mut().remove(&self.waiter);
        if let Leave::Abort(fetch) = leave {
            self.proxy.abort(fetch);
        }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        match self.get_mut() {
            Reply::Whole(chunks) => Poll::Ready(chunks.next().map(|chunk| Ok(Frame::data(chunk)))),
            Reply::Origin(body) => Pin::new(body).poll_frame(context).map_err(Failure::from),
            Reply::Shared(shared) => {
                let read = shared.proxy.table.borrow_mut().read(shared.waiter);
                match read {
                    Read::Chunk(chunk) => Poll::Ready(Some(Ok(Frame::data(cut(&chunk, &mut shared.range))))),
                    Read::End => Poll::Ready(None),
                    Read::CutOff => Poll::Ready(Some(Err("the fetch broke off".into()))),
                    Read::Nothing => {
                        shared.proxy.wakers.borrow_mut().insert(shared.waiter, context.waker().clone());
                        Poll::Pending
                    }
                }
            }
        }
    }
}
