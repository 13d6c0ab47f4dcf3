//! One request, from the policy's decision to the reply; and the fetches behind it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Response as Answering, StatusCode};
use http_body_util::BodyExt;
use http_cache::{
    Answer, Conditions, Decision, FetchId, FetchLimits, FetchTable, HeadUpdate, Hit, Join, Key, Options, Policy,
    Refreshed, Request, Response, Shared, Store, Stored, Storing, UnixMs, WaiterId, primary_key,
};
use hyper::body::Incoming;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use crate::body::{self, Reply};
use crate::origin::{self, Outgoing};

type Body = Vec<Bytes>;

/// What a waiting request is told.
enum Turn {
    Read { head: Option<(StatusCode, HeaderMap)>, stored: Option<Arc<Stored>> },
    Again,
    Failed,
}

pub(crate) struct Proxy {
    policy: Policy,
    origin: SocketAddr,
    store: RefCell<Store<Body>>,
    pub(crate) table: RefCell<FetchTable<Outgoing>>,
    pub(crate) wakers: RefCell<HashMap<WaiterId, Waker>>,
    turns: RefCell<HashMap<WaiterId, oneshot::Sender<Turn>>>,
    tasks: RefCell<HashMap<FetchId, AbortHandle>>,
    leaders: RefCell<HashMap<FetchId, WaiterId>>,
}

fn now() -> UnixMs {
    SystemTime::now().into()
}

fn view(outgoing: &Outgoing) -> Request<'_> {
    let authority = outgoing.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
    let (method, headers) = (&outgoing.method, &outgoing.headers);
    Request { method, scheme: "http", authority, target: &outgoing.target, headers }
}

fn key(outgoing: &Outgoing, target: &str) -> Key {
    primary_key("", "http", view(outgoing).authority, target)
}

impl Proxy {
    pub(crate) fn new(options: Options, origin: SocketAddr) -> Proxy {
        Proxy {
            policy: Policy::new(options),
            origin,
            store: RefCell::new(Store::new(64 << 20, 8 << 20)),
            table: RefCell::new(FetchTable::new(FetchLimits::default())),
            wakers: RefCell::default(),
            turns: RefCell::default(),
            tasks: RefCell::default(),
            leaders: RefCell::default(),
        }
    }

    pub(crate) fn expire(&self) {
        let late = self.table.borrow_mut().expire(now());
        self.tell(&late, || Turn::Failed);
    }

    pub(crate) fn abort(&self, fetch: FetchId) {
        if let Some(task) = self.tasks.borrow_mut().remove(&fetch) {
            task.abort();
        }
    }

    pub(crate) async fn handle(self: Rc<Self>, request: http::Request<Incoming>) -> Answering<Reply> {
        let (parts, body) = request.into_parts();
        let Ok(body) = body.collect().await else { return plain(StatusCode::BAD_REQUEST) };
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str()).to_string();
        let outgoing = Outgoing { method: parts.method, target, headers: parts.headers, body: body.to_bytes() };
        let key = key(&outgoing, &outgoing.target);
        for _ in 0..3 {
            let decision = self.policy.on_request(&view(&outgoing), self.store.borrow().get(&key), now());
            let conditions = match decision {
                Decision::Fresh(hit) => return self.stored_reply(&outgoing, &key, &hit),
                Decision::StaleWhileRevalidate(hit, conditions) => {
                    let reply = self.stored_reply(&outgoing, &key, &hit);
                    let join = self.join(&key, &outgoing);
                    if let Join::Lead(fetch, waiter) = join {
                        self.start(fetch, waiter, &key, &outgoing, conditions);
                    }
                    if let Join::Lead(_, waiter) | Join::Wait(_, waiter) = join {
                        self.table.borrow_mut().leave(waiter);
                    }
                    return reply;
                }
                Decision::Revalidate(conditions, _) => conditions,
                Decision::Miss(forward) if forward.is_shared() => Conditions::default(),
                Decision::Miss(_) | Decision::Bypass(_) => return self.alone(&outgoing, &key).await,
                Decision::OnlyIfCached => return plain(StatusCode::GATEWAY_TIMEOUT),
            };
            let (fetch, waiter) = match self.join(&key, &outgoing) {
                Join::Lead(fetch, waiter) => {
                    self.start(fetch, waiter, &key, &outgoing, conditions);
                    (fetch, waiter)
                }
                Join::Wait(fetch, waiter) => (fetch, waiter),
                Join::Alone | Join::Full => return self.alone(&outgoing, &key).await,
            };
            let (tell, told) = oneshot::channel();
            let arriving = self.table.borrow().stored(fetch).cloned();
            match arriving {
                Some(stored) => drop(tell.send(Turn::Read { head: None, stored: Some(stored) })),
                None => drop(self.turns.borrow_mut().insert(waiter, tell)),
            }
            // From here on a client that goes away leaves the table.
            let place = body::Shared { proxy: self.clone(), waiter, range: 0..u64::MAX };
            match told.await {
                Ok(Turn::Read { head, stored }) => return self.shared_reply(&outgoing, place, head, stored),
                Ok(Turn::Again) => {}
                Ok(Turn::Failed) | Err(_) => return self.after_failure(&outgoing, &key),
            }
        }
        self.alone(&outgoing, &key).await
    }

    fn join(&self, key: &Key, outgoing: &Outgoing) -> Join {
        let fits = |stored: &Stored, waiting: &Outgoing| self.policy.selects(&view(waiting), stored);
        let deadline = UnixMs(now().0 + 30_000);
        self.table.borrow_mut().join(key, outgoing.clone(), deadline, now(), fits)
    }

    fn tell(&self, waiters: &[WaiterId], turn: impl Fn() -> Turn) {
        for waiter in waiters {
            if let Some(tell) = self.turns.borrow_mut().remove(waiter) {
                // Nobody listens where the client is gone.
                drop(tell.send(turn()));
            }
        }
    }

    fn wake(&self, waiters: &[WaiterId]) {
        let wakers: Vec<Waker> = waiters.iter().filter_map(|waiter| self.wakers.borrow_mut().remove(waiter)).collect();
        wakers.into_iter().for_each(Waker::wake);
    }

    fn start(self: &Rc<Self>, fetch: FetchId, leader: WaiterId, key: &Key, of: &Outgoing, conditions: Conditions) {
        self.leaders.borrow_mut().insert(fetch, leader);
        let (proxy, key, outgoing) = (self.clone(), key.clone(), of.clone());
        let task = tokio::task::spawn_local(async move {
            if !proxy.fetch(fetch, &key, &outgoing, conditions).await {
                let woken = proxy.table.borrow_mut().fail(fetch);
                proxy.tell(&woken.released, || Turn::Failed);
                proxy.wake(&woken.ready);
            }
            proxy.tasks.borrow_mut().remove(&fetch);
            proxy.leaders.borrow_mut().remove(&fetch);
        });
        self.tasks.borrow_mut().insert(fetch, task.abort_handle());
    }

    /// The detached fetch; `false` when it brought nothing that can be used.
    async fn fetch(&self, fetch: FetchId, key: &Key, of: &Outgoing, conditions: Conditions) -> bool {
        let asked = now();
        let mut conditional = of.clone();
        conditions.apply(&mut conditional.headers);
        let mut answer = origin::send(self.origin, conditional.clone()).await;
        let is_304 = |answer: &Answering<Incoming>| answer.status() == StatusCode::NOT_MODIFIED;
        if let Some(news) = answer.as_ref().ok().filter(|answer| is_304(answer)) {
            let refreshed = self.policy.on_304(&view(of), self.store.borrow().get(key), news.headers(), asked, now());
            if let Some(refreshed) = refreshed {
                self.confirmed(fetch, key, refreshed);
                return true;
            }
            Conditions::default().apply(&mut conditional.headers);
            answer = origin::send(self.origin, conditional).await;
        }
        let Ok(answer) = answer else { return false };
        if Policy::is_failure(answer.status())
            && self.policy.on_failure(&view(of), self.store.borrow().get(key), now()).is_some()
        {
            return false;
        }
        self.arrived(fetch, key, of, answer, asked).await
    }

    /// What is stored was confirmed: its body goes to all waiters.
    fn confirmed(&self, fetch: FetchId, key: &Key, refreshed: Refreshed) {
        let stored: Arc<Stored> = Arc::new(*refreshed.stored);
        let mut store = self.store.borrow_mut();
        let Some((id, body)) = store.get(key).get(refreshed.variant).map(|entry| (entry.id(), entry.body().clone()))
        else {
            return;
        };
        if refreshed.keep {
            store.refresh(id, stored.clone());
        } else {
            store.remove(id);
        }
        drop(store);
        self.headed(fetch, &Shared::Yes(stored), None);
        for chunk in body {
            self.table.borrow_mut().push(fetch, chunk, now());
        }
        let (_, wake) = self.table.borrow_mut().finish(fetch);
        self.wake(&wake);
    }

    async fn arrived(
        &self,
        fetch: FetchId,
        key: &Key,
        of: &Outgoing,
        answer: Answering<Incoming>,
        asked: UnixMs,
    ) -> bool {
        let (parts, mut body) = answer.into_parts();
        let response = Response { status: parts.status, headers: &parts.headers };
        let storing = self.policy.on_response(&view(of), &response, asked, now());
        let stored = match storing {
            Storing::Store(stored) => Some(*stored),
            Storing::Pass(_) => None,
        };
        let shared = stored.clone().map_or(Shared::No, |stored| Shared::Yes(Arc::new(stored)));
        self.headed(fetch, &shared, Some((parts.status, parts.headers)));
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return false };
            let Ok(chunk) = frame.into_data() else { continue };
            let pushed = self.table.borrow_mut().push(fetch, chunk, now());
            self.wake(&pushed.wake);
            if pushed.abort {
                return true;
            }
            while pushed.pause && !self.table.borrow().may_resume(fetch) {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        }
        let (chunks, wake) = self.table.borrow_mut().finish(fetch);
        if let (Some(mut stored), Some(chunks)) = (stored, chunks) {
            let bytes = chunks.iter().map(|chunk| chunk.len() as u64).sum();
            stored.set_body_bytes(bytes);
            self.store.borrow_mut().insert(key, Arc::new(stored), chunks, bytes);
        }
        self.wake(&wake);
        true
    }

    fn headed(&self, fetch: FetchId, shared: &Shared, head: Option<(StatusCode, HeaderMap)>) {
        let fits = |stored: &Stored, waiting: &Outgoing| self.policy.selects(&view(waiting), stored);
        let woken = self.table.borrow_mut().head(fetch, shared, now(), fits);
        let leader = self.leaders.borrow().get(&fetch).copied();
        let stored = match shared {
            Shared::Yes(stored) => Some(stored.clone()),
            Shared::No => None,
        };
        for waiter in woken.ready {
            // The first one gets the response as it came, the others as it is stored.
            let head = head.clone().filter(|_| leader == Some(waiter));
            let turn = || Turn::Read { head: head.clone(), stored: stored.clone() };
            self.tell(&[waiter], turn);
        }
        self.tell(&woken.released, || Turn::Again);
    }

    fn stored_reply(&self, outgoing: &Outgoing, key: &Key, hit: &Hit) -> Answering<Reply> {
        let store = self.store.borrow();
        let Some(entry) = store.get(key).get(hit.variant) else { return plain(StatusCode::BAD_GATEWAY) };
        store.touch(entry);
        let (status, headers) = entry.stored().reply(hit);
        let body = match &hit.answer {
            _ if outgoing.method == Method::HEAD => Reply::empty(),
            Answer::Whole => Reply::part(entry.body(), 0..u64::MAX),
            Answer::Range(range) => Reply::part(entry.body(), range.clone()),
            Answer::NotModified | Answer::Unsatisfiable => Reply::empty(),
        };
        answer(status, headers, body)
    }

    fn shared_reply(
        &self,
        outgoing: &Outgoing,
        mut place: body::Shared,
        head: Option<(StatusCode, HeaderMap)>,
        stored: Option<Arc<Stored>>,
    ) -> Answering<Reply> {
        let hit = stored.as_ref().map(|stored| self.policy.answer(&view(outgoing), 0, stored, now()));
        match (stored, hit, head) {
            (_, Some(Hit { answer: Answer::Whole, .. }) | None, Some((status, headers))) => {
                answer(status, headers, Reply::Shared(place))
            }
            (Some(stored), Some(hit), _) => {
                let (status, headers) = stored.reply(&hit);
                let body = match &hit.answer {
                    Answer::Range(range) => {
                        place.range = range.clone();
                        Reply::Shared(place)
                    }
                    Answer::Whole => Reply::Shared(place),
                    Answer::NotModified | Answer::Unsatisfiable => Reply::empty(),
                };
                answer(status, headers, body)
            }
            _ => plain(StatusCode::BAD_GATEWAY),
        }
    }

    fn after_failure(&self, outgoing: &Outgoing, key: &Key) -> Answering<Reply> {
        let hit = self.policy.on_failure(&view(outgoing), self.store.borrow().get(key), now());
        hit.map_or_else(|| plain(StatusCode::BAD_GATEWAY), |hit| self.stored_reply(outgoing, key, &hit))
    }

    /// A request that no other shares.
    async fn alone(&self, outgoing: &Outgoing, key: &Key) -> Answering<Reply> {
        let asked = now();
        let Ok(response) = origin::send(self.origin, outgoing.clone()).await else {
            return self.after_failure(outgoing, key);
        };
        let (parts, body) = response.into_parts();
        let request = view(outgoing);
        let news = Response { status: parts.status, headers: &parts.headers };
        for target in self.policy.invalidates(&request, &news).targets {
            self.store.borrow_mut().purge(&self::key(outgoing, &target));
        }
        if outgoing.method == Method::HEAD {
            let update = self.policy.on_head(&request, self.store.borrow().get(key), &news, asked, now());
            self.headed_alone(key, update);
        }
        let Storing::Store(mut stored) = self.policy.on_response(&request, &news, asked, now()) else {
            return answer(parts.status, parts.headers, Reply::Origin(body));
        };
        let Ok(content) = body.collect().await else { return plain(StatusCode::BAD_GATEWAY) };
        let content = content.to_bytes();
        let bytes = content.len() as u64;
        stored.set_body_bytes(bytes);
        self.store.borrow_mut().insert(key, Arc::from(stored), vec![content.clone()], bytes);
        answer(parts.status, parts.headers, Reply::part(&[content], 0..u64::MAX))
    }

    fn headed_alone(&self, key: &Key, update: HeadUpdate) {
        let mut store = self.store.borrow_mut();
        let id = |store: &Store<Body>, variant: usize| store.get(key).get(variant).map(|entry| entry.id());
        match update {
            HeadUpdate::Nothing => {}
            HeadUpdate::Gone(variant) => {
                id(&store, variant).map(|id| store.remove(id));
            }
            HeadUpdate::Refreshed(refreshed) => {
                id(&store, refreshed.variant).map(|id| store.refresh(id, Arc::from(refreshed.stored)));
            }
        }
    }
}

fn answer(status: StatusCode, mut headers: HeaderMap, body: Reply) -> Answering<Reply> {
    let named: Vec<HeaderName> = headers
        .get_all("connection")
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    let fixed = ["connection", "keep-alive", "transfer-encoding", "upgrade", "te", "proxy-connection"];
    for name in named.into_iter().chain(fixed.map(HeaderName::from_static)) {
        headers.remove(name);
    }
    let mut response = Answering::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn plain(status: StatusCode) -> Answering<Reply> {
    answer(status, HeaderMap::new(), Reply::empty())
}
