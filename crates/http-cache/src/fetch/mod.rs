//! Many requests for one cold object become one fetch that none of them owns.
//!
//! The fetch is a task of its own: it survives the client that caused it, its bytes go to whoever waits at the pace of each,
//! and the slowest never slows the others. Waiting before the header section is there is bounded in number and by each
//! waiter's own deadline. What turns out not to be shareable releases everybody at once, and the next requests for it do not
//! queue up again.
//!
//! A driver holds the table behind a lock, keeps a waker per [`WaiterId`], and calls: [`FetchTable::join`] per request;
//! [`FetchTable::head`], [`FetchTable::push`] and [`FetchTable::finish`] or [`FetchTable::fail`] from the fetch;
//! [`FetchTable::read`] and [`FetchTable::leave`] per waiter; [`FetchTable::expire`] by the clock.

mod alone;
mod answers;
mod disown;
mod flow;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;

use crate::key::Key;
use crate::stored::Stored;
use crate::time::UnixMs;
use alone::{Alone, Cause};
pub use answers::{FetchId, FetchLimits, Join, Leave, Pushed, Shared, WaiterId, Woken};
use flow::Flow;
pub use flow::Read;

struct Fetch<W> {
    key: Key,
    leader: WaiterId,
    /// Those whose turn has not come.
    waiting: BTreeMap<WaiterId, Waiting<W>>,
    /// `None` until the header section is there.
    flow: Option<Flow>,
    /// Whether the response is shared; set with `flow`.
    stored: Option<Arc<Stored>>,
    /// What it brings was purged on its way.
    disowned: bool,
}

struct Waiting<W> {
    request: W,
    deadline: UnixMs,
}

/// The fetches under way. `W` is what is kept of a waiting request, to see later whether the response fits it.
pub struct FetchTable<W> {
    limits: FetchLimits,
    fetches: HashMap<FetchId, Fetch<W>>,
    by_key: HashMap<Key, Vec<FetchId>>,
    waiters: HashMap<WaiterId, FetchId>,
    deadlines: BTreeSet<(UnixMs, WaiterId)>,
    alone: Alone,
    numbers: u64,
    /// Of all flows.
    bytes: u64,
}

impl<W> FetchTable<W> {
    /// An empty table.
    #[must_use]
    pub fn new(limits: FetchLimits) -> FetchTable<W> {
        FetchTable {
            limits,
            fetches: HashMap::new(),
            by_key: HashMap::new(),
            waiters: HashMap::new(),
            deadlines: BTreeSet::new(),
            alone: Alone::default(),
            numbers: 0,
            bytes: 0,
        }
    }

    /// Fetches under way or still being read.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fetches.len()
    }

    /// Whether nothing is fetched or read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fetches.is_empty()
    }

    /// Bytes that all fetches keep.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Lets requests for `key` share a fetch again although the last answer could not be shared; not when it was too long.
    pub fn pardon(&mut self, key: &str) {
        self.alone.pardon(key);
    }

    /// A request that the cache could not answer wants the response for `key`. `fits` says whether a response whose body is
    /// still arriving is for it. It waits for a header section until `deadline`.
    pub fn join(
        &mut self,
        key: &Key,
        request: W,
        deadline: UnixMs,
        now: UnixMs,
        fits: impl Fn(&Stored, &W) -> bool,
    ) -> Join {
        if self.alone.holds(key, now) {
            return Join::Alone;
        }
        let here = self.by_key.get(key).map_or(&[][..], Vec::as_slice);
        let arriving = here.iter().copied().find(|id| {
            let stored = self.fetches.get(id).and_then(|fetch| fetch.stored.as_ref());
            stored.is_some_and(|stored| fits(stored, &request))
        });
        let pending = here.iter().copied().find(|id| self.fetches.get(id).is_some_and(|fetch| fetch.flow.is_none()));
        if let Some(id) = arriving {
            let waiter = self.waiter(id);
            if let Some(flow) = self.fetches.get_mut(&id).and_then(|fetch| fetch.flow.as_mut()) {
                flow.join(waiter);
            }
            return Join::Wait(id, waiter);
        }
        if let Some(id) = pending {
            let full = self.fetches.get(&id).is_none_or(|fetch| fetch.waiting.len() >= self.limits.waiters_max);
            if full {
                return Join::Full;
            }
            let waiter = self.wait(id, request, deadline);
            return Join::Wait(id, waiter);
        }
        if self.fetches.len() >= self.limits.fetches_max {
            return Join::Full;
        }
        self.numbers += 1;
        let id = FetchId(self.numbers);
        let leader = WaiterId(self.numbers + 1);
        let fetch =
            Fetch { key: key.clone(), leader, waiting: BTreeMap::new(), flow: None, stored: None, disowned: false };
        self.fetches.insert(id, fetch);
        self.by_key.entry(key.clone()).or_default().push(id);
        let waiter = self.wait(id, request, deadline);
        Join::Lead(id, waiter)
    }

    /// The header section of a fetch is there. Said once per fetch; the second time is left aside.
    pub fn head(&mut self, id: FetchId, shared: &Shared, now: UnixMs, fits: impl Fn(&Stored, &W) -> bool) -> Woken {
        let Some(fetch) = self.fetches.get_mut(&id) else { return Woken { abort: true, ..Woken::default() } };
        if fetch.flow.is_some() {
            return Woken::default();
        }
        let mut flow = Flow::new(self.limits.body_bytes_max, matches!(shared, Shared::Yes(_)));
        let mut woken = Woken::default();
        for (waiter, waiting) in std::mem::take(&mut fetch.waiting) {
            self.deadlines.remove(&(waiting.deadline, waiter));
            let is_theirs = match shared {
                Shared::Yes(stored) => fits(stored, &waiting.request),
                Shared::No => waiter == fetch.leader,
            };
            if is_theirs {
                flow.join(waiter);
                woken.ready.push(waiter);
            } else {
                self.waiters.remove(&waiter);
                woken.released.push(waiter);
            }
        }
        fetch.flow = Some(flow);
        match shared {
            Shared::Yes(stored) => fetch.stored = Some(stored.clone()),
            Shared::No => {
                let key = fetch.key.clone();
                self.hide(id);
                self.alone.remember(key, Cause::Private, &self.limits, now);
                woken.abort = woken.ready.is_empty();
                self.drop_if_done(id, woken.abort);
            }
        }
        woken
    }

    /// Bytes of the body arrived.
    pub fn push(&mut self, id: FetchId, bytes: Bytes, now: UnixMs) -> Pushed {
        let Some(fetch) = self.fetches.get_mut(&id) else { return Pushed::default() };
        let Some(flow) = fetch.flow.as_mut() else { return Pushed::default() };
        let before = flow.bytes();
        let has_room = self.bytes.saturating_add(bytes.len() as u64) <= self.limits.bytes_max;
        if !has_room {
            flow.shrink();
        }
        let pause = flow.push(bytes);
        self.bytes = self.bytes - before + flow.bytes();
        let wake: Vec<WaiterId> = flow.readers().collect();
        if fetch.stored.is_some() && !flow.is_whole() {
            // Too long to be stored: whoever comes now would miss the beginning.
            fetch.stored = None;
            let key = fetch.key.clone();
            self.hide(id);
            // Where there is no room for it now, there may be the next time.
            let cause = if has_room { Cause::TooLong } else { Cause::Private };
            self.alone.remember(key, cause, &self.limits, now);
        }
        let abort = self.fetches.get(&id).is_some_and(|fetch| fetch.stored.is_none()) && wake.is_empty();
        self.drop_if_done(id, abort);
        Pushed { wake, pause, abort }
    }

    /// The body is complete. Its chunks, when all of them were kept and the response is shared: the driver stores them
    /// before it lets go of the table's lock, so that nobody finds neither. And the waiters to wake.
    pub fn finish(&mut self, id: FetchId) -> (Option<Vec<Bytes>>, Vec<WaiterId>) {
        self.hide(id);
        let Some(fetch) = self.fetches.get_mut(&id) else { return (None, Vec::new()) };
        let Some(flow) = fetch.flow.as_mut() else { return (None, self.fail(id).released) };
        flow.end();
        let whole = fetch.stored.is_some() && flow.is_whole() && !fetch.disowned;
        let chunks = whole.then(|| flow.chunks());
        let wake: Vec<WaiterId> = flow.readers().collect();
        self.drop_if_done(id, wake.is_empty());
        (chunks, wake)
    }

    /// The fetch failed. Those who read are cut off; those who wait are out of the table and share the failure, because as
    /// many new tries as there are waiters would be a stampede.
    pub fn fail(&mut self, id: FetchId) -> Woken {
        self.hide(id);
        let Some(fetch) = self.fetches.get_mut(&id) else { return Woken::default() };
        let released: Vec<WaiterId> = fetch.waiting.keys().copied().collect();
        for (waiter, waiting) in std::mem::take(&mut fetch.waiting) {
            self.deadlines.remove(&(waiting.deadline, waiter));
            self.waiters.remove(&waiter);
        }
        let mut ready = Vec::new();
        if let Some(flow) = fetch.flow.as_mut() {
            flow.break_off();
            ready.extend(flow.readers());
        }
        self.drop_if_done(id, ready.is_empty());
        Woken { ready, released, abort: false }
    }

    /// The next bytes for a waiter. After [`Read::End`] and [`Read::CutOff`] it is out of the table.
    pub fn read(&mut self, waiter: WaiterId) -> Read {
        let Some(id) = self.waiters.get(&waiter).copied() else { return Read::CutOff };
        let flow = self.fetches.get_mut(&id).and_then(|fetch| fetch.flow.as_mut());
        let Some(flow) = flow else { return Read::Nothing };
        let before = flow.bytes();
        let read = flow.read(waiter);
        self.bytes = self.bytes - before + flow.bytes();
        if matches!(read, Read::End | Read::CutOff) {
            // The fetch goes on whatever the answer: this waiter has all that it will get.
            self.leave(waiter);
        }
        read
    }

    /// The header section that a shared fetch brought, once it is there.
    #[must_use]
    pub fn stored(&self, id: FetchId) -> Option<&Arc<Stored>> {
        self.fetches.get(&id)?.stored.as_ref()
    }

    /// Whether a paused fetch may receive again.
    #[must_use]
    pub fn may_resume(&self, id: FetchId) -> bool {
        self.fetches.get(&id).and_then(|fetch| fetch.flow.as_ref()).is_none_or(|flow| !flow.is_full())
    }

    /// A waiter went away.
    pub fn leave(&mut self, waiter: WaiterId) -> Leave {
        let Some(id) = self.waiters.remove(&waiter) else { return Leave::Continue };
        let Some(fetch) = self.fetches.get_mut(&id) else { return Leave::Continue };
        if let Some(waiting) = fetch.waiting.remove(&waiter) {
            self.deadlines.remove(&(waiting.deadline, waiter));
        }
        let Some(flow) = fetch.flow.as_mut() else { return Leave::Continue };
        let before = flow.bytes();
        flow.leave(waiter);
        self.bytes = self.bytes - before + flow.bytes();
        let unread = flow.readers().next().is_none();
        let over = flow.is_over();
        let for_the_cache = fetch.stored.is_some();
        if !unread || !over && for_the_cache {
            return Leave::Continue;
        }
        self.drop_if_done(id, true);
        if over { Leave::Continue } else { Leave::Abort(id) }
    }

    /// Takes out the waiters whose deadline has passed before a header section was there. Their fetches go on.
    pub fn expire(&mut self, now: UnixMs) -> Vec<WaiterId> {
        let mut late = Vec::new();
        while let Some((deadline, waiter)) = self.deadlines.first().copied().filter(|(deadline, _)| *deadline <= now) {
            self.deadlines.remove(&(deadline, waiter));
            self.leave(waiter);
            late.push(waiter);
        }
        self.alone.expire(now);
        late
    }

    /// When [`FetchTable::expire`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<UnixMs> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    fn waiter(&mut self, fetch: FetchId) -> WaiterId {
        self.numbers += 1;
        let waiter = WaiterId(self.numbers);
        self.waiters.insert(waiter, fetch);
        waiter
    }

    fn wait(&mut self, id: FetchId, request: W, deadline: UnixMs) -> WaiterId {
        let waiter = self.waiter(id);
        self.deadlines.insert((deadline, waiter));
        if let Some(fetch) = self.fetches.get_mut(&id) {
            fetch.waiting.insert(waiter, Waiting { request, deadline });
        }
        waiter
    }

    /// Lets nobody join any more.
    fn hide(&mut self, id: FetchId) {
        let Some(key) = self.fetches.get(&id).map(|fetch| fetch.key.clone()) else { return };
        if let Some(ids) = self.by_key.get_mut(&key) {
            ids.retain(|known| *known != id);
            if ids.is_empty() {
                self.by_key.remove(&key);
            }
        }
    }

    fn drop_if_done(&mut self, id: FetchId, done: bool) {
        if done {
            self.hide(id);
            let flow = self.fetches.remove(&id).and_then(|fetch| fetch.flow);
            self.bytes -= flow.map_or(0, |flow| flow.bytes());
        }
    }
}
