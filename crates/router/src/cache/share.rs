//! Taking part in a fetch: as the request that causes it, or as one of those that find it under way.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use http_cache::{Conditions, Forwarded, Stored};
use tokio::sync::oneshot;

use super::asking::{Waiting, copied};
use super::content;
use super::driven::{Cache, Joined, Place, Turn};
use super::fetch::{self, Handed};
use super::{Asked, say, unix_ms};
use crate::access::What;
use crate::capacity;
use crate::reply::Reply;
use crate::rescue::Failure;

/// What came of it.
pub(super) enum Outcome {
    Given(Box<Reply>),
    Failed(Failure),
    /// What came is for others.
    Again,
    /// It is not to be shared.
    Alone,
}

/// Where a fetch leaves what only the request that caused it gets; both are on one worker.
pub(super) type Hand = Rc<RefCell<Option<Handed>>>;

/// Begins a fetch that nobody waits for, unless there is one already.
pub(super) fn revalidate(asked: &mut Asked<'_>, conditions: Conditions) {
    let worker = Rc::clone(&asked.exchange.worker);
    let waiting = waiting(asked);
    let joined = Cache::join(&worker.shared, &asked.key, Arc::clone(&waiting), unix_ms(&worker), false);
    if let Joined::Lead(id, place, _) = joined {
        fetch::begin(asked, id, waiting, conditions, &Hand::default());
        drop(place);
    }
}

/// Waits for a fetch, within the request's deadline.
pub(super) async fn fetched(asked: &mut Asked<'_>, conditions: Conditions, why: &'static str) -> Outcome {
    let worker = Rc::clone(&asked.exchange.worker);
    let left = match asked.exchange.time_left(worker.now()) {
        Ok(left) => left,
        Err(failure) => return Outcome::Failed(failure),
    };
    let waiting = waiting(asked);
    let hand = Hand::default();
    let joined = Cache::join(&worker.shared, &asked.key, Arc::clone(&waiting), unix_ms(&worker), false);
    let (place, told, leads) = match joined {
        Joined::Alone => return Outcome::Alone,
        Joined::Wait(place, told) => (place, told, false),
        Joined::Lead(id, place, told) => {
            fetch::begin(asked, id, waiting, conditions, &hand);
            (place, told, true)
        }
    };
    let turn = match tokio::time::timeout(left, told).await {
        Err(_) => Turn::Failed(Failure::Deadline),
        Ok(Err(oneshot::error::RecvError { .. })) => Turn::Failed(Failure::NoReply(crate::access::Outcome::Died)),
        Ok(Ok(turn)) => turn,
    };
    let handed = hand.take();
    match turn {
        Turn::Read(Some(stored)) => given(asked, place, &stored, handed, leads, why),
        Turn::Read(None) => own(asked, handed, why),
        Turn::Again => Outcome::Again,
        Turn::Failed(failure) => {
            if let Some(handed) = handed {
                let taken = asked.exchange.learn(handed.learned);
                asked.exchange.taken.page = taken.page;
                asked.exchange.taken.rate = taken.rate;
            }
            Outcome::Failed(failure)
        }
    }
}

fn waiting(asked: &Asked<'_>) -> Arc<Waiting> {
    Arc::new(Waiting { asking: asked.asking.clone(), headers: copied(asked.outbound.headers()) })
}

/// The response is everybody's whom it fits.
fn given(
    asked: &mut Asked<'_>,
    place: Place,
    stored: &Stored,
    handed: Option<Handed>,
    leads: bool,
    why: &'static str,
) -> Outcome {
    let (came, status) = match handed {
        None => (None, None),
        Some(handed) => {
            let taken = asked.exchange.learn(handed.learned);
            asked.exchange.taken.rate = taken.rate;
            (handed.came, handed.confirmed.then_some(304))
        }
    };
    asked.exchange.note(if leads { What::CacheMiss(why) } else { What::CacheShared });
    let now = unix_ms(&asked.exchange.worker);
    let hit = asked.asking.policy.answer(&asked.asking.view(asked.outbound.headers()), 0, stored, now);
    let mut cached = content::arriving(stored, &hit, place, came);
    let forwarded = Forwarded { why, status, stored: leads, collapsed: !leads };
    say(cached.response.headers_mut(), None, Some(forwarded), None);
    Outcome::Given(Box::new(Reply::Cached(Box::new(cached))))
}

/// The response is this request's alone, which takes over what it holds.
fn own(asked: &mut Asked<'_>, handed: Option<Handed>, why: &'static str) -> Outcome {
    let Some(Handed { answer: Some(mut answer), learned, .. }) = handed else { return Outcome::Again };
    asked.exchange.taken = asked.exchange.learn(learned);
    asked.exchange.note(What::CacheMiss(why));
    capacity::stick(&asked.destination.routed, &asked.exchange.taken, &mut answer);
    let forwarded = Forwarded { why, status: None, stored: false, collapsed: false };
    say(answer.response.headers_mut(), None, Some(forwarded), None);
    Outcome::Given(Box::new(Reply::Endpoint(*answer)))
}
