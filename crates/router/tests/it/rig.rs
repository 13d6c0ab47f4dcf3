//! `proxy().endpoint(&a).start()`: a router with two workers in front of endpoints, and raw clients for it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use control::wire::router::{BreakerByHand, OverrideRequest, Setting};
use net::reach::Reach;
use router::access::{AccessRecord, AccessRing, AccessSink, BoundedRing};
use router::config::{Config, RoutePolicy, UpstreamPolicy};
use router::standalone::StaticSource;
use router::{
    Deps, EndpointSpec, Handle, HealthSource, NoHealth, Overrides, RouteSpec, Routing, UpstreamName, UpstreamSpec,
};
use stdx::clock::{SharedClock, SystemClock};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::endpoint::Endpoint;

/// Long enough that a busy machine does not reach it, short enough that a hanging test ends.
const PATIENCE: Duration = Duration::from_secs(30);

/// A router to be.
pub(crate) struct Proxy {
    config: Config,
    policy: RoutePolicy,
    upstream: (UpstreamPolicy, Reach),
    endpoints: Vec<EndpointSpec>,
    overrides: Overrides,
    health: Arc<dyn HealthSource>,
    data: Option<PathBuf>,
    clock: SharedClock,
}

/// A router with one route for everything, no endpoints yet, and two workers.
pub(crate) fn proxy() -> Proxy {
    let config = Config { listen: vec!["127.0.0.1:0".parse().unwrap()], workers: 2, ..Config::default() };
    Proxy {
        config,
        policy: RoutePolicy::default(),
        upstream: Default::default(),
        endpoints: Vec::new(),
        overrides: Overrides::in_memory(),
        health: Arc::new(NoHealth),
        data: None,
        clock: SystemClock::shared(),
    }
}

impl Proxy {
    pub(crate) fn endpoint(mut self, endpoint: &Endpoint) -> Proxy {
        self.endpoints.push(EndpointSpec::at(endpoint.addr));
        self
    }

    pub(crate) fn address(mut self, addr: SocketAddr) -> Proxy {
        self.endpoints.push(EndpointSpec::at(addr));
        self
    }

    pub(crate) fn config(mut self, change: impl FnOnce(&mut Config)) -> Proxy {
        change(&mut self.config);
        self
    }

    pub(crate) fn policy(mut self, change: impl FnOnce(&mut RoutePolicy)) -> Proxy {
        change(&mut self.policy);
        self
    }

    pub(crate) fn upstream(mut self, change: impl FnOnce(&mut UpstreamPolicy)) -> Proxy {
        change(&mut self.upstream.0);
        self
    }

    /// What endpoints are told before the first request of a connection.
    pub(crate) fn reach(mut self, reach: Reach) -> Proxy {
        self.upstream.1 = reach;
        self
    }

    /// What is set by hand is kept in this folder.
    pub(crate) fn keeping(mut self, folder: &Path) -> Proxy {
        self.overrides = Overrides::open(folder).unwrap();
        self
    }

    /// Where what goes to disk is kept.
    pub(crate) fn data(mut self, folder: &Path) -> Proxy {
        self.data = Some(folder.into());
        self
    }

    /// Nobody is believed, loopback neither.
    pub(crate) fn untrusting(self) -> Proxy {
        self.config(|config| config.trusted_peers.clear())
    }

    /// Tells the time in place of the machine.
    pub(crate) fn clock(mut self, clock: SharedClock) -> Proxy {
        self.clock = clock;
        self
    }

    /// What checks have found.
    pub(crate) fn health(mut self, health: impl HealthSource + 'static) -> Proxy {
        self.health = Arc::new(health);
        self
    }

    pub(crate) fn start(self) -> Rig {
        let rings = Arc::new(Rings::default());
        let source = Arc::new(StaticSource::new(routing(&self.policy, &self.upstream, self.endpoints)));
        let sink: Arc<dyn AccessSink> = Arc::clone(&rings) as _;
        let deps = Deps {
            overrides: self.overrides,
            health: self.health,
            data: self.data,
            ..Deps::new(Arc::clone(&source) as _, sink, self.clock)
        };
        let handle = router::start(self.config, deps).unwrap();
        Rig {
            addr: handle.bound()[0],
            handle,
            source,
            policy: self.policy,
            upstream: self.upstream,
            rings,
            taken: Mutex::default(),
        }
    }
}

fn routing(policy: &RoutePolicy, of_upstream: &(UpstreamPolicy, Reach), endpoints: Vec<EndpointSpec>) -> Routing {
    let upstream = UpstreamName::new("shop/production/web");
    let route = RouteSpec {
        name: "web".into(),
        host: None,
        path_prefix: "/".into(),
        upstream: upstream.clone(),
        fallback: None,
        primary: None,
        scope: Some("shop".parse().unwrap()),
        policy: policy.clone(),
    };
    Routing {
        routes: vec![route],
        upstreams: vec![UpstreamSpec {
            name: upstream,
            endpoints,
            policy: of_upstream.0.clone(),
            reach: of_upstream.1.clone(),
        }],
    }
}

#[derive(Debug, Default)]
struct Rings(Mutex<Vec<BoundedRing>>);

impl AccessSink for Rings {
    fn ring(&self, _worker: usize) -> Option<Box<dyn AccessRing>> {
        let ring = BoundedRing::new(100_000);
        self.0.lock().unwrap().push(ring.clone());
        Some(Box::new(ring))
    }
}

/// A running router.
#[derive(Debug)]
pub(crate) struct Rig {
    pub(crate) addr: SocketAddr,
    pub(crate) handle: Handle,
    pub(crate) source: Arc<StaticSource>,
    policy: RoutePolicy,
    upstream: (UpstreamPolicy, Reach),
    rings: Arc<Rings>,
    taken: Mutex<Vec<AccessRecord>>,
}

impl Rig {
    /// Swaps the endpoints.
    pub(crate) fn route_to(&self, addrs: &[SocketAddr]) {
        let endpoints = addrs.iter().map(|addr| EndpointSpec::at(*addr)).collect();
        self.source.replace(routing(&self.policy, &self.upstream, endpoints));
    }

    /// What the router routes by.
    pub(crate) fn source_routing(&self) -> tokio::sync::watch::Receiver<Arc<Routing>> {
        router::EndpointSource::routing(&*self.source)
    }

    /// Sets the route's breaker by hand.
    pub(crate) fn breaker(&self, state: BreakerByHand) -> u64 {
        let setting = Setting::Breaker { route: "web".into(), state };
        let request = OverrideRequest { setting, for_ms: None, why: Some("a test".into()) };
        self.handle.set_by_hand(request, "uid 7".into()).unwrap().id
    }

    pub(crate) async fn client(&self) -> Client {
        Client::to(self.addr).await
    }

    /// One request on a connection of its own.
    pub(crate) async fn send(&self, request: impl AsRef<[u8]>) -> Reply {
        let mut client = self.client().await;
        client.send(request).await;
        client.reply().await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: shop\r\n\r\n")).await
    }

    /// Waits for `count` access records and gives them in the order of their requests.
    pub(crate) async fn records(&self, count: usize) -> Vec<AccessRecord> {
        eventually(|| {
            let mut taken = self.taken.lock().unwrap();
            for ring in self.rings.0.lock().unwrap().iter() {
                let mut some = Vec::new();
                assert_eq!(ring.take(&mut some), 0, "records were dropped");
                taken.append(&mut some);
            }
            taken.len() >= count
        })
        .await;
        let mut records = std::mem::take(&mut *self.taken.lock().unwrap());
        records.sort_by_key(|record| record.time);
        assert_eq!(records.len(), count, "{records:#?}");
        records
    }

    pub(crate) async fn record(&self) -> AccessRecord {
        self.records(1).await.remove(0)
    }
}

/// Waits until something in another thread has come true.
pub(crate) async fn eventually(mut is: impl FnMut() -> bool) {
    let looking = async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.expect("it never came true");
}

/// A raw connection to the router.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
}

/// A reply as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) content: String,
    /// The connection ended before the content did.
    pub(crate) cut: bool,
}

impl Reply {
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        fields.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }

    pub(crate) fn one(&self, name: &str) -> &str {
        let all = self.all(name);
        assert_eq!(all.len(), 1, "{name} in {}", self.head);
        all[0]
    }
}

impl Client {
    /// A connection to whoever listens there.
    pub(crate) async fn to(addr: SocketAddr) -> Client {
        Client::on(TcpStream::connect(addr).await.unwrap())
    }

    pub(crate) fn on(stream: TcpStream) -> Client {
        Client { stream, buffer: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// The next reply; its content is read by its framing.
    pub(crate) async fn reply(&mut self) -> Reply {
        self.reply_to("GET").await
    }

    /// The next reply to a request with this method.
    pub(crate) async fn reply_to(&mut self, method: &str) -> Reply {
        tokio::time::timeout(PATIENCE, self.read_reply(method)).await.expect("no reply in time")
    }

    async fn read_reply(&mut self, method: &str) -> Reply {
        let mut reply = Reply::default();
        let head_bytes = loop {
            if let Some(at) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            if !self.fill().await {
                reply.cut = true;
                return reply;
            }
        };
        reply.head = String::from_utf8(self.buffer.drain(..head_bytes).collect()).unwrap();
        reply.status = reply.head.split(' ').nth(1).unwrap().parse().unwrap();
        if method == "HEAD" || reply.status < 200 || matches!(reply.status, 204 | 304) {
            return reply;
        }
        if reply.all("transfer-encoding") == ["chunked"] {
            self.read_chunks(&mut reply).await;
        } else {
            let length = reply.all("content-length").first().map(|text| text.parse().unwrap());
            self.read_content(&mut reply, length).await;
        }
        reply
    }

    async fn read_content(&mut self, reply: &mut Reply, length: Option<usize>) {
        while length.is_none_or(|length| self.buffer.len() < length) {
            if !self.fill().await {
                reply.cut = length.is_some();
                break;
            }
        }
        let taken = length.unwrap_or(usize::MAX).min(self.buffer.len());
        let content: Vec<u8> = self.buffer.drain(..taken).collect();
        reply.content = String::from_utf8_lossy(&content).into_owned();
    }

    async fn read_chunks(&mut self, reply: &mut Reply) {
        loop {
            while !self.buffer.windows(2).any(|w| w == b"\r\n") {
                if !self.fill().await {
                    reply.cut = true;
                    return;
                }
            }
            let at = self.buffer.windows(2).position(|w| w == b"\r\n").unwrap();
            let line: Vec<u8> = self.buffer.drain(..at + 2).take(at).collect();
            let size = usize::from_str_radix(std::str::from_utf8(&line).unwrap(), 16).unwrap();
            while self.buffer.len() < size + 2 {
                if !self.fill().await {
                    reply.cut = true;
                    return;
                }
            }
            let chunk: Vec<u8> = self.buffer.drain(..size + 2).take(size).collect();
            reply.content.push_str(&String::from_utf8_lossy(&chunk));
            if size == 0 {
                return;
            }
        }
    }

    async fn fill(&mut self) -> bool {
        matches!(self.stream.read_buf(&mut self.buffer).await, Ok(read) if read > 0)
    }

    /// Waits for the router to close; whether it does so without another byte.
    pub(crate) async fn is_closed(&mut self) -> bool {
        let closed = async { self.buffer.is_empty() && !self.fill().await };
        tokio::time::timeout(PATIENCE, closed).await.expect("the connection stays open")
    }
}
