//! An open-loop load generator: arrival times are fixed in advance, and a request's time runs from its intended start.
//!
//! A generator that waits for an answer before it sends the next request slows down together with the server, and so
//! does not see the very stalls that it is there to measure (coordinated omission). Here request `k` is due at
//! `start + k / rate`, whatever became of those before. When all connections are busy it goes out late, and its lateness
//! is part of its latency. Nothing is ever tried twice: what a client would see is what is counted.

mod report;

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::http::Connection;
pub use crate::load::report::{Failure, Latency, Report, Summary};

/// What to send, how often, and for how long.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The server.
    pub addr: SocketAddr,
    /// The `Host` field.
    pub host: String,
    /// The request target of the GETs.
    pub target: String,
    /// Requests per second.
    pub rate: u32,
    /// For how long requests are sent.
    pub duration: Duration,
    /// Connections, which is also the number of requests in flight at most.
    pub connections: usize,
    /// From the moment a request is sent; beyond it the request has failed.
    pub timeout: Duration,
}

impl Plan {
    /// 500 requests a second to a URL, for ten seconds over 128 connections.
    ///
    /// # Errors
    /// When it is no `http://` URL or its host is unknown.
    pub fn to(url: &str) -> Result<Plan> {
        let rest = url.strip_prefix("http://").with_context(|| format!("{url} is no http:// URL"))?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        ensure!(!path.contains(char::is_whitespace), "{url} has blanks in it");
        let with_port = if host.contains(':') { host.to_string() } else { format!("{host}:80") };
        let addr = with_port.to_socket_addrs().with_context(|| format!("cannot resolve {host}"))?.next();
        Ok(Plan {
            addr: addr.with_context(|| format!("{host} has no address"))?,
            host: host.into(),
            target: format!("/{path}"),
            rate: 500,
            duration: Duration::from_secs(10),
            connections: 128,
            timeout: Duration::from_secs(10),
        })
    }

    fn request(&self) -> Vec<u8> {
        format!("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", self.target, self.host).into_bytes()
    }

    /// When request `k` is due, from the start.
    fn due(&self, k: u64) -> Duration {
        Duration::from_nanos(k.saturating_mul(1_000_000_000) / u64::from(self.rate.max(1)))
    }
}

/// Load that is being sent from a thread of its own.
#[derive(Debug)]
pub struct Running {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    thread: JoinHandle<Report>,
}

/// Starts to send.
///
/// # Panics
/// When the system gives no thread or no event queue.
pub fn start(plan: Plan) -> Running {
    let stop = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicU64::new(0));
    let (stop_seen, counted) = (Arc::clone(&stop), Arc::clone(&answered));
    let thread = std::thread::Builder::new().name("load".into()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("the system gives an event queue").block_on(drive(plan, stop_seen, counted))
    });
    Running { stop, answered, thread: thread.expect("the system gives a thread") }
}

impl Running {
    /// Requests answered so far.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Waits until all is sent and answered.
    ///
    /// # Panics
    /// When the sending thread did.
    pub fn wait(self) -> Report {
        self.thread.join().expect("the load thread ends")
    }

    /// Sends nothing new, and waits for the answers to what was sent.
    ///
    /// # Panics
    /// When the sending thread did.
    pub fn finish(self) -> Report {
        self.stop.store(true, Ordering::Relaxed);
        self.wait()
    }
}

async fn drive(plan: Plan, stop: Arc<AtomicBool>, answered: Arc<AtomicU64>) -> Report {
    let sender = Arc::new(Sender {
        request: plan.request(),
        next: AtomicU64::new(0),
        report: Mutex::new(Report::new()),
        start: Instant::now(),
        plan,
        stop,
        answered,
    });
    let mut connections = JoinSet::new();
    for _ in 0..sender.plan.connections.max(1) {
        connections.spawn(Arc::clone(&sender).connection());
    }
    connections.join_all().await;
    let mut report = sender.report.lock().unwrap_or_else(PoisonError::into_inner).clone();
    report.took = sender.start.elapsed();
    report
}

/// What the connections share.
struct Sender {
    plan: Plan,
    request: Vec<u8>,
    start: Instant,
    next: AtomicU64,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    report: Mutex<Report>,
}

impl Sender {
    /// Takes one due request after the other, as the connection gets free.
    async fn connection(self: Arc<Sender>) {
        let mut connection = None;
        loop {
            let due = self.plan.due(self.next.fetch_add(1, Ordering::Relaxed));
            if due >= self.plan.duration {
                return;
            }
            tokio::time::sleep_until(self.start + due).await;
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            let late = self.start.elapsed().saturating_sub(due);
            let outcome = self.exchange(&mut connection).await;
            if outcome.is_ok() {
                self.answered.fetch_add(1, Ordering::Relaxed);
            } else {
                connection = None;
            }
            let at = self.start.elapsed();
            let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
            report.count(outcome, at, at.saturating_sub(due), late);
        }
    }

    /// Why it failed is a word or two: there are few reasons, and they are counted.
    async fn exchange(&self, connection: &mut Option<Connection>) -> Result<(), String> {
        let exchange = async {
            let open = match connection {
                Some(open) => open,
                None => connection.insert(
                    Connection::open(self.plan.addr).await.map_err(|error| format!("connect: {}", error.kind()))?,
                ),
            };
            let reply = open.exchange(&self.request).await.map_err(|error| reason(&error))?;
            let (status, close) = (reply.status, reply.close);
            if close {
                *connection = None;
            }
            if status < 400 { Ok(()) } else { Err(format!("status {status}")) }
        };
        tokio::time::timeout(self.plan.timeout, exchange).await.unwrap_or_else(|_| Err("timeout".into()))
    }
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "closed before the answer".into(),
        io::ErrorKind::InvalidData => format!("not HTTP: {error}"),
        kind => kind.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// A server that answers each connection's requests with what `answer` says of their number.
    fn server(answer: fn(u64) -> (Duration, &'static str)) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let count = Arc::new(AtomicU64::new(0));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, count) = (stream.unwrap(), Arc::clone(&count));
                std::thread::spawn(move || {
                    while stream.read(&mut [0; 1024]).is_ok_and(|bytes| bytes > 0) {
                        let (pause, reply) = answer(count.fetch_add(1, Ordering::Relaxed));
                        std::thread::sleep(pause);
                        if reply.is_empty() || stream.write_all(reply.as_bytes()).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        url
    }

    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

    #[test]
    fn every_request_of_the_plan_is_attempted() {
        let url = server(|_| (Duration::ZERO, OK));
        let plan =
            Plan { rate: 1_000, duration: Duration::from_millis(300), connections: 8, ..Plan::to(&url).unwrap() };
        let report = start(plan).wait();
        assert_eq!((report.attempted, report.answered), (300, 300));
        assert_eq!(report.summary().latency_us.count, 300);
    }

    #[test]
    fn failures_are_counted_by_their_reason() {
        let url = server(|n| match n % 4 {
            0 => (Duration::ZERO, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"),
            1 => (Duration::ZERO, ""),
            2 => (Duration::ZERO, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
            _ => (Duration::ZERO, OK),
        });
        let plan = Plan { rate: 400, duration: Duration::from_millis(100), connections: 1, ..Plan::to(&url).unwrap() };
        let report = start(plan).wait();
        assert_eq!((report.attempted, report.answered), (40, 20));
        assert_eq!(report.failed["status 503"], 10);
        assert_eq!(report.failed["closed before the answer"], 10);
    }

    /// One connection, a request every 10 ms, and a stall of 200 ms: the requests that were due meanwhile have waited.
    #[test]
    fn a_stall_is_seen_by_all_that_were_due() {
        let url = server(|n| (Duration::from_millis(if n == 5 { 200 } else { 0 }), OK));
        let plan = Plan { rate: 100, duration: Duration::from_millis(400), connections: 1, ..Plan::to(&url).unwrap() };
        let report = start(plan).wait();
        assert_eq!(report.answered, 40);
        assert!(report.late >= 10, "{} were late", report.late);
        assert!(report.summary().latency_us.p90 >= 100_000, "{report}");
    }

    #[test]
    fn a_server_that_is_not_there_is_a_reason() {
        let nobody = "127.0.0.1:1"; // tcpmux, which nobody runs
        let plan = Plan { duration: Duration::from_millis(20), ..Plan::to(&format!("http://{nobody}")).unwrap() };
        assert_eq!(start(plan).wait().failed["connect: connection refused"], 10);
    }
}
