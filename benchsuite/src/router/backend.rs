//! The server behind the proxies: answers `GET /N` with N bytes, from a thread of its own, with as little work as can be.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

const CONTENT_BYTES_MAX: usize = 1 << 20;

/// A running backend; it ends with the process.
pub(super) struct Backend {
    pub(super) addr: SocketAddr,
    requests: Arc<AtomicU64>,
}

/// How a backend takes its requests.
#[derive(Clone)]
pub(super) enum Manner {
    /// At once.
    Prompt,
    /// Some at a time, and each takes a while.
    Busy { seats: Arc<Semaphore>, answer: Duration },
    /// Of a hundred so many lie for a while before they are answered; which ones is the same in each run.
    Stalls { percent: u64, time: Duration },
    /// Of a hundred so many are answered with 503.
    Fails { percent: u64 },
    /// With what is made of the request's head; with nothing it closes.
    Answers(Answers),
    /// The same, each after a time of its own.
    Later(LaterAnswers),
}

/// Makes of a request's head how long it lies, and a whole reply.
pub(super) type LaterAnswers = Arc<dyn Fn(&str) -> Option<(Duration, String)> + Send + Sync>;

/// Makes a whole reply of a request's head. A request for this has no content.
pub(super) type Answers = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

impl Backend {
    /// Starts it on a free port, on the calling thread's part of the machine.
    pub(super) fn start() -> Result<Backend> {
        Backend::with(Manner::Prompt)
    }

    /// One that does so much at once, and takes this long for each.
    pub(super) fn busy(at_once: usize, answer: Duration) -> Result<Backend> {
        Backend::with(Manner::Busy { seats: Arc::new(Semaphore::new(at_once)), answer })
    }

    /// One with manners of its own.
    pub(super) fn with(manner: Manner) -> Result<Backend> {
        Backend::on(0, manner)
    }

    fn on(port: u16, manner: Manner) -> Result<Backend> {
        let listener = std::net::TcpListener::bind(("127.0.0.1", port)).context("no port for the backend")?;
        listener.set_nonblocking(true).context("a listener that blocks")?;
        let addr = listener.local_addr().context("a listener without an address")?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no event queue")?;
        let requests = Arc::new(AtomicU64::new(0));
        let server =
            Arc::new(Serving { content: vec![b'x'; CONTENT_BYTES_MAX], manner, requests: Arc::clone(&requests) });
        let serve = move || runtime.block_on(accept(listener, server));
        std::thread::Builder::new().name("backend".into()).spawn(serve).context("no thread for the backend")?;
        Ok(Backend { addr, requests })
    }

    /// Requests that have reached it, answered or not.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }
}

/// Answers on the port in `PORT` until the process ends, away from the processor of the node that started it.
///
/// # Errors
/// When there is no such port.
pub fn serve_as_application() -> Result<()> {
    crate::machine::move_away()?;
    let port = std::env::var("PORT").context("no PORT")?.parse().context("PORT is no port")?;
    let _backend = Backend::on(port, Manner::Prompt)?;
    loop {
        std::thread::park();
    }
}

/// What the connections of a backend share.
struct Serving {
    content: Vec<u8>,
    manner: Manner,
    requests: Arc<AtomicU64>,
}

impl Serving {
    /// Makes the reply to a request, when its time has come; `None` closes the connection.
    async fn reply(&self, request: &[u8], reply: &mut Vec<u8>) -> Option<()> {
        reply.clear();
        if let Manner::Answers(answers) = &self.manner {
            self.requests.fetch_add(1, Relaxed);
            reply.extend_from_slice(answers(std::str::from_utf8(request).ok()?)?.as_bytes());
            return Some(());
        }
        if let Manner::Later(answers) = &self.manner {
            self.requests.fetch_add(1, Relaxed);
            let (after, answer) = answers(std::str::from_utf8(request).ok()?)?;
            tokio::time::sleep(after).await;
            reply.extend_from_slice(answer.as_bytes());
            return Some(());
        }
        let length = wanted(request)?.min(CONTENT_BYTES_MAX);
        let status = self.work().await;
        reply.extend_from_slice(format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n").as_bytes());
        reply.extend_from_slice(&self.content[..length]);
        Some(())
    }

    /// Does what the request asks for; the status of the answer.
    async fn work(&self) -> &'static str {
        // A golden stride spreads any share evenly, and differently from who takes turns.
        let drawn = |n: u64| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % 100;
        let number = self.requests.fetch_add(1, Relaxed);
        match &self.manner {
            Manner::Prompt => {}
            Manner::Busy { seats, answer } => {
                let _seat = seats.acquire().await;
                tokio::time::sleep(*answer).await;
            }
            Manner::Stalls { percent, time } if drawn(number) < *percent => tokio::time::sleep(*time).await,
            Manner::Fails { percent } if drawn(number) < *percent => return "503 Busy",
            Manner::Stalls { .. } | Manner::Fails { .. } | Manner::Answers(_) | Manner::Later(_) => {}
        }
        "200 OK"
    }
}

async fn accept(listener: std::net::TcpListener, server: Arc<Serving>) {
    let listener = TcpListener::from_std(listener).expect("the listener does not block");
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&server)));
        }
    }
}

/// Serves one connection to its end. A request has no content, so it ends with its head.
async fn serve(mut stream: TcpStream, server: Arc<Serving>) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut request = Vec::with_capacity(4096);
    let mut reply = Vec::with_capacity(128 << 10);
    loop {
        while !request.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut request).await.ok()? == 0 {
                return None;
            }
        }
        server.reply(&request, &mut reply).await?;
        stream.write_all(&reply).await.ok()?;
        request.clear();
    }
}

/// `GET /100 HTTP/1.1` wants 100 bytes, and so does `GET /high/100 HTTP/1.1`.
fn wanted(request: &[u8]) -> Option<usize> {
    let path = request.strip_prefix(b"GET /")?;
    let end = path.iter().position(|byte| *byte == b' ')?;
    std::str::from_utf8(&path[..end]).ok()?.rsplit('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Connection;

    #[tokio::test]
    async fn it_answers_with_as_much_as_is_asked_for() {
        let backend = Backend::start().unwrap();
        let mut connection = Connection::open(backend.addr).await.unwrap();
        for length in [100, 100_000] {
            let request = format!("GET /{length} HTTP/1.1\r\nHost: a\r\n\r\n");
            let reply = connection.exchange(request.as_bytes()).await.unwrap();
            assert_eq!((reply.status, reply.body.len()), (200, length));
        }
        assert_eq!(backend.requests(), 2);
    }

    #[tokio::test]
    async fn it_fails_its_share() {
        let backend = Backend::with(Manner::Fails { percent: 30 }).unwrap();
        let mut connection = Connection::open(backend.addr).await.unwrap();
        let mut failed = 0;
        for _ in 0..1_000 {
            failed +=
                u32::from(connection.exchange(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap().status == 503);
        }
        assert!((270..330).contains(&failed), "{failed}");
    }
}
