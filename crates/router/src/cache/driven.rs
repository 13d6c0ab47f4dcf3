//! The store and the table of fetches behind their lock, and the way from a fetch to those who wait for it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;
use http_cache::{
    Decision, FetchId, FetchLimits, FetchTable, HeadUpdate, Hit, Join, Key, Leave, Pushed, Read, Refreshed, Response,
    Shared as Whose, Store, Stored, UnixMs, WaiterId,
};
use stdx::clock::SharedClock;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::asking::{Asking, Waiting};
use super::disk::{DiskFigures, OnDisk, Tier};
use crate::config::Config;
use crate::rescue::Failure;
use crate::shared::Shared;
use crate::start_error::StartError;

/// For so long requests for what could not be shared go alone.
const ALONE_MS: u64 = 10_000;
/// So many such resources are remembered.
const ALONE_MAX: usize = 16_384;

type Chunks = Arc<[Bytes]>;

/// What all routes with a cache share.
pub(crate) struct Cache {
    inner: Mutex<Inner>,
    on_disk: Option<OnDisk>,
}

pub(super) struct Inner {
    pub(super) store: Store<Chunks>,
    pub(super) table: FetchTable<Arc<Waiting>>,
    /// Those who wait for a head.
    turns: HashMap<WaiterId, oneshot::Sender<Turn>>,
    /// Those who wait for more content.
    wakers: HashMap<WaiterId, Waker>,
    /// What ends a fetch that nobody needs.
    ends: HashMap<FetchId, AbortHandle>,
    pub(super) disk: Option<Arc<Tier>>,
}

/// What a waiting request is told.
#[derive(Debug)]
pub(super) enum Turn {
    /// The response is there: everybody's, or its own alone.
    Read(Option<Arc<Stored>>),
    /// What came is for others: it looks again.
    Again,
    Failed(Failure),
}

/// A kept response.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) stored: Arc<Stored>,
    pub(super) chunks: Chunks,
}

/// A request that takes part in a fetch, or not.
#[derive(Debug)]
pub(super) enum Joined {
    /// It is the first: the fetch is to be begun.
    Lead(FetchId, Place, oneshot::Receiver<Turn>),
    Wait(Place, oneshot::Receiver<Turn>),
    Alone,
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}

impl Cache {
    /// What does not stay in memory goes to a folder of `data`, where that is asked for.
    ///
    /// # Errors
    /// When there is no folder, or no thread for it.
    pub(crate) fn open(config: &Config, data: Option<&Path>, clock: &SharedClock) -> Result<Cache, StartError> {
        let on_disk = match (config.cache_disk_bytes_max, data) {
            (0, _) => None,
            (_, None) => return Err(StartError::CacheNowhere),
            (_, Some(data)) => Some(OnDisk::start(config, data, clock)?),
        };
        let limits = FetchLimits {
            fetches_max: config.cache_fetches_max as usize,
            waiters_max: config.cache_waiters_max as usize,
            body_bytes_max: config.cache_object_bytes_max,
            bytes_max: config.cache_arriving_bytes_max,
            alone_ms: ALONE_MS,
            alone_max: ALONE_MAX,
        };
        let mut store = Store::new(config.cache_bytes_max, config.cache_object_bytes_max);
        let disk = on_disk.as_ref().map(|on_disk| Arc::clone(&on_disk.0));
        if disk.is_some() {
            store.collect_evicted();
        }
        let table = FetchTable::new(limits);
        let (turns, wakers, ends) = (HashMap::new(), HashMap::new(), HashMap::new());
        Ok(Cache { inner: Mutex::new(Inner { store, table, turns, wakers, ends, disk }), on_disk })
    }

    pub(super) fn disk(&self) -> Option<&Tier> {
        self.on_disk.as_ref().map(|on_disk| &*on_disk.0)
    }

    /// What its disk has and has done.
    pub(crate) fn disk_figures(&self) -> DiskFigures {
        self.on_disk.as_ref().map(OnDisk::figures).unwrap_or_default()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides about a request; the response that it decides for comes with the decision.
    pub(super) fn look(
        &self,
        asking: &Asking,
        headers: &HeaderMap,
        key: &Key,
        now: UnixMs,
    ) -> (Decision, Option<Found>) {
        let inner = self.lock();
        let decision = asking.policy.on_request(&asking.view(headers), inner.store.get(key), now);
        let variant = match &decision {
            Decision::Fresh(hit) | Decision::StaleWhileRevalidate(hit, _) => Some(hit.variant),
            _ => None,
        };
        (decision, variant.and_then(|variant| inner.found(key, variant)))
    }

    /// What may stand in for an application that fails.
    pub(super) fn stale(&self, asking: &Asking, headers: &HeaderMap, key: &Key, now: UnixMs) -> Option<(Found, Hit)> {
        let inner = self.lock();
        let hit = asking.policy.on_failure(&asking.view(headers), inner.store.get(key), now)?;
        Some((inner.found(key, hit.variant)?, hit))
    }

    /// Forgets all variants of a resource; what of it is on its way is not kept.
    pub(super) fn purge(&self, key: &Key) {
        let mut inner = self.lock();
        inner.store.purge(key);
        inner.table.disown(|one, _| *one == **key);
        if let Some(disk) = &inner.disk {
            disk.forget(key);
        }
    }

    /// Takes in the answer to a HEAD.
    pub(super) fn headed(
        &self,
        asking: &Asking,
        headers: &HeaderMap,
        key: &Key,
        news: &Response<'_>,
        (began, now): (UnixMs, UnixMs),
    ) {
        let mut inner = self.lock();
        let update = asking.policy.on_head(&asking.view(headers), inner.store.get(key), news, began, now);
        match update {
            HeadUpdate::Nothing => {}
            HeadUpdate::Gone(variant) => inner.change(key, variant, None),
            HeadUpdate::Refreshed(refreshed) => inner.change(key, refreshed.variant, Some(Arc::from(refreshed.stored))),
        }
    }

    /// Takes in a 304 to our conditions; the response that it confirms.
    pub(super) fn confirmed(
        &self,
        of: &Waiting,
        key: &Key,
        news: &HeaderMap,
        (began, now): (UnixMs, UnixMs),
    ) -> Option<Found> {
        let mut inner = self.lock();
        let view = of.asking.view(&of.headers);
        let refreshed = of.asking.policy.on_304(&view, inner.store.get(key), news, began, now)?;
        let Refreshed { variant, stored, keep } = refreshed;
        let chunks = inner.found(key, variant)?.chunks;
        let stored: Arc<Stored> = Arc::from(stored);
        inner.change(key, variant, keep.then(|| Arc::clone(&stored)));
        Some(Found { stored, chunks })
    }

    /// A request that wants what is not kept. `anew`: also where the last answer could not be shared.
    pub(super) fn join(shared: &Arc<Shared>, key: &Key, waiting: Arc<Waiting>, now: UnixMs, anew: bool) -> Joined {
        let mut inner = shared.cache.lock();
        if anew {
            inner.table.pardon(key);
        }
        // Its own deadline takes it out again.
        let never = UnixMs(u64::MAX);
        let joined = inner.table.join(key, waiting, never, now, |stored, waiting| waiting.fits(stored));
        let (fetch, waiter, leads) = match joined {
            Join::Lead(fetch, waiter) => (fetch, waiter, true),
            Join::Wait(fetch, waiter) => (fetch, waiter, false),
            Join::Alone | Join::Full => return Joined::Alone,
        };
        let (tell, told) = oneshot::channel();
        match inner.table.stored(fetch).cloned() {
            Some(stored) => tell_turn(tell, Turn::Read(Some(stored))),
            None => {
                inner.turns.insert(waiter, tell);
            }
        }
        drop(inner);
        let place = Place { shared: Arc::clone(shared), waiter };
        if leads { Joined::Lead(fetch, place, told) } else { Joined::Wait(place, told) }
    }

    /// The task of a fetch has begun.
    pub(super) fn begun(&self, fetch: FetchId, end: AbortHandle) {
        self.lock().ends.insert(fetch, end);
    }

    /// The task of a fetch has ended.
    pub(super) fn ended(&self, fetch: FetchId) {
        self.lock().ends.remove(&fetch);
    }

    /// The head of what is fetched is there.
    pub(super) fn head(&self, fetch: FetchId, whose: &Whose, now: UnixMs) {
        let mut inner = self.lock();
        let woken = inner.table.head(fetch, whose, now, |stored, waiting| waiting.fits(stored));
        let stored = match whose {
            Whose::Yes(stored) => Some(stored),
            Whose::No => None,
        };
        for waiter in &woken.ready {
            inner.tell(*waiter, Turn::Read(stored.map(Arc::clone)));
        }
        for waiter in &woken.released {
            inner.tell(*waiter, Turn::Again);
        }
    }

    /// A piece of content came.
    pub(super) fn push(&self, fetch: FetchId, piece: Bytes, now: UnixMs) -> Pushed {
        let mut inner = self.lock();
        let pushed = inner.table.push(fetch, piece, now);
        let wakers = inner.wakers(&pushed.wake);
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
        pushed
    }

    /// Whether a fetch that is ahead of all its readers may go on.
    pub(super) fn may_resume(&self, fetch: FetchId) -> bool {
        self.lock().table.may_resume(fetch)
    }

    /// The content is complete; it is kept before anybody can find it neither arriving nor kept.
    pub(super) fn finish(&self, fetch: FetchId, keep: Option<(&Key, Stored)>) {
        let mut inner = self.lock();
        let (chunks, wake) = inner.table.finish(fetch);
        if let (Some((key, mut stored)), Some(chunks)) = (keep, chunks) {
            let bytes = chunks.iter().map(|chunk| chunk.len() as u64).sum();
            stored.set_body_bytes(bytes);
            let stored = Arc::new(stored);
            inner.outdated(key, &stored);
            inner.store.insert(key, stored, chunks.into(), bytes);
            inner.hand_over();
        }
        let wakers = inner.wakers(&wake);
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// There will be no more of it.
    pub(super) fn fail(&self, fetch: FetchId, failure: Failure) {
        let mut inner = self.lock();
        let woken = inner.table.fail(fetch);
        for waiter in &woken.released {
            inner.tell(*waiter, Turn::Failed(failure));
        }
        let wakers = inner.wakers(&woken.ready);
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Inner {
    fn found(&self, key: &Key, variant: usize) -> Option<Found> {
        let entry = self.store.get(key).get(variant)?;
        self.store.touch(entry);
        Some(Found { stored: Arc::clone(entry.stored()), chunks: Arc::clone(entry.body()) })
    }

    /// Gives a variant another head; `None`: it goes.
    fn change(&mut self, key: &Key, variant: usize, stored: Option<Arc<Stored>>) {
        let Some(entry) = self.store.get(key).get(variant) else { return };
        let id = entry.id();
        self.outdated(key, entry.stored());
        match stored {
            Some(stored) => {
                self.outdated(key, &stored);
                self.store.refresh(id, stored)
            }
            None => self.store.remove(id),
        };
        self.hand_over();
    }

    /// What the disk has of a response is not the newest any more.
    fn outdated(&self, key: &Key, stored: &Stored) {
        if let Some(disk) = &self.disk {
            disk.outdated(key, stored);
        }
    }

    /// Gives the disk what had to leave.
    pub(super) fn hand_over(&mut self) {
        if let Some(disk) = &self.disk {
            self.store.take_evicted().into_iter().for_each(|evicted| disk.offer(evicted));
        }
    }

    fn tell(&mut self, waiter: WaiterId, turn: Turn) {
        if let Some(tell) = self.turns.remove(&waiter) {
            tell_turn(tell, turn);
        }
    }

    fn wakers(&mut self, waiters: &[WaiterId]) -> Vec<Waker> {
        waiters.iter().filter_map(|waiter| self.wakers.remove(waiter)).collect()
    }
}

fn tell_turn(tell: oneshot::Sender<Turn>, turn: Turn) {
    if let Err(turn) = tell.send(turn) {
        tracing::trace!(?turn, "nobody waits for it any more");
    }
}

/// The place of one request in a fetch; without it the request has left.
pub(crate) struct Place {
    shared: Arc<Shared>,
    waiter: WaiterId,
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Place").field("waiter", &self.waiter).finish_non_exhaustive()
    }
}

impl Place {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Read> {
        let mut inner = self.shared.cache.lock();
        match inner.table.read(self.waiter) {
            Read::Nothing => {
                inner.wakers.insert(self.waiter, cx.waker().clone());
                Poll::Pending
            }
            read => Poll::Ready(read),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inner = self.shared.cache.lock();
        inner.turns.remove(&self.waiter);
        inner.wakers.remove(&self.waiter);
        let end = match inner.table.leave(self.waiter) {
            Leave::Abort(fetch) => inner.ends.remove(&fetch),
            Leave::Continue => None,
        };
        drop(inner);
        if let Some(end) = end {
            end.abort();
        }
    }
}
