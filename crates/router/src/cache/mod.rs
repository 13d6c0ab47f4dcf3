//! The shared cache of routes that ask for one (RFC 9111): `http-cache` decides, this drives it.
//!
//! One store and one table of fetches for all workers, behind one lock that is held for look-ups and never while anything is
//! awaited. What is fetched is fetched by a task of its own (`fetch`), on the worker of the request that caused it; that
//! request reads from it like all others (`place`), so that nobody's leaving ends it and nobody's slowness is another's.

mod asking;
mod content;
mod driven;
mod fetch;
mod share;

use std::rc::Rc;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use http_cache::{
    CacheStatus, Conditions, Decision, Forwarded, HeadUpdate, Hit, Key, Policy, Response, Storing, UnixMs,
};

pub(crate) use self::content::{Cached, CachedContent, CutOff};
pub(crate) use self::driven::Cache;

use self::asking::{Asking, key_of};
use self::driven::Found;
use crate::access::{Outcome, What};
use crate::answer;
use crate::exchange::Exchange;
use crate::forward::Outbound;
use crate::reply::Reply;
use crate::rescue::Failure;
use crate::tries::{Destination, Via};
use crate::worker::Worker;

/// How often a request looks again after a fetch brought what is for others.
const ROUNDS_MAX: usize = 3;
/// Our name in `Cache-Status`.
const NAME: &str = "forebay";
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// A request on a route with a cache.
struct Asked<'a> {
    exchange: &'a mut Exchange,
    destination: Destination,
    outbound: Outbound,
    asking: Asking,
    key: Key,
}

/// Answers a request from the route's cache, or fetches its answer.
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
    let is_read = matches!(asking.method, Method::GET | Method::HEAD);
    // Who reads what it wrote reads no copy of before.
    let bypass = !is_read || exchange.has_content || exchange.need.is_some() || destination.via != Via::Route;
    let mut asked = Asked { exchange, destination, outbound, asking, key };
    if bypass {
        let why = if is_read { "bypass" } else { "method" };
        return asked.alone(why).await;
    }
    for _ in 0..ROUNDS_MAX {
        let now = unix_ms(&worker);
        let (decision, found) = cache.look(&asked.asking, asked.outbound.headers(), &asked.key, now);
        let (conditions, why) = match (decision, found) {
            (Decision::Fresh(hit), Some(found)) => return Ok(asked.kept(&found, &hit, None)),
            (Decision::StaleWhileRevalidate(hit, conditions), Some(found)) => {
                share::revalidate(&mut asked, conditions);
                return Ok(asked.kept(&found, &hit, None));
            }
            (Decision::OnlyIfCached, _) => return Err(Failure::OnlyIfCached),
            (Decision::Bypass(why), _) => return asked.alone(why.token()).await,
            (Decision::Miss(why), _) if !why.is_shared() => return asked.alone(why.token()).await,
            (Decision::Miss(why), _) => (Conditions::default(), why),
            (Decision::Revalidate(conditions, why), _) => (conditions, why),
            (Decision::Fresh(_) | Decision::StaleWhileRevalidate(..), None) => continue,
        };
        match share::fetched(&mut asked, conditions, why.token()).await {
            share::Outcome::Given(reply) => return Ok(reply),
            share::Outcome::Failed(failure) => return asked.stale_or(failure),
            share::Outcome::Again => {}
            share::Outcome::Alone => return asked.alone(why.token()).await,
        }
    }
    asked.alone("bypass").await
}

impl Asked<'_> {
    /// A kept answer.
    fn kept(&mut self, found: &Found, hit: &Hit, detail: Option<&str>) -> Reply {
        self.exchange.note(if hit.left_s > 0 { What::CacheHit } else { What::CacheStale });
        let mut cached = content::kept(found, hit, &self.asking.method);
        let status = CacheStatus { cache: NAME, hit_left_s: Some(hit.left_s), forwarded: None, detail };
        say(cached.response.headers_mut(), &status);
        Reply::Cached(Box::new(cached))
    }

    /// A stale answer in place of a failure, where that may be.
    fn stale_or(mut self, failure: Failure) -> Result<Reply, Failure> {
        let worker = Rc::clone(&self.exchange.worker);
        let stale = match failure {
            Failure::Content(_) => None,
            _ => worker.shared.cache.stale(&self.asking, self.outbound_headers(), &self.key, unix_ms(&worker)),
        };
        match stale {
            Some((found, hit)) => Ok(self.kept(&found, &hit, Some("stale-if-error"))),
            None => {
                if self.exchange.taken.page.is_none() && crate::capacity::may_be_replaced(failure) {
                    self.exchange.taken.page = crate::capacity::page(&self.destination.routed);
                }
                Err(failure)
            }
        }
    }

    fn outbound_headers(&self) -> &HeaderMap {
        self.outbound.headers()
    }

    /// Takes the request to the application for itself; what of the answer concerns the cache is taken in.
    async fn alone(self, why: &'static str) -> Result<Reply, Failure> {
        let Asked { exchange, destination, outbound, asking, key } = self;
        let worker = Rc::clone(&exchange.worker);
        let cache = &worker.shared.cache;
        exchange.note(What::CacheMiss(why));
        let headers = asking::copied(outbound.headers());
        let route = Arc::clone(&destination.routed.facts);
        let routed = destination.routed.clone();
        let is_read = matches!(asking.method, Method::GET | Method::HEAD) && !exchange.has_content;
        let began = unix_ms(&worker);
        let result = answer::uncached(exchange, destination, outbound).await;
        let now = unix_ms(&worker);
        let failed = match &result {
            Err(Failure::Content(_)) => false,
            Err(_) => true,
            Ok(Reply::Endpoint(answer)) => Policy::is_failure(answer.response.status()),
            Ok(_) => false,
        };
        if failed
            && is_read
            && why != "bypass"
            && let Some((found, hit)) = cache.stale(&asking, &headers, &key, now)
        {
            exchange.note(What::CacheStale);
            exchange.taken.page = None;
            let mut cached = content::kept(&found, &hit, &asking.method);
            let detail = Some("stale-if-error");
            let status = CacheStatus { cache: NAME, hit_left_s: Some(hit.left_s), forwarded: None, detail };
            say(cached.response.headers_mut(), &status);
            return Ok(Reply::Cached(Box::new(cached)));
        }
        let mut reply = result?;
        let (status, fields) = reply.head_mut();
        let request = asking.view(&headers);
        let news = Response { status, headers: fields };
        for target in asking.policy.invalidates(&request, &news).targets {
            cache.purge(&asking.key_for(&route.name, &target, &headers));
        }
        if is_read && asking.method == Method::HEAD {
            cache.headed(&asking, &headers, &key, &news, (began, now));
        }
        let mut stored = false;
        if is_read
            && why != "bypass"
            && !exchange.fell_back()
            && let Reply::Endpoint(answer) = reply
        {
            match fetch::adopt(&worker, answer, (&asking, headers, &key), (began, now)) {
                fetch::Adopted::Not(answer) => reply = Reply::Endpoint(*answer),
                fetch::Adopted::Kept(cached) => {
                    stored = true;
                    reply = Reply::Cached(cached);
                }
            }
        }
        drop(routed);
        let forwarded = Forwarded { why, status: None, stored, collapsed: false };
        let status = CacheStatus { cache: NAME, hit_left_s: None, forwarded: Some(forwarded), detail: None };
        say(reply.head_mut().1, &status);
        Ok(reply)
    }
}

/// Adds what was done to the list of those before us (RFC 9211 section 2).
fn say(headers: &mut HeaderMap, status: &CacheStatus<'_>) {
    let Some(ours) = status.value() else { return };
    headers.append(CACHE_STATUS, ours);
}

fn unix_ms(worker: &Worker) -> UnixMs {
    UnixMs(worker.clock.wall().0 / 1_000_000)
}
