//! Many clients ask at once for what no cache has yet and what takes 300 ms to make.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::cached;
use super::proxies::Proxy;
use crate::figures::{Figure, round};
use crate::http::Connection;
use crate::router::backend::{Backend, Manner};

const TAKES: Duration = Duration::from_millis(300);
/// How long the first client is alone.
const AHEAD: Duration = Duration::from_millis(20);

/// Who comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    /// One like the others.
    Like,
    /// One who leaves before there is an answer.
    Leaves,
    /// One who reads nothing of it.
    Slow,
}

struct Variant {
    name: &'static str,
    first: First,
    clients: usize,
    bytes: usize,
}

const VARIANTS: [Variant; 3] = [
    Variant { name: "all-at-once", first: First::Like, clients: 1_000, bytes: 100 },
    Variant { name: "first-leaves", first: First::Leaves, clients: 1_000, bytes: 100 },
    // What does not fit between the proxy and one who does not read.
    Variant { name: "first-slow-1MB", first: First::Slow, clients: 64, bytes: 1_000_000 },
];

/// The slowest of a hundred, and what reached the application. haproxy does not join requests and is left out.
pub(super) fn measure(forebay: &Path, folder: &Path, rounds: usize) -> Result<Vec<Figure>> {
    let backend = Backend::with(Manner::Later(Arc::new(answer)))?;
    let mut running = Vec::new();
    for proxy in [Proxy::Forebay(forebay.into()), Proxy::Nginx, Proxy::Varnish] {
        match cached::start(&proxy, "cold", backend.addr, folder)? {
            Some(server) => running.push((proxy.name(), server)),
            None => eprintln!("without {}: it is not there", proxy.name()),
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no event queue")?;
    let mut figures = Vec::new();
    for variant in &VARIANTS {
        let mut seen = vec![(Vec::new(), 0); running.len()];
        for number in 0..rounds {
            for ((times, asked), (name, server)) in seen.iter_mut().zip(&running) {
                let before = backend.requests();
                let target = format!("/{}/{name}/{number}/{}", variant.name, variant.bytes);
                let round = runtime.block_on(variant.round(server.addr, &target));
                times.extend(round.with_context(|| format!("{name}, coalesce, {}", variant.name))?);
                *asked = (backend.requests() - before).max(*asked);
            }
        }
        for ((mut times, asked), (name, _)) in seen.into_iter().zip(&running) {
            times.sort();
            let at = |part: usize| times[(times.len() * part / 100).min(times.len() - 1)].as_secs_f64() * 1_000.0;
            let figure = |metric, value| Figure {
                bench: "router",
                scenario: "coalesce".into(),
                variant: variant.name.into(),
                subject: (*name).into(),
                metric,
                value: round(value, 1),
                ratio: BTreeMap::new(),
            };
            figures.push(figure("p99_ms", at(99)));
            figures.push(figure("p50_ms", at(50)));
            figures.push(figure("requests_at_the_application", asked as f64));
        }
    }
    Ok(figures)
}

impl Variant {
    /// How long each client waited for the whole answer.
    async fn round(&self, addr: SocketAddr, target: &str) -> Result<Vec<Duration>> {
        let request: Arc<[u8]> = format!("GET {target} HTTP/1.1\r\nHost: bench\r\n\r\n").into_bytes().into();
        let first = match self.first {
            First::Like => None,
            First::Leaves | First::Slow => Some(ask_and_read_nothing(addr, &request).await?),
        };
        let (start, mut clients) = (Arc::new(Barrier::new(self.clients)), JoinSet::new());
        for _ in 0..self.clients {
            clients.spawn(wait(addr, Arc::clone(&request), Arc::clone(&start), self.bytes));
        }
        // It has gone, or it still does not read, when the answer comes.
        let _stays = first.filter(|_| self.first == First::Slow);
        let mut times = Vec::with_capacity(self.clients);
        while let Some(time) = clients.join_next().await {
            times.push(time.context("a client panicked")??);
        }
        Ok(times)
    }
}

async fn ask_and_read_nothing(addr: SocketAddr, request: &[u8]) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4().context("no socket")?;
    socket.set_recv_buffer_size(4_096).context("no small buffer")?;
    let mut stream = socket.connect(addr).await.context("cannot connect")?;
    stream.write_all(request).await.context("cannot ask")?;
    tokio::time::sleep(AHEAD).await;
    Ok(stream)
}

async fn wait(addr: SocketAddr, request: Arc<[u8]>, start: Arc<Barrier>, bytes: usize) -> Result<Duration> {
    let mut connection = Connection::open(addr).await.context("cannot connect")?;
    start.wait().await;
    let started = Instant::now();
    let reply = connection.exchange(&request).await.context("no answer")?;
    ensure!(
        reply.status == 200 && reply.body.len() == bytes,
        "answered with {}, {} bytes",
        reply.status,
        reply.body.len()
    );
    Ok(started.elapsed())
}

/// As many bytes as the end of the path says, good for an hour, after a while.
fn answer(head: &str) -> Option<(Duration, String)> {
    let bytes: usize = head.strip_prefix("GET /")?.split(' ').next()?.rsplit('/').next()?.parse().ok()?;
    let content = "x".repeat(bytes);
    let head = format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=3600\r\nContent-Length: {bytes}\r\n\r\n");
    Some((TAKES, head + &content))
}
