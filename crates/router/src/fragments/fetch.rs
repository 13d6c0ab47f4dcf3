//! One fragment: a request as any client could send it, on a task of its own.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use esi::{Failure, Why};
use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT, FORWARDED, HOST,
    IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, ORIGIN, PROXY_AUTHORIZATION, RANGE,
    UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::address::Address;
use super::slot::{Arrival, Body, Desk};
use super::{SURROGATE_CAPABILITY, Slot, UNIT_BYTES, Vantage};
use crate::access::What;
use crate::answer;
use crate::exchange::Exchange;
use crate::fields::{self, FORWARDED_HOST, FieldSet, TRACEPARENT, TRACESTATE};
use crate::reply::ReplyBody;

/// What concerns the page's own content and connection.
const OF_PAGE: [HeaderName; 20] = [
    ACCEPT_ENCODING,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    EXPECT,
    IF_MATCH,
    IF_MODIFIED_SINCE,
    IF_NONE_MATCH,
    IF_RANGE,
    IF_UNMODIFIED_SINCE,
    ORIGIN,
    PROXY_AUTHORIZATION,
    RANGE,
    SURROGATE_CAPABILITY,
    TRACEPARENT,
    TRACESTATE,
    UPGRADE,
    fields::GRPC_TIMEOUT,
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("content-digest"),
];
/// What concerns the page's host.
const OF_HOST: [HeaderName; 4] = [AUTHORIZATION, COOKIE, FORWARDED, FORWARDED_HOST];

/// A fragment to fetch.
pub(super) struct Errand {
    pub(super) vantage: Vantage,
    pub(super) head: Parts,
    pub(super) slot: Rc<Slot>,
    pub(super) desk: Rc<Desk>,
    /// As the page counts it.
    pub(super) fetch: usize,
    pub(super) bytes_max: u64,
}

/// The fields of a client's request that its fragments' requests have too.
pub(super) fn shared_fields(mut headers: HeaderMap) -> HeaderMap {
    let set = FieldSet::of(&headers);
    fields::strip_hop_by_hop(&mut headers, set);
    for name in OF_PAGE {
        headers.remove(name);
    }
    headers
}

/// The request for a fragment; `None` where none can be made of its address.
pub(super) fn head(address: &Address, shared: &HeaderMap) -> Option<Parts> {
    let (mut head, ()) = Request::new(()).into_parts();
    head.method = Method::GET;
    head.version = Version::HTTP_11;
    head.uri = Uri::try_from(&*address.target).ok()?;
    head.headers = shared.clone();
    if !address.same_host {
        for name in OF_HOST {
            head.headers.remove(name);
        }
    }
    head.headers.insert(HOST, HeaderValue::from_str(&address.authority).ok()?);
    Some(head)
}

/// Fetches it, and says so.
pub(super) async fn run(errand: Errand) {
    let Errand { vantage, head, slot, desk, fetch, bytes_max } = errand;
    let worker = Rc::clone(&vantage.worker);
    let set = FieldSet::of(&head.headers);
    let exchange = Exchange::of_fragment(&vantage, &head, set, Rc::clone(&slot));
    let (head, mut body) = answer::finish(exchange, head, set, None).await.into_parts();
    let is_good = head.status.is_success() && !head.headers.contains_key(CONTENT_ENCODING);
    let outcome = if is_good {
        let nests = body.may_nest(&head.headers);
        let all = collect(&mut body, nests, bytes_max, &worker.shared.fragments);
        timeout(slot.longest, all).await.unwrap_or(Err(Failure::Failed))
    } else {
        Err(Failure::Failed)
    };
    let at = worker.now();
    if let Some(late) = slot.late.get() {
        let ms = millis(at.since(late.since));
        body.note(What::FragmentLate(if late.by_page { Why::Slower(ms) } else { Why::Over(ms) }));
    }
    drop(body);
    desk.arrive(Arrival { fetch, at, outcome });
}

async fn collect(body: &mut ReplyBody, nests: bool, bytes_max: u64, room: &Arc<Semaphore>) -> Result<Body, Failure> {
    let mut all = Body { bytes: Vec::new(), nests, permit: None };
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame.map_err(drop).and_then(|frame| frame.into_data().map_err(drop)) else {
            // Trailers say nothing of the content.
            if http_body::Body::is_end_stream(body) { break } else { return Err(Failure::Failed) }
        };
        if (all.bytes.len() + piece.len()) as u64 > bytes_max {
            return Err(Failure::Failed);
        }
        all.make_room(&piece, room).ok_or(Failure::Failed)?;
        all.bytes.extend_from_slice(&piece);
    }
    Ok(all)
}

impl Body {
    /// Takes room for a piece; `None` where there is none.
    fn make_room(&mut self, piece: &Bytes, room: &Arc<Semaphore>) -> Option<()> {
        let have = self.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let units = super::permits((self.bytes.len() + piece.len()) as u64 + UNIT_BYTES - 1).saturating_sub(have);
        let more = Arc::clone(room).try_acquire_many_owned(u32::try_from(units).ok()?).ok()?;
        match &mut self.permit {
            None => self.permit = Some(more),
            Some(permit) => permit.merge(more),
        }
        Some(())
    }
}

/// Whole milliseconds.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
