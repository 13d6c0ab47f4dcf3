//! The reply on its way to the client: an endpoint's, streamed, or the router's own.

mod body;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::response::Parts;
use http::{Response, StatusCode};
use http_body::Body;
use net::stream::Stream;
use serde::Serialize;
use stdx::trace::TraceId;

use self::body::Content;
pub(crate) use self::body::{ReplyBody, ReplyFault};
use crate::cache::Cached;
use crate::compress::Coder;
use crate::endpoint::InFlight;
use crate::exchange::Exchange;
use crate::fields::{self, FieldSet};
use crate::forward::Answer;
use crate::fragments;
use crate::idempotency::Recorded;
use crate::rescue::{Failure, METHODS, Rescue};
use crate::shared::Phase;

/// A connection that an endpoint has switched to another protocol.
#[derive(Debug)]
pub(crate) struct Switched {
    pub(crate) endpoint: Stream,
    /// What was read of it already.
    pub(crate) surplus: Bytes,
    pub(crate) exchange: Exchange,
    pub(crate) in_flight: InFlight,
}

/// What the protocol says with each reply's head, in its own way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Every reply names its trace, in [`fields::TRACE`].
    pub(crate) trace: TraceId,
    /// It is the connection's last.
    pub(crate) is_last: bool,
}

/// What a request comes back with.
#[derive(Debug)]
pub(crate) enum Reply {
    Endpoint(Answer),
    /// From the cache, or on its way through it.
    Cached(Box<Cached>),
    /// From the journal, or on its way through it.
    Recorded(Recorded),
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Reply {
        Reply::Endpoint(answer)
    }
}

/// Tells a client that its answer was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// A reply, as the client gets it.
pub(crate) fn of(exchange: Exchange, reply: Reply) -> Response<ReplyBody> {
    match reply {
        Reply::Endpoint(answer) => of_endpoint(exchange, answer),
        Reply::Cached(cached) => of_cache(exchange, *cached),
        Reply::Recorded(recorded) => of_journal(exchange, recorded),
    }
}

fn of_journal(mut exchange: Exchange, recorded: Recorded) -> Response<ReplyBody> {
    let (mut head, content) = recorded.response.into_parts();
    exchange.replies(head.status, None);
    exchange.ends();
    if recorded.again {
        head.headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    head.headers.remove(fields::WROTE);
    let is_last = finish_head(&mut head.headers, &exchange, false);
    Response::from_parts(
        head,
        ReplyBody { content: Content::Text(content), exchange, is_last, assembly: None, coder: None },
    )
}

fn of_cache(mut exchange: Exchange, cached: Cached) -> Response<ReplyBody> {
    let (mut head, content) = cached.response.into_parts();
    exchange.replies(head.status, None);
    head.headers.remove(fields::WROTE);
    let is_last = finish_head(&mut head.headers, &exchange, false);
    let assembly = fragments::begin(&mut exchange, &mut head, content.is_ended());
    let coder = coder(&exchange, &mut head, content.is_ended());
    let mut body = ReplyBody { content: Content::Cached(content), exchange, is_last, assembly, coder };
    if body.is_end_stream() {
        body.end();
    }
    Response::from_parts(head, body)
}

/// An endpoint's reply, as the client gets it.
fn of_endpoint(mut exchange: Exchange, answer: Answer) -> Response<ReplyBody> {
    let Answer { response, in_flight } = answer;
    let (mut head, incoming) = response.into_parts();
    exchange.replies(head.status, None);
    if head.headers.contains_key(header::TRANSFER_ENCODING) {
        // The coding has framed the content, and a length beside it may say something else (RFC 9112, 6.3).
        head.headers.remove(header::CONTENT_LENGTH);
    }
    let set = FieldSet::of(&head.headers);
    fields::strip_hop_by_hop(&mut head.headers, set);
    if set.ours {
        head.headers.remove(fields::WROTE);
        head.headers.remove(fields::TRACE);
    }
    let is_last = finish_head(&mut head.headers, &exchange, false);
    let assembly = fragments::begin(&mut exchange, &mut head, incoming.is_end_stream());
    let coder = coder(&exchange, &mut head, incoming.is_end_stream());
    let mut body = ReplyBody { content: Content::Endpoint { incoming, in_flight }, exchange, is_last, assembly, coder };
    if body.is_end_stream() {
        body.end();
    }
    Response::from_parts(head, body)
}

/// What compresses a reply on its way, where its route and its client want that.
fn coder(exchange: &Exchange, head: &mut Parts, is_empty: bool) -> Option<Box<Coder>> {
    let wish = exchange.compress.as_ref().filter(|_| !is_empty)?;
    let room = &exchange.worker.shared.compressions;
    wish.begin(head.status, &mut head.headers, || Arc::clone(room).try_acquire_owned().ok())
}

/// The router's own reply to a request that it could not pass on.
pub(crate) fn of_router(mut exchange: Exchange, failure: Failure) -> Response<ReplyBody> {
    let rescue = failure.rescue();
    // Nothing of it can break off but the client.
    exchange.ends();
    let text = text(&rescue, exchange.traced.context.trace);
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(TEXT));
    if let Some(seconds) = rescue.retry_after_s {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(location) = exchange.location.take() {
        headers.insert(header::LOCATION, *location);
    }
    if rescue.status == http::StatusCode::UNAUTHORIZED
        && let Some(users) = exchange.treatment().and_then(|treatment| treatment.users.as_ref())
    {
        headers.insert(header::WWW_AUTHENTICATE, users.challenge.clone());
    }
    if rescue.status == http::StatusCode::METHOD_NOT_ALLOWED {
        let methods = if matches!(failure, Failure::ReadOnly) { "GET, HEAD" } else { METHODS };
        headers.insert(header::ALLOW, HeaderValue::from_static(methods));
    }
    let (status, text) = match exchange.taken.page.take() {
        None => (rescue.status, text.into()),
        Some(page) => page.reply(rescue.status, &mut headers),
    };
    exchange.replies(status, Some(&failure));
    let is_last = finish_head(&mut headers, &exchange, failure.closes());
    let mut response =
        Response::new(ReplyBody { content: Content::Text(text), exchange, is_last, assembly: None, coder: None });
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// What the router says in its own words, and the kind of it.
pub(crate) fn text(rescue: &Rescue, trace: TraceId) -> String {
    format!("{}\n{}\ntrace {trace}\n", rescue.status, rescue.sentence)
}

/// The media type of [`text`].
pub(crate) const TEXT: &str = "text/plain; charset=utf-8";

/// The router's own reply to a question about itself: JSON that nobody may keep.
pub(crate) fn of_itself(exchange: Exchange, status: StatusCode, said: &impl Serialize) -> Response<ReplyBody> {
    own(exchange, status, "application/json", serde_json::to_vec(said).unwrap_or_default())
}

/// The router's own reply to an authority's question.
pub(crate) fn of_text(exchange: Exchange, said: &str) -> Response<ReplyBody> {
    own(exchange, StatusCode::OK, "application/octet-stream", said.into())
}

fn own(mut exchange: Exchange, status: StatusCode, kind: &'static str, text: Vec<u8>) -> Response<ReplyBody> {
    exchange.replies(status, None);
    exchange.ends();
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let is_last = finish_head(&mut headers, &exchange, false);
    let mut response = Response::new(ReplyBody {
        content: Content::Text(text.into()),
        exchange,
        is_last,
        assembly: None,
        coder: None,
    });
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Adds what the request's route wants to be said. Whether the reply is the connection's last: it leaves content of the
/// request unread, or goes out while the router leaves.
fn finish_head(headers: &mut HeaderMap, exchange: &Exchange, closes: bool) -> bool {
    if let Some(value) = exchange.server_timing() {
        // Beside the application's own.
        headers.append(fields::SERVER_TIMING, value);
    }
    if let Some(hsts) = exchange.hsts() {
        // What the application says itself counts.
        headers.entry(header::STRICT_TRANSPORT_SECURITY).or_insert_with(|| hsts.clone());
    }
    if let Some(rate) = &exchange.taken.rate {
        rate.write(headers);
    }
    if let Some(treatment) = exchange.treatment() {
        treatment.reply(headers);
    }
    let unread = exchange.content_unread() || closes;
    if unread {
        exchange.conn.linger.set(true);
    }
    unread || exchange.worker.phase.get() != Phase::Serving
}
