//! The replies that come from the cache: kept ones, and those that are on their way into it.

use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Method, Response, StatusCode};
use http_cache::{Answer, Hit, Read, Stored};

use super::driven::{Found, Place};

/// A reply from the cache.
#[derive(Debug)]
pub(crate) struct Cached {
    pub(crate) response: Response<CachedContent>,
}

/// The fetch that a reply came from has failed, or its reader fell too far behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CutOff;

/// Its content.
#[derive(Debug)]
pub(crate) enum CachedContent {
    Nothing,
    Kept { chunks: Arc<[Bytes]>, next: usize, range: Range<u64> },
    Arriving { place: Place, range: Range<u64>, left: Option<u64> },
}

impl CachedContent {
    /// The next piece.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, CutOff>>> {
        match self {
            CachedContent::Nothing => Poll::Ready(None),
            CachedContent::Kept { chunks, next, range } => {
                while range.start < range.end
                    && let Some(chunk) = chunks.get(*next)
                {
                    *next += 1;
                    let piece = cut(chunk, range);
                    if !piece.is_empty() {
                        return Poll::Ready(Some(Ok(piece)));
                    }
                }
                Poll::Ready(None)
            }
            CachedContent::Arriving { place, range, left } => loop {
                if *left == Some(0) {
                    return Poll::Ready(None);
                }
                let piece = match place.poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Read::Chunk(chunk)) => cut(&chunk, range),
                    Poll::Ready(Read::End) => {
                        // Less than was promised is no end.
                        let short = left.replace(0).is_some();
                        return Poll::Ready(short.then_some(Err(CutOff)));
                    }
                    Poll::Ready(_) => return Poll::Ready(Some(Err(CutOff))),
                };
                if !piece.is_empty() {
                    *left = left.map(|left| left.saturating_sub(piece.len() as u64));
                    return Poll::Ready(Some(Ok(piece)));
                }
            },
        }
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.length() == Some(0)
    }

    /// How long what is left is, where that is known.
    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            CachedContent::Nothing => Some(0),
            CachedContent::Kept { range, .. } => Some(range.end.saturating_sub(range.start)),
            CachedContent::Arriving { left, .. } => *left,
        }
    }
}

/// What of `chunk`, which comes next, lies in `range`; the range moves with it.
fn cut(chunk: &Bytes, range: &mut Range<u64>) -> Bytes {
    let length = chunk.len() as u64;
    let (start, end) = (range.start.min(length), range.end.min(length));
    *range = range.start - start..range.end - end;
    chunk.slice(start as usize..end as usize)
}

/// An answer from what is kept.
pub(super) fn kept(found: &Found, hit: &Hit, method: &Method) -> Cached {
    let (status, mut headers) = found.stored.reply(hit);
    let range = match &hit.answer {
        Answer::Whole => 0..found.stored.body_bytes(),
        Answer::Range(range) => range.clone(),
        Answer::NotModified | Answer::Unsatisfiable => 0..0,
    };
    let content = match *method {
        Method::HEAD => {
            if matches!(hit.answer, Answer::Whole) && !headers.contains_key(CONTENT_LENGTH) {
                headers.insert(CONTENT_LENGTH, found.stored.body_bytes().into());
            }
            CachedContent::Nothing
        }
        _ if range.is_empty() => CachedContent::Nothing,
        _ => CachedContent::Kept { chunks: Arc::clone(&found.chunks), next: 0, range },
    };
    respond(status, headers, content)
}

/// An answer from what is being fetched; `came` as it came, for whom it was fetched.
pub(super) fn arriving(stored: &Stored, hit: &Hit, place: Place, came: Option<(StatusCode, HeaderMap)>) -> Cached {
    let length = stored.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let (status, headers) = match came.filter(|_| hit.answer == Answer::Whole) {
        Some(came) => came,
        None => stored.reply(hit),
    };
    let content = match &hit.answer {
        Answer::Whole => CachedContent::Arriving { place, range: 0..u64::MAX, left: length },
        Answer::Range(range) => {
            CachedContent::Arriving { place, range: range.clone(), left: Some(range.end - range.start) }
        }
        Answer::NotModified | Answer::Unsatisfiable => CachedContent::Nothing,
    };
    respond(status, headers, content)
}

fn respond(status: StatusCode, headers: HeaderMap, content: CachedContent) -> Cached {
    let mut response = Response::new(content);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Cached { response }
}
