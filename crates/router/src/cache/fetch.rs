//! One fetch: a task of its own, on the worker of the request that caused it and independent of that request.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use http_cache::{Conditions, FetchId, Key, Policy, Shared as Whose, Stored, Storing, UnixMs};
use tokio::task::spawn_local;

use super::asking::{Asking, Waiting, copied};
use super::content;
use super::driven::{Cache, Found, Joined};
use super::share::Hand;
use super::{Asked, unix_ms};
use crate::access::Outcome;
use crate::capacity;
use crate::exchange::{Exchange, Learned};
use crate::fields::{self, FieldSet};
use crate::forward::Answer;
use crate::outbound::Outbound;
use crate::reply::Reply;
use crate::rescue::Failure;
use crate::shared::Shared;
use crate::spare;
use crate::tries::Destination;
use crate::worker::Worker;

/// How often a fetch that is ahead of all its readers looks whether they have read.
const AHEAD_LOOK: Duration = Duration::from_millis(5);

/// What only the request gets that caused the fetch.
#[derive(Debug)]
pub(super) struct Handed {
    pub(super) learned: Learned,
    /// The answer, where it cannot be shared.
    pub(super) answer: Option<Box<Answer>>,
    /// The head as it came, where it is shared.
    pub(super) came: Option<(StatusCode, HeaderMap)>,
    /// What was kept still holds.
    pub(super) confirmed: bool,
}

/// A fetch under way. However its task ends, those who wait are told.
struct Fetch {
    shared: Arc<Shared>,
    id: FetchId,
    failure: Option<Failure>,
}

impl Drop for Fetch {
    fn drop(&mut self) {
        let cache = &self.shared.cache;
        cache.ended(self.id);
        if let Some(failure) = self.failure {
            cache.fail(self.id, failure);
        }
    }
}

impl Fetch {
    fn new(shared: &Arc<Shared>, id: FetchId) -> Fetch {
        Fetch { shared: Arc::clone(shared), id, failure: Some(Failure::NoReply(Outcome::Died)) }
    }

    fn done(&mut self) {
        self.failure = None;
    }
}

/// What a fetch asks.
struct Errand {
    exchange: Exchange,
    destination: Destination,
    outbound: Outbound,
    waiting: Arc<Waiting>,
    conditions: Conditions,
    key: Key,
    hand: Hand,
}

/// Begins a fetch; without the request's own copy of itself there is none, and who waits is told.
pub(super) fn begin(asked: &Asked<'_>, id: FetchId, waiting: Arc<Waiting>, conditions: Conditions, hand: &Hand) {
    let worker = Rc::clone(&asked.exchange.worker);
    let fetch = Fetch::new(&worker.shared, id);
    let Some(outbound) = asked.outbound.copy() else { return };
    let errand = Errand {
        exchange: asked.exchange.aside(&asked.destination.routed),
        destination: asked.destination.clone(),
        outbound,
        waiting,
        conditions,
        key: Arc::clone(&asked.key),
        hand: Rc::clone(hand),
    };
    let task = spawn_local(run(fetch, errand));
    worker.shared.cache.begun(id, task.abort_handle());
}

async fn run(mut fetch: Fetch, mut errand: Errand) {
    let worker = Rc::clone(&errand.exchange.worker);
    let cache = &fetch.shared.cache;
    let mut began = unix_ms(&worker);
    let conditions = std::mem::take(&mut errand.conditions);
    let mut result = errand.ask(&conditions).await;
    if let Ok(answer) = &result
        && answer.response.status() == StatusCode::NOT_MODIFIED
        && !conditions.is_empty()
    {
        let news = stripped(answer.response.headers());
        let times = (began, unix_ms(&worker));
        if let Some(found) = cache.confirmed(&errand.waiting, &errand.key, &news, times) {
            if let Ok(answer) = result {
                spare::discard(&worker, answer);
            }
            errand.hand(None, None, true);
            pass_on(&fetch, found, unix_ms(&worker));
            return fetch.done();
        }
        began = unix_ms(&worker);
        result = errand.ask(&Conditions::default()).await;
    }
    let answer = match result {
        Ok(answer) => answer,
        Err(failure) => {
            errand.hand(None, None, false);
            fetch.failure = Some(failure);
            return;
        }
    };
    let now = unix_ms(&worker);
    let Waiting { asking, headers } = &*errand.waiting;
    let status = answer.response.status();
    if Policy::is_failure(status) && cache.stale(asking, headers, &errand.key, now).is_some() {
        spare::discard(&worker, answer);
        errand.hand(None, None, false);
        fetch.failure = Some(Failure::NoReply(Outcome::Answered(status.as_u16())));
        return;
    }
    let storing = storing(&worker, asking, headers, &answer, (began, now));
    match storing.filter(|_| !errand.exchange.fell_back()) {
        Some((stored, came)) => {
            errand.hand(None, Some((status, came)), false);
            pour(fetch, &worker, answer, *stored, &errand.key).await;
        }
        None => {
            errand.hand(Some(Box::new(answer)), None, false);
            cache.head(fetch.id, &Whose::No, now);
            fetch.done();
        }
    }
}

impl Errand {
    /// Asks the application, as the request would have.
    async fn ask(&mut self, conditions: &Conditions) -> Result<Answer, Failure> {
        let mut outbound = self.outbound.copy().ok_or(Failure::NoReply(Outcome::Abandoned))?;
        conditions.apply(&mut outbound.head.headers);
        capacity::run(&mut self.exchange, self.destination.clone(), outbound).await
    }

    fn hand(&mut self, answer: Option<Box<Answer>>, came: Option<(StatusCode, HeaderMap)>, confirmed: bool) {
        let shares = answer.is_none() && (came.is_some() || confirmed);
        let mut learned = self.exchange.learned();
        if shares {
            // The place among those under way is the fetch's for as long as it lasts.
            std::mem::swap(&mut self.exchange.taken.permit, &mut learned.taken.permit);
            std::mem::swap(&mut self.exchange.taken.permit_upstream, &mut learned.taken.permit_upstream);
        }
        self.hand.replace(Some(Handed { learned, answer, came, confirmed }));
    }
}

/// A head as it goes on.
fn stripped(headers: &HeaderMap) -> HeaderMap {
    let mut headers = copied(headers);
    let set = FieldSet::of(&headers);
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    fields::strip_hop_by_hop(&mut headers, set);
    if set.ours {
        headers.remove(fields::WROTE);
        headers.remove(fields::TRACE);
    }
    headers
}

/// What would be kept of an answer, and its head as it goes on; `None` where it is not kept.
fn storing(
    worker: &Worker,
    asking: &Asking,
    headers: &HeaderMap,
    answer: &Answer,
    (began, now): (UnixMs, UnixMs),
) -> Option<(Box<Stored>, HeaderMap)> {
    let fields = stripped(answer.response.headers());
    let response = http_cache::Response { status: answer.response.status(), headers: &fields };
    let Storing::Store(mut stored) = asking.policy.on_response(&asking.view(headers), &response, began, now) else {
        return None;
    };
    let length = http_body::Body::size_hint(answer.response.body()).exact();
    if length.is_some_and(|length| length > worker.shared.config.cache_object_bytes_max) {
        return None;
    }
    stored.set_body_bytes(length.unwrap_or(0));
    Some((stored, fields))
}

/// Gives what was kept and still holds to all who wait.
fn pass_on(fetch: &Fetch, found: Found, now: UnixMs) {
    let cache = &fetch.shared.cache;
    cache.head(fetch.id, &Whose::Yes(found.stored), now);
    for chunk in &*found.chunks {
        cache.push(fetch.id, chunk.clone(), now);
    }
    cache.finish(fetch.id, None);
}

/// Reads an answer to its end, for the cache and for all who read along.
async fn pour(mut fetch: Fetch, worker: &Worker, answer: Answer, stored: Stored, key: &Key) {
    let Answer { response, in_flight } = answer;
    let cache = &fetch.shared.cache;
    let id = fetch.id;
    cache.head(id, &Whose::Yes(Arc::new(stored.clone())), unix_ms(worker));
    let mut incoming = response.into_body();
    let patience = Duration::from_millis(worker.shared.config.reply_idle_timeout_ms.into());
    loop {
        let Ok(frame) = tokio::time::timeout(patience, incoming.frame()).await else { return };
        let Some(frame) = frame else { break };
        let Ok(frame) = frame else { return };
        let Ok(piece) = frame.into_data() else { continue };
        // In memory of its own: what is kept must not hold the buffer that it was read into.
        let pushed = cache.push(id, Bytes::copy_from_slice(&piece), unix_ms(worker));
        if pushed.abort {
            return;
        }
        while pushed.pause && !cache.may_resume(id) {
            tokio::time::sleep(AHEAD_LOOK).await;
        }
    }
    worker.pool.put(in_flight.way(), incoming, worker.now());
    drop(in_flight);
    fetch.failure = None;
    fetch.shared.cache.finish(id, Some((key, stored)));
}

/// Keeps an answer that turns out to be everybody's: from here on it is a fetch like any other.
pub(super) fn adopt(
    worker: &Rc<Worker>,
    answer: Answer,
    (asking, headers, key): (&Asking, HeaderMap, &Key),
    times: (UnixMs, UnixMs),
) -> Reply {
    let Some((stored, came)) = storing(worker, asking, &headers, &answer, times) else {
        return Reply::Endpoint(answer);
    };
    let waiting = Arc::new(Waiting { asking: asking.clone(), headers });
    let joined = Cache::join(&worker.shared, key, Arc::clone(&waiting), times.1, true);
    let Joined::Lead(id, place, _) = joined else { return Reply::Endpoint(answer) };
    let status = answer.response.status();
    let hit = asking.policy.answer(&asking.view(&waiting.headers), 0, &stored, times.1);
    let cached = content::arriving(&stored, &hit, place, Some((status, came)));
    let fetch = Fetch::new(&worker.shared, id);
    let (pouring, key) = (Rc::clone(worker), Arc::clone(key));
    let task = spawn_local(async move { pour(fetch, &pouring, answer, *stored, &key).await });
    worker.shared.cache.begun(id, task.abort_handle());
    Reply::Cached(Box::new(cached))
}
