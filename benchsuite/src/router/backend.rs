//! The server behind the proxies: answers `GET /N` with N bytes, from a thread of its own, with as little work as can be.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

const CONTENT_BYTES_MAX: usize = 1 << 20;

/// A running backend; it ends with the process.
pub(super) struct Backend {
    pub(super) addr: SocketAddr,
}

impl Backend {
    /// Starts it on a free port, on the calling thread's half of the machine.
    pub(super) fn start() -> Result<Backend> {
        Backend::with(None)
    }

    /// One that does so much at once, and takes this long for each.
    pub(super) fn busy(at_once: usize, answer: Duration) -> Result<Backend> {
        Backend::with(Some(Busy { seats: Arc::new(Semaphore::new(at_once)), answer }))
    }

    fn with(busy: Option<Busy>) -> Result<Backend> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").context("no port for the backend")?;
        listener.set_nonblocking(true).context("a listener that blocks")?;
        let addr = listener.local_addr().context("a listener without an address")?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no event queue")?;
        let serve = move || runtime.block_on(accept(listener, busy));
        std::thread::Builder::new().name("backend".into()).spawn(serve).context("no thread for the backend")?;
        Ok(Backend { addr })
    }
}

/// What keeps a backend busy.
#[derive(Clone)]
struct Busy {
    seats: Arc<Semaphore>,
    answer: Duration,
}

impl Busy {
    async fn work(&self) {
        let _seat = self.seats.acquire().await;
        tokio::time::sleep(self.answer).await;
    }
}

async fn accept(listener: std::net::TcpListener, busy: Option<Busy>) {
    let listener = TcpListener::from_std(listener).expect("the listener does not block");
    let content = Arc::new(vec![b'x'; CONTENT_BYTES_MAX]);
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&content), busy.clone()));
        }
    }
}

/// Serves one connection to its end. A request has no content, so it ends with its head.
async fn serve(mut stream: TcpStream, content: Arc<Vec<u8>>, busy: Option<Busy>) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut request = Vec::with_capacity(4096);
    let mut reply = Vec::with_capacity(128 << 10);
    loop {
        while !request.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut request).await.ok()? == 0 {
                return None;
            }
        }
        let length = wanted(&request)?.min(CONTENT_BYTES_MAX);
        if let Some(busy) = &busy {
            busy.work().await;
        }
        reply.clear();
        reply.extend_from_slice(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes());
        reply.extend_from_slice(&content[..length]);
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
    }
}
