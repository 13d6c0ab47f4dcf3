//! Who has written reads what it wrote: by time, and by the positions that copies report.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use health::Position;
use router::config::OwnWritesConfig;
use router::{EndpointSpec, UpstreamName, UpstreamSpec};
use stdx::clock::Wall;
use testkit::FakeClock;
use tokio::task::JoinSet;

use crate::endpoint::{Act, Endpoint, Received, says};
use crate::rig::{Client, Proxy, Reply, Rig, proxy};

/// A database's only row, at a primary or at a copy: a write adds one, a read tells the number.
async fn node(row: &Arc<AtomicU64>, says_position: bool) -> Endpoint {
    let row = Arc::clone(row);
    Endpoint::new(move |request: &Received| {
        let write = request.line().starts_with("POST");
        let value = if write { row.fetch_add(1, SeqCst) + 1 } else { row.load(SeqCst) };
        let wrote = if write && says_position { format!("forebay-wrote: shop@{value}\r\n") } else { String::new() };
        let text = value.to_string();
        Act::Reply(format!("HTTP/1.1 200 OK\r\n{wrote}content-length: {}\r\n\r\n{text}", text.len()).into_bytes())
    })
    .await
}

/// A route that reads from `copies` and writes to `primary`.
fn start(primary: &Endpoint, copies: &[&Endpoint], wait_ms: u32) -> Rig {
    start_as(proxy(), primary, copies, OwnWritesConfig { wait_ms, ..rule(60_000) })
}

fn rule(window_ms: u32) -> OwnWritesConfig {
    OwnWritesConfig { primary: "db".into(), window_ms, position_window_ms: 60_000, wait_ms: 0 }
}

fn start_as(proxy: Proxy, primary: &Endpoint, copies: &[&Endpoint], own: OwnWritesConfig) -> Rig {
    let rig = copies.iter().fold(proxy, |proxy, copy| proxy.endpoint(copy));
    let rig = rig.policy(|policy| policy.read_your_writes = Some(own)).start();
    let mut routing = (**rig.source_routing().borrow()).clone();
    let name = UpstreamName::new("shop/production/db");
    routing.routes[0].primary = Some(name.clone());
    let endpoints = vec![EndpointSpec::at(primary.addr)];
    routing.upstreams.push(UpstreamSpec {
        name,
        endpoints,
        policy: router::config::UpstreamPolicy::default(),
        reach: Default::default(),
    });
    rig.source.replace(routing);
    rig
}

fn cookie(reply: &Reply) -> String {
    reply.one("set-cookie").split(';').next().unwrap().to_owned()
}

async fn write(rig: &Rig, cookie: &str) -> Reply {
    rig.send(format!("POST / HTTP/1.1\r\nhost: shop\r\ncookie: a=b; {cookie}\r\ncontent-length: 0\r\n\r\n")).await
}

async fn read(rig: &Rig, cookie: &str) -> u64 {
    let reply = rig.send(format!("GET / HTTP/1.1\r\nhost: shop\r\ncookie: {cookie}\r\n\r\n")).await;
    assert!(reply.all("set-cookie").is_empty());
    reply.content.parse().unwrap()
}

fn reports(rig: &Rig, copy: &Endpoint, at: u64) {
    let position: Position = format!("shop@{at}").parse().unwrap();
    rig.handle.set_positions(copy.addr, &[position].into());
}

#[tokio::test]
async fn by_time_reads_go_to_the_primary_for_a_while() {
    let (rows, old) = (Arc::new(AtomicU64::new(0)), Arc::default());
    let (primary, copy) = (node(&rows, false).await, node(&old, false).await);
    let rig = start(&primary, &[&copy], 0);
    rig.handle.applied().await;
    assert_eq!(read(&rig, "").await, 0);
    assert_eq!(copy.requests().len(), 1, "who has not written reads anywhere");
    let wrote = write(&rig, "").await;
    let cookie = cookie(&wrote);
    assert_eq!(read(&rig, &cookie).await, 1);
    assert_eq!(read(&rig, &format!("{cookie}0")).await, 0, "a cookie that nobody signed");
    assert!(wrote.one("set-cookie").ends_with("; Path=/; Max-Age=60; HttpOnly; SameSite=Lax"));
}

#[tokio::test]
async fn by_position_reads_go_to_a_copy_that_has_it() {
    let (rows, fresh, stale) = (Arc::new(AtomicU64::new(6)), Arc::new(AtomicU64::new(7)), Arc::default());
    let (primary, a, b) = (node(&rows, true).await, node(&fresh, true).await, node(&stale, true).await);
    let rig = start(&primary, &[&a, &b], 0);
    rig.handle.applied().await;
    let wrote = write(&rig, "").await;
    assert!(wrote.all("forebay-wrote").is_empty(), "that is between application and router");
    let cookie = cookie(&wrote);
    assert_eq!(read(&rig, &cookie).await, 7);
    assert_eq!(primary.requests().len(), 2, "no copy has said where it is");
    reports(&rig, &a, 7);
    reports(&rig, &b, 6);
    for _ in 0..20 {
        assert_eq!(read(&rig, &cookie).await, 7);
    }
    assert_eq!((primary.requests().len(), a.requests().len(), b.requests().len()), (2, 20, 0));
}

#[tokio::test]
async fn a_read_waits_for_a_copy_that_is_about_to_have_it() {
    let (rows, copied) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (primary, copy) = (node(&rows, true).await, node(&copied, true).await);
    let rig = start(&primary, &[&copy], 20_000);
    rig.handle.applied().await;
    let cookie = cookie(&write(&rig, "").await);
    let catches_up = async {
        copied.store(1, SeqCst);
        reports(&rig, &copy, 1);
    };
    let (value, ()) = tokio::join!(read(&rig, &cookie), catches_up);
    assert_eq!(value, 1);
    assert_eq!((primary.requests().len(), copy.requests().len()), (1, 1));
}

/// Somebody who writes and reads over one connection.
struct Session {
    client: Client,
    cookie: String,
    written: u64,
}

impl Session {
    async fn begin(rig: &Rig) -> Session {
        Session { client: rig.client().await, cookie: String::new(), written: 0 }
    }

    async fn write(&mut self) {
        let request =
            format!("POST / HTTP/1.1\r\nhost: shop\r\ncookie: a=b; {}\r\ncontent-length: 0\r\n\r\n", self.cookie);
        self.client.send(request).await;
        let reply = self.client.reply().await;
        self.cookie = cookie(&reply);
        self.written = reply.content.parse().unwrap();
    }

    async fn reads_what_it_wrote(&mut self) {
        self.client.send(format!("GET / HTTP/1.1\r\nhost: shop\r\ncookie: {}\r\n\r\n", self.cookie)).await;
        let read: u64 = self.client.reply().await.content.parse().unwrap();
        assert!(read >= self.written, "{read} after {}", self.written);
    }
}

/// Ten thousand reads; `cargo xtask bench router own-writes` makes a hundred thousand, against the program itself.
#[tokio::test]
async fn by_position_no_read_is_stale_whatever_the_lag() {
    const SESSIONS: u64 = 16;
    const WRITES: u64 = 63;
    let rows = Arc::new(AtomicU64::new(0));
    let copied = [Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0))];
    let primary = node(&rows, true).await;
    let copies = [node(&copied[0], true).await, node(&copied[1], true).await];
    let rig = Arc::new(start(&primary, &[&copies[0], &copies[1]], 1));
    rig.handle.applied().await;
    let mut sessions = JoinSet::new();
    for _ in 0..SESSIONS {
        let rig = Arc::clone(&rig);
        sessions.spawn(async move {
            let mut session = Session::begin(&rig).await;
            for _ in 0..WRITES {
                session.write().await;
                for _ in 0..10 {
                    session.reads_what_it_wrote().await;
                }
            }
        });
    }
    // Each copy lags by its own number of writes; it has them before it reports them.
    let mut round = 0;
    while !sessions.is_empty() {
        while let Some(session) = sessions.try_join_next() {
            session.unwrap();
        }
        round += 1;
        for (n, (copy, row)) in copies.iter().zip(&copied).enumerate() {
            let lag = (round * 7 + n as u64 * 3) % (2 * SESSIONS);
            row.fetch_max(rows.load(SeqCst).saturating_sub(lag), SeqCst);
            reports(&rig, copy, row.load(SeqCst));
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    assert!(copies.iter().all(|copy| copy.requests().len() > 100), "copies were of use");
}

/// A database whose writes have times, by a clock that is turned by hand.
#[derive(Debug, Default)]
struct Timed {
    clock: FakeClock,
    writes: Mutex<Vec<Wall>>,
}

impl Timed {
    /// Answers as a copy that lags by this much, or as the primary when that is never anything.
    async fn lagging(self: &Arc<Self>, lag_ms: &Arc<AtomicU64>) -> Endpoint {
        let (row, lag_ms) = (Arc::clone(self), Arc::clone(lag_ms));
        Endpoint::new(move |request: &Received| {
            let now = row.clock.shared().wall();
            let mut writes = row.writes.lock().unwrap();
            if request.line().starts_with("POST") {
                writes.push(now);
            }
            let seen = Wall(now.0 - lag_ms.load(SeqCst) * 1_000_000);
            says(&writes.iter().filter(|at| **at <= seen).count().to_string())
        })
        .await
    }
}

#[tokio::test]
async fn by_time_no_read_is_stale_while_copies_lag_by_less_than_the_window() {
    const WINDOW_MS: u32 = 1_000;
    let row = Arc::new(Timed::default());
    let lags = [Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0))];
    let primary = row.lagging(&Arc::default()).await;
    let copies = [row.lagging(&lags[0]).await, row.lagging(&lags[1]).await];
    let clocked = proxy().clock(row.clock.shared());
    let rig = start_as(clocked, &primary, &[&copies[0], &copies[1]], rule(WINDOW_MS));
    rig.handle.applied().await;
    let mut session = Session::begin(&rig).await;
    for round in 0..300_u64 {
        for (n, lag) in lags.iter().enumerate() {
            lag.store((round * 137 + n as u64 * 411) % u64::from(WINDOW_MS), SeqCst);
        }
        session.write().await;
        for step in 0..10 {
            session.reads_what_it_wrote().await;
            row.clock.advance(std::time::Duration::from_millis(1 + (round * 31 + step * 57) % 250));
        }
    }
    assert!(copies.iter().all(|copy| copy.requests().len() > 100), "copies were of use");
    assert!(primary.requests().len() > 1_000, "and so was the primary");
}

#[tokio::test]
async fn what_was_written_is_told_to_the_router_and_to_no_client_on_any_route() {
    let rows = Arc::new(AtomicU64::new(0));
    let primary = node(&rows, true).await;
    let rig = proxy().endpoint(&primary).start();
    assert!(write(&rig, "").await.all("forebay-wrote").is_empty());
    let recorded = proxy().endpoint(&primary).policy(|policy| policy.idempotency = Some(Default::default())).start();
    let keyed = "POST / HTTP/1.1\r\nhost: shop\r\nidempotency-key: \"a\"\r\ncontent-length: 0\r\n\r\n";
    for replayed in [0, 1] {
        let reply = recorded.send(keyed).await;
        assert_eq!((reply.all("idempotency-replayed").len(), reply.content.as_str()), (replayed, "2"));
        assert!(reply.all("forebay-wrote").is_empty());
    }
}
