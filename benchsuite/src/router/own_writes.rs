//! Clients that write and read what they wrote, while copies lag behind: reads that miss a write of their own client.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use stdx::rng::Rng;
use tokio::task::JoinSet;

use crate::figures::{Figure, round};
use crate::http::Connection;
use crate::router::backend::{Answers, Backend, Manner};
use crate::router::proxies::{Proxy, Told};
use crate::server::Server;

const READS: u64 = 100_000;
/// After each write so many reads.
const READS_OF_WRITE: u64 = 10;
const CLIENTS: u64 = 256;
/// Copies lag by up to this, each by its own, which changes all the time.
const LAG_MS_MAX: u64 = 100;
/// By time: how long a client reads from the primary after a write.
const WINDOW_MS: u64 = 5 * LAG_MS_MAX;
/// By time: how long a client thinks before a read, so that half of its reads come after that.
const THINKS_MS_MAX: u64 = 4 * WINDOW_MS / READS_OF_WRITE;

/// How the router knows what a read must see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Time,
    Position,
}

/// The only row of a database, and its copies.
#[derive(Default)]
struct Row {
    primary: AtomicU64,
    copies: [AtomicU64; 2],
    is_over: AtomicBool,
}

/// Lets one in `share` of all clients' requests through, by time and by position.
pub(super) fn measure(forebay: &Path, folder: &Path, share: u64) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (by, name) in [(By::Time, "by-time"), (By::Position, "by-position")] {
        let row = Arc::new(Row::default());
        let primary = Backend::with(Manner::Answers(primary(&row, by)))?;
        let copies = [Backend::with(Manner::Answers(copy(&row, 0)))?, Backend::with(Manner::Answers(copy(&row, 1)))?];
        let replicating = replicate(&row)?;
        let told = |listen, _: &Path| Told::config(config(listen, primary.addr, copies.each_ref().map(|one| one.addr)));
        let server = Proxy::Forebay(forebay.into()).start_with(&format!("own-writes-{name}"), folder, told)?;
        let server = server.context("there is no forebay")?;
        let thinks_ms = if by == By::Time { THINKS_MS_MAX } else { 0 };
        let stale = clients(&server, READS / share, thinks_ms)?;
        row.is_over.store(true, SeqCst);
        replicating.join().ok().context("replication panicked")?;
        let writes = row.primary.load(SeqCst);
        let at_primary = primary.requests() - writes;
        let reads = writes * READS_OF_WRITE;
        let figure = |metric, value| Figure {
            bench: "router",
            scenario: "own-writes".into(),
            variant: name.into(),
            subject: crate::figures::FOREBAY.into(),
            metric,
            value,
            ratio: BTreeMap::new(),
        };
        figures.push(figure("stale_reads", stale as f64));
        figures.push(figure("reads", reads as f64));
        figures.push(figure("reads_at_primary_percent", round(100.0 * at_primary as f64 / reads.max(1) as f64, 1)));
    }
    Ok(figures)
}

/// Each client writes and reads, over and over; how many reads were stale.
fn clients(server: &Server, reads: u64, thinks_ms: u64) -> Result<u64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no event queue")?;
    runtime.block_on(async {
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            let thinks = Rng::with_seed(number);
            clients.spawn(client(server.addr, reads.div_ceil(CLIENTS * READS_OF_WRITE), thinks, thinks_ms));
        }
        let mut stale = 0;
        while let Some(client) = clients.join_next().await {
            stale += client.context("a client panicked")??;
        }
        Ok(stale)
    })
}

async fn client(addr: SocketAddr, writes: u64, mut thinks: Rng, thinks_ms: u64) -> Result<u64> {
    let mut connection = Connection::open(addr).await.context("cannot connect")?;
    let (mut cookie, mut stale) = (String::new(), 0);
    for _ in 0..writes {
        let write = format!("POST / HTTP/1.1\r\nHost: bench\r\nContent-Length: 0\r\n{cookie}\r\n");
        let reply = connection.exchange(write.as_bytes()).await.context("no answer to a write")?;
        ensure!(reply.status == 200, "a write was answered with {}", reply.status);
        let written = number(reply.body)?;
        let set = reply.head.lines().find_map(|line| line.strip_prefix("set-cookie: "));
        let pair = set.and_then(|set| set.split(';').next()).context("a write without a cookie")?;
        cookie = format!("Cookie: {pair}\r\n");
        let read = format!("GET / HTTP/1.1\r\nHost: bench\r\n{cookie}\r\n");
        for _ in 0..READS_OF_WRITE {
            if thinks_ms > 0 {
                tokio::time::sleep(Duration::from_millis(thinks.u64(..=thinks_ms))).await;
            }
            let reply = connection.exchange(read.as_bytes()).await.context("no answer to a read")?;
            ensure!(reply.status == 200, "a read was answered with {}", reply.status);
            stale += u64::from(number(reply.body)? < written);
        }
    }
    Ok(stale)
}

fn number(body: &[u8]) -> Result<u64> {
    std::str::from_utf8(body).ok().and_then(|text| text.parse().ok()).context("an answer that is no number")
}

fn primary(row: &Arc<Row>, by: By) -> Answers {
    let row = Arc::clone(row);
    Arc::new(move |request| {
        if !request.starts_with("POST ") {
            return Some(says(row.primary.load(SeqCst), ""));
        }
        let written = row.primary.fetch_add(1, SeqCst) + 1;
        let wrote = if by == By::Position { format!("Forebay-Wrote: shop@{written}\r\n") } else { String::new() };
        Some(says(written, &wrote))
    })
}

fn copy(row: &Arc<Row>, index: usize) -> Answers {
    let row = Arc::clone(row);
    Arc::new(move |request| {
        let value = row.copies[index].load(SeqCst);
        let is_check = request.starts_with("GET /up ");
        let position = if is_check { format!("Forebay-Position: shop@{value}\r\n") } else { String::new() };
        Some(says(value, &position))
    })
}

fn says(value: u64, fields: &str) -> String {
    let text = value.to_string();
    format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {}\r\n\r\n{text}", text.len())
}

/// Brings the copies to where the primary was a while ago, about once a millisecond.
fn replicate(row: &Arc<Row>) -> Result<std::thread::JoinHandle<()>> {
    let row = Arc::clone(row);
    let run = move || {
        let (mut rng, mut lags, mut past) = (Rng::with_seed(20), [0, LAG_MS_MAX / 2], VecDeque::new());
        while !row.is_over.load(SeqCst) {
            let now = Instant::now();
            past.push_front((now, row.primary.load(SeqCst)));
            for (copy, lag) in row.copies.iter().zip(&mut lags) {
                if rng.usize(..20) == 0 {
                    *lag = rng.u64(..=LAG_MS_MAX);
                }
                let reached = |(at, _): &&(Instant, u64)| now - *at >= Duration::from_millis(*lag);
                // A copy never goes back, it only stands still.
                copy.fetch_max(past.iter().find(reached).map_or(0, |(_, value)| *value), SeqCst);
            }
            past.truncate(2 * LAG_MS_MAX as usize);
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    std::thread::Builder::new().name("replication".into()).spawn(run).context("no thread for replication")
}

fn config(listen: SocketAddr, primary: SocketAddr, [a, b]: [SocketAddr; 2]) -> String {
    format!(
        r#"schema = 1
[router]
listen = ["{listen}"]
workers = 2
[upstreams.db]
endpoints = ["{primary}"]
[upstreams.copies]
endpoints = ["{a}", "{b}"]
health = {{ path = "/up", interval_ms = 20, rise = 1 }}
[[routes]]
upstream = "copies"
[routes.read_your_writes]
primary = "db"
window_ms = {WINDOW_MS}
"#
    )
}
