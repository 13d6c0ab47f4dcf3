//! A router alone: names, checks, what it remembers, and endpoints that come and go under load.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use health::Health;
use router::config::{BalanceConfig, BalanceMethod, CheckConfig, Config, DnsConfig, RoutePolicy, UpstreamPolicy};
use router::standalone::{Alone, Check, Driving, Origin, Plan, UpstreamPlan};
use router::{Deps, Handle, RouteSpec, UpstreamName};
use stdx::clock::SystemClock;
use tokio::task::JoinSet;

use crate::endpoint::{Act, Endpoint, says};
use crate::name_server::{NameServer, Says};
use crate::rig::{Client, eventually};

/// A running router alone.
struct Running {
    addr: SocketAddr,
    handle: Handle,
    driving: Driving,
}

impl Running {
    fn start(plan: Plan, dns: DnsConfig, memory: Option<PathBuf>) -> Running {
        let config = Config { listen: vec!["127.0.0.1:0".parse().unwrap()], workers: 2, ..Config::default() };
        let clock = SystemClock::shared();
        let alone = Alone::new(plan, dns, memory, clock.clone()).unwrap();
        let mut deps = Deps::new(alone.source(), Arc::new(router::access::Discard), clock);
        deps.health = alone.health();
        let handle = router::start(config, deps).unwrap();
        let driving = alone.drive(handle.clone());
        Running { addr: handle.bound()[0], handle, driving }
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let mut client = Client::to(self.addr).await;
        client.send(format!("GET {path} HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n")).await;
        let reply = client.reply().await;
        (reply.status, reply.content)
    }

    /// Asks until this endpoint answers.
    async fn until_answered_by(&self, name: &str) {
        for _ in 0..2_000 {
            let (status, content) = self.get("/").await;
            assert_eq!(status, 200);
            if content == name {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{name} never answers");
    }

    /// What the health endpoint counts: healthy, unhealthy, unknown.
    async fn counts(&self) -> (u64, u64, u64) {
        let (_, text) = self.get("/.forebay/health/web").await;
        let said: serde_json::Value = serde_json::from_str(&text).unwrap();
        let count = |what: &str| said["endpoints"][what].as_u64().unwrap();
        (count("healthy"), count("unhealthy"), count("unknown"))
    }

    async fn until_counts(&self, counts: (u64, u64, u64)) {
        for _ in 0..2_000 {
            if self.counts().await == counts {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{:?}, never {counts:?}", self.counts().await);
    }
}

fn web(origin: Origin, check: Option<CheckConfig>) -> Plan {
    let name = UpstreamName::new("web");
    let route = RouteSpec {
        name: "/".into(),
        host: None,
        path_prefix: "/".into(),
        upstream: name.clone(),
        primary: None,
        fallback: None,
        scope: None,
        policy: RoutePolicy::default(),
    };
    let upstream = UpstreamPlan {
        name,
        origin,
        check: check.map(Check::new),
        policy: UpstreamPolicy::default(),
        reach: Default::default(),
    };
    Plan { routes: vec![route], upstreams: vec![upstream] }
}

fn fast() -> Option<CheckConfig> {
    Some(CheckConfig { path: Some("/up".into()), interval_ms: 50, rise: 1, fall: 2, ..CheckConfig::default() })
}

fn dns(server: &NameServer) -> DnsConfig {
    let servers = vec![server.addr];
    DnsConfig { servers, timeout_ms: 100, ttl_floor_ms: 50, ttl_ceiling_ms: 200, ..DnsConfig::default() }
}

/// Endpoints at one port on several addresses of this machine.
async fn neighbours() -> (Endpoint, Endpoint, u16) {
    loop {
        let a = Endpoint::on("127.0.0.2:0".parse().unwrap(), |_| says("a")).await;
        let port = a.addr.port();
        if tokio::net::TcpListener::bind(("127.0.0.3", port)).await.is_ok() {
            let b = Endpoint::on((Ipv4Addr::new(127, 0, 0, 3), port).into(), |_| says("b")).await;
            return (a, b, port);
        }
    }
}

const A: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const B: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

#[tokio::test]
async fn a_host_is_followed_and_its_last_answer_outlives_the_server() {
    let (a, b, port) = neighbours().await;
    let server = NameServer::start().await;
    server.says("web.internal", Says::A(vec![A], 0));
    let it = Running::start(web(Origin::Host("web.internal".parse().unwrap(), port), None), dns(&server), None);
    it.until_answered_by("a").await;
    server.says("web.internal", Says::A(vec![B], 0));
    it.until_answered_by("b").await;
    for trouble in [Says::Silence, Says::NoName, Says::Nobody] {
        server.says("web.internal", trouble.clone());
        let asked = server.asked("web.internal");
        eventually(|| server.asked("web.internal") >= asked + 6).await;
        assert_eq!(it.get("/").await, (200, "b".into()), "{trouble:?}");
    }
    server.says("web.internal", Says::A(vec![A], 0));
    it.until_answered_by("a").await;
    drop((a, b));
}

#[tokio::test]
async fn a_long_time_to_live_is_believed_up_to_the_ceiling() {
    let (_a, _b, port) = neighbours().await;
    let server = NameServer::start().await;
    server.says("web.internal", Says::A(vec![A], 3_600));
    let unhurried = DnsConfig { ttl_ceiling_ms: 3_600_000, ..dns(&server) };
    let it = Running::start(web(Origin::Host("web.internal".parse().unwrap(), port), None), unhurried, None);
    it.until_answered_by("a").await;
    // Two questions, one for each family; the hour has not passed.
    assert_eq!(server.asked("web.internal"), 2);
    let it = Running::start(web(Origin::Host("web.internal".parse().unwrap(), port), None), dns(&server), None);
    it.until_answered_by("a").await;
    eventually(|| server.asked("web.internal") >= 8).await;
}

#[tokio::test]
async fn a_service_names_hosts_and_ports_and_the_lowest_priority_serves() {
    let (a, b) = (Endpoint::saying("a").await, Endpoint::saying("b").await);
    let server = NameServer::start().await;
    let service = |first: &Endpoint, second: &Endpoint| {
        let all = vec![(1, 1, first.addr.port(), "n1.internal"), (2, 1, second.addr.port(), "n2.internal")];
        server.says("_http._tcp.web.internal", Says::Srv(all, 0));
    };
    server.says("n1.internal", Says::A(vec![Ipv4Addr::LOCALHOST], 60));
    server.says("n2.internal", Says::A(vec![Ipv4Addr::LOCALHOST], 60));
    service(&a, &b);
    let it = Running::start(web(Origin::Service("_http._tcp.web.internal".parse().unwrap()), None), dns(&server), None);
    it.until_answered_by("a").await;
    service(&b, &a);
    it.until_answered_by("b").await;
    server.says("n1.internal", Says::NoName);
    let asked = server.asked("n1.internal");
    eventually(|| server.asked("n1.internal") >= asked + 4).await;
    assert_eq!(it.get("/").await.1, "b", "a host that cannot be looked up keeps its place");
}

#[tokio::test]
async fn weights_of_records_are_honoured_and_who_stands_by_serves_when_nobody_else_is_up() {
    let (light, heavy) = (Endpoint::saying("light").await, Endpoint::saying("heavy").await);
    let spare = Endpoint::saying("spare").await;
    let server = NameServer::start().await;
    server.says("n.internal", Says::A(vec![Ipv4Addr::LOCALHOST], 60));
    let record = |priority, weight, endpoint: &Endpoint| (priority, weight, endpoint.addr.port(), "n.internal");
    let all = vec![record(1, 1, &light), record(1, 3, &heavy), record(2, 9, &spare), (3, 1, 1, "nowhere.internal")];
    server.says("_http._tcp.web.internal", Says::Srv(all, 60));
    let mut plan = web(Origin::Service("_http._tcp.web.internal".parse().unwrap()), None);
    let balance = BalanceConfig { method: BalanceMethod::RoundRobin, ..Default::default() };
    plan.upstreams[0].policy.balance = Some(balance);
    let it = Running::start(plan, dns(&server), None);
    it.until_answered_by("heavy").await;
    let before = [&light, &heavy, &spare].map(|one| one.requests().len());
    for _ in 0..40 {
        it.get("/").await;
    }
    let after = [&light, &heavy, &spare].map(|one| one.requests().len());
    assert_eq!([after[0] - before[0], after[1] - before[1], after[2]], [10, 30, 0]);
    light.kill().await;
    heavy.kill().await;
    it.until_answered_by("spare").await;
}

/// GETs at a steady rate, whatever becomes of those before; every answer that is not 200 fails the test.
struct Load {
    sent: Arc<AtomicUsize>,
    pace: tokio::task::JoinHandle<()>,
    stop: tokio::sync::watch::Sender<bool>,
}

impl Load {
    fn on(addr: SocketAddr) -> Load {
        let (stop, mut stopped) = tokio::sync::watch::channel(false);
        let sent = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&sent);
        let pace = tokio::spawn(async move {
            let mut asking = JoinSet::new();
            let mut ticks = tokio::time::interval(Duration::from_millis(5));
            loop {
                tokio::select! {
                    _ = ticks.tick() => {}
                    _ = stopped.changed() => break,
                }
                counted.fetch_add(1, SeqCst);
                asking.spawn(async move {
                    let mut client = Client::to(addr).await;
                    client.send("GET / HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n").await;
                    assert_eq!(client.reply().await.status, 200);
                });
            }
            while let Some(asked) = asking.join_next().await {
                asked.unwrap();
            }
        });
        Load { sent, pace, stop }
    }

    /// Waits until so many more were sent.
    async fn more(&self, requests: usize) {
        let until = self.sent.load(SeqCst) + requests;
        eventually(|| self.sent.load(SeqCst) >= until).await;
    }

    async fn end(self) {
        self.stop.send(true).unwrap();
        self.pace.await.unwrap();
    }
}

#[tokio::test]
async fn endpoints_die_come_back_and_are_replaced_under_load_without_a_failed_get() {
    let server = NameServer::start().await;
    server.says("n.internal", Says::A(vec![Ipv4Addr::LOCALHOST], 60));
    let publish = |endpoints: &[&Endpoint]| {
        let all = endpoints.iter().map(|one| (1, 1, one.addr.port(), "n.internal")).collect();
        server.says("_http._tcp.web.internal", Says::Srv(all, 0));
    };
    let mut old = vec![Endpoint::saying("1").await, Endpoint::saying("2").await, Endpoint::saying("3").await];
    publish(&old.iter().collect::<Vec<_>>());
    let it =
        Running::start(web(Origin::Service("_http._tcp.web.internal".parse().unwrap()), fast()), dns(&server), None);
    it.until_counts((3, 0, 0)).await;
    let load = Load::on(it.addr);
    load.more(40).await;
    let addr = old.remove(0).kill().await;
    it.until_counts((2, 1, 0)).await;
    load.more(40).await;
    old.push(Endpoint::on(addr, |_| says("1")).await);
    it.until_counts((3, 0, 0)).await;
    let new = [Endpoint::saying("4").await, Endpoint::saying("5").await];
    publish(&[&new[0], &new[1]]);
    it.until_counts((2, 0, 0)).await;
    it.handle.applied().await;
    let addrs: Vec<SocketAddr> = old.iter().map(|one| one.addr).collect();
    assert!(it.handle.drained(&addrs, Duration::from_secs(20)).await);
    for endpoint in old {
        endpoint.kill().await;
    }
    load.more(40).await;
    load.end().await;
}

#[tokio::test]
async fn a_restart_remembers_who_was_down_and_a_new_plan_forgets_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let memory = || Some(folder.path().join("health.json"));
    let sick = Endpoint::new(|request| match request.line().contains("/up") {
        true => Act::Reply(b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n".to_vec()),
        false => says("sick"),
    })
    .await;
    let (a, b) = (Endpoint::saying("a").await, Endpoint::saying("b").await);
    let all = || Origin::Fixed(vec![a.addr, b.addr, sick.addr]);
    let it = Running::start(web(all(), fast()), DnsConfig::default(), memory());
    it.until_counts((2, 1, 0)).await;
    let slow = Some(CheckConfig { interval_ms: 3_600_000, ..fast().unwrap() });
    it.driving.replace(web(all(), slow.clone())).await;
    assert_eq!(it.counts().await, (2, 1, 0));
    it.driving.stop().await;
    // Nobody is asked for an hour, give or take the moment that is drawn: what is known is what was remembered.
    let alone = Alone::new(web(all(), slow), DnsConfig::default(), memory(), SystemClock::shared()).unwrap();
    let routing = Arc::clone(&alone.source().routing().borrow());
    let healths: Vec<Health> = routing.upstreams[0].endpoints.iter().map(|one| one.health).collect();
    assert_eq!(healths, [Health::Healthy, Health::Healthy, Health::Unhealthy]);
    let mut said = BTreeSet::new();
    for _ in 0..20 {
        said.insert(it.get("/").await.1);
    }
    assert!(!said.contains("sick"));
}

#[tokio::test]
async fn trouble_brings_the_check_of_an_endpoint_forward() {
    let (a, b) = (Endpoint::saying("a").await, Endpoint::saying("b").await);
    let hourly = CheckConfig { path: None, interval_ms: 3_600_000, rise: 1, fall: 1, ..CheckConfig::default() };
    let folder = tempfile::tempdir().unwrap();
    let memory = folder.path().join("health.json");
    let known = |addr: SocketAddr| format!(r#""{addr}":{{"health":"healthy","checked_ns":0}}"#);
    let text = format!(r#"{{"format":1,"upstreams":{{"web":{{{},{}}}}}}}"#, known(a.addr), known(b.addr));
    std::fs::write(&memory, text).unwrap();
    let origin = Origin::Fixed(vec![a.addr, b.addr]);
    let it = Running::start(web(origin, Some(hourly)), DnsConfig::default(), Some(memory));
    assert_eq!(it.counts().await, (2, 0, 0));
    a.kill().await;
    for _ in 0..2_000 {
        assert_eq!(it.get("/").await, (200, "b".into()));
        if it.counts().await == (1, 1, 0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the check never came");
}
