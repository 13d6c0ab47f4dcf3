//! The shared cache of routes that ask for one (RFC 9111): `http-cache` decides, this drives it.
//!
//! One store and one table of fetches for all workers, behind one lock that is held for look-ups and never while anything is
//! awaited. What is fetched is fetched by a task of its own (`fetch`), on the worker of the request that caused it; that
//! request reads from it like all others (`place`), so that nobody's leaving ends it and nobody's slowness is another's.

mod asking;
mod content;
mod disk;
mod driven;
mod fetch;
mod purge;
mod share;

use std::rc::Rc;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, Method};
use http_cache::{CacheStatus, Conditions, Decision, Forwarded, Hit, Key, Policy, Response, UnixMs};

pub(crate) use self::asking::copied;
pub(crate) use self::content::{Cached, CachedContent, CutOff};
pub(crate) use self::driven::Cache;
pub(crate) use self::purge::PurgeError;

use self::asking::{Asking, key_of};
use self::driven::Found;
use stdx::clock::SharedClock;

use crate::access::What;
use crate::answer;
use crate::capacity;
use crate::exchange::Exchange;
use crate::outbound::Outbound;
use crate::reply::Reply;
use crate::rescue::Failure;
use crate::route::Routed;
use crate::tries::{Destination, Via};
use crate::worker::Worker;

/// How often a request looks again after a fetch brought what is for others.
const ROUNDS_MAX: usize = 3;
/// Our name in `Cache-Status`.
const NAME: &str = "forebay";
/// What is said of requests that the cache has no part in (RFC 9211 section 2.2).
const BYPASS: &str = "bypass";
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// A request on a route with a cache.
struct Asked<'a> {
    exchange: &'a mut Exchange,
    destination: Destination,
    outbound: Outbound,
    asking: Asking,
    key: Key,
}

/// Answers a request from the route's cache, or fetches its answer. What only fetches need is in memory of its own, so that a
/// hit does not carry it about.
///
/// # Errors
/// Why the router has to answer itself.
pub(crate) async fn run(
    exchange: &mut Exchange,
    destination: Destination,
    outbound: Outbound,
    policy: &Arc<Policy>,
) -> Result<Reply, Failure> {
    let worker = Rc::clone(&exchange.worker);
    let cache = &worker.shared.cache;
    let asking = Asking::of(exchange, &outbound, policy);
    let key = key_of(&destination.routed.facts.name, &asking, outbound.headers());
    let is_read = asking.is_read();
    // Who reads what it wrote reads no copy of before; a tunnel is nobody else's.
    let special = exchange.has_content || exchange.need.is_some() || outbound.upgrades;
    let bypass = !is_read || special || destination.via != Via::Route;
    let mut asked = Asked { exchange, destination, outbound, asking, key };
    if bypass {
        let why = if is_read { BYPASS } else { "method" };
        return Box::pin(asked.alone(why)).await;
    }
    let (mut asks_disk, mut detail) = (cache.disk().is_some(), None);
    for _ in 0..ROUNDS_MAX {
        let now = unix_ms(&worker);
        let (mut decision, mut found) = cache.look(&asked.asking, asked.outbound.headers(), &asked.key, now);
        if asks_disk && disk::may_help(&decision) {
            asks_disk = false;
            if Box::pin(cache.promote(&asked.asking, asked.outbound.headers(), &asked.key)).await {
                detail = Some("DISK");
                (decision, found) = cache.look(&asked.asking, asked.outbound.headers(), &asked.key, unix_ms(&worker));
            }
        }
        let (conditions, why) = match (decision, found) {
            (Decision::Fresh(hit), Some(found)) => {
                return Ok(kept(asked.exchange, &asked.asking.method, &found, &hit, detail));
            }
            (Decision::StaleWhileRevalidate(hit, conditions), Some(found)) => {
                share::revalidate(&mut asked, conditions);
                return Ok(kept(asked.exchange, &asked.asking.method, &found, &hit, detail));
            }
            (Decision::OnlyIfCached, _) => return Err(Failure::OnlyIfCached),
            (Decision::Bypass(why), _) => return Box::pin(asked.alone(why.token())).await,
            (Decision::Miss(why), _) if !why.is_shared() => return Box::pin(asked.alone(why.token())).await,
            (Decision::Miss(why), _) => (Conditions::default(), why),
            (Decision::Revalidate(conditions, why), _) => (conditions, why),
            // Both were looked for under one lock.
            (Decision::Fresh(_) | Decision::StaleWhileRevalidate(..), None) => {
                return Box::pin(asked.alone(BYPASS)).await;
            }
        };
        if let Some(slot) = &asked.exchange.fragment
            && let Some((found, _)) = cache.stale(&asked.asking, asked.outbound.headers(), &asked.key, now)
        {
            let nests = asked.exchange.may_nest(found.stored.headers());
            slot.offer(&found.stored, found.chunks, nests);
        }
        match Box::pin(share::fetched(&mut asked, conditions, why.token())).await {
            share::Outcome::Given(reply) => return Ok(*reply),
            share::Outcome::Failed(failure) => return asked.stale_or(failure),
            share::Outcome::Again => {}
            share::Outcome::Alone => return Box::pin(asked.alone(why.token())).await,
        }
    }
    Box::pin(asked.alone(BYPASS)).await
}

impl Asked<'_> {
    /// A stale answer in place of a failure, where that may be.
    fn stale_or(self, failure: Failure) -> Result<Reply, Failure> {
        let Asked { exchange, destination, outbound, asking, key } = self;
        if !capacity::may_be_replaced(failure) {
            return Err(failure);
        }
        if let Some(reply) = stale(exchange, &asking, outbound.headers(), &key) {
            return Ok(reply);
        }
        if exchange.taken.page.is_none() {
            exchange.taken.page = capacity::page(&destination.routed);
        }
        Err(failure)
    }

    /// Takes the request to the application for itself; what of the answer concerns the cache is taken in.
    async fn alone(self, why: &'static str) -> Result<Reply, Failure> {
        let Asked { exchange, destination, outbound, asking, key } = self;
        let worker = Rc::clone(&exchange.worker);
        exchange.note(What::CacheMiss(why));
        let headers = asking::copied(outbound.headers());
        let (route, host) = (Arc::clone(&destination.routed.facts), destination.host.clone());
        let takes_part = asking.is_read() && !exchange.has_content && why != BYPASS;
        let began = unix_ms(&worker);
        let result = answer::uncached(exchange, destination, outbound).await;
        let failed = match &result {
            Err(failure) => capacity::may_be_replaced(*failure),
            Ok(Reply::Endpoint(answer)) => Policy::is_failure(answer.response.status()),
            Ok(_) => false,
        };
        if failed
            && takes_part
            && let Some(reply) = stale(exchange, &asking, &headers, &key)
        {
            return Ok(reply);
        }
        let mut reply = result?;
        let times = (began, unix_ms(&worker));
        let (status, fields) = reply.head_mut();
        let news = Response { status, headers: fields };
        for target in asking.policy.invalidates(&asking.view(&headers), &news).targets {
            // What another address of the host has may be another route's.
            let of_target =
                Routed::find(&worker.snapshot(), &host, path_of(&target)).map(|found| Arc::clone(&found.facts));
            let route = of_target.as_ref().unwrap_or(&route);
            worker.shared.cache.purge(&asking.key_for(&route.name, &target, &headers));
        }
        if takes_part && asking.method == Method::HEAD {
            worker.shared.cache.headed(&asking, &headers, &key, &news, times);
        }
        let mut stored = false;
        if takes_part && !exchange.fell_back() {
            reply = match reply {
                Reply::Endpoint(answer) => fetch::adopt(&worker, answer, (&asking, headers, &key), times),
                reply => reply,
            };
            stored = matches!(reply, Reply::Cached(_));
        }
        let forwarded = Forwarded { why, status: None, stored, collapsed: false };
        say(reply.head_mut().1, None, Some(forwarded), None);
        Ok(reply)
    }
}

fn path_of(target: &str) -> &str {
    target.split('?').next().unwrap_or_default()
}

/// A kept answer.
fn kept(exchange: &mut Exchange, method: &Method, found: &Found, hit: &Hit, detail: Option<&str>) -> Reply {
    exchange.note(if hit.left_s > 0 { What::CacheHit } else { What::CacheStale });
    let mut cached = content::kept(found, hit, method);
    say(cached.response.headers_mut(), Some(hit.left_s), None, detail);
    Reply::Cached(Box::new(cached))
}

/// A kept answer in place of a failure.
fn stale(exchange: &mut Exchange, asking: &Asking, headers: &HeaderMap, key: &Key) -> Option<Reply> {
    let worker = Rc::clone(&exchange.worker);
    let (found, hit) = worker.shared.cache.stale(asking, headers, key, unix_ms(&worker))?;
    exchange.taken.page = None;
    Some(kept(exchange, &asking.method, &found, &hit, Some("stale-if-error")))
}

/// Adds what was done to the list of those before us (RFC 9211 section 2).
fn say(headers: &mut HeaderMap, hit_left_s: Option<i64>, forwarded: Option<Forwarded>, detail: Option<&str>) {
    let status = CacheStatus { cache: NAME, hit_left_s, forwarded, detail };
    if let Some(ours) = status.value() {
        headers.append(CACHE_STATUS, ours);
    }
}

fn unix_ms(worker: &Worker) -> UnixMs {
    wall_ms(&worker.clock)
}

fn wall_ms(clock: &SharedClock) -> UnixMs {
    UnixMs(clock.wall().0 / 1_000_000)
}
