//! The server behind the proxies: answers `GET /N` with N bytes, from a thread of its own, with as little work as can be.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const CONTENT_BYTES_MAX: usize = 1 << 20;

/// A running backend; it ends with the process.
pub(super) struct Backend {
    pub(super) addr: SocketAddr,
}

impl Backend {
    /// Starts it on a free port, on the calling thread's half of the machine.
    pub(super) fn start() -> Result<Backend> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").context("no port for the backend")?;
        listener.set_nonblocking(true).context("a listener that blocks")?;
        let addr = listener.local_addr().context("a listener without an address")?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().context("no event queue")?;
        let serve = move || runtime.block_on(accept(listener));
        std::thread::Builder::new().name("backend".into()).spawn(serve).context("no thread for the backend")?;
        Ok(Backend { addr })
    }
}

async fn accept(listener: std::net::TcpListener) {
    let listener = TcpListener::from_std(listener).expect("the listener does not block");
    let content = Arc::new(vec![b'x'; CONTENT_BYTES_MAX]);
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&content)));
        }
    }
}

/// Serves one connection to its end. A request has no content, so it ends with its head.
async fn serve(mut stream: TcpStream, content: Arc<Vec<u8>>) -> Option<()> {
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
        reply.clear();
        reply.extend_from_slice(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes());
        reply.extend_from_slice(&content[..length]);
        stream.write_all(&reply).await.ok()?;
        request.clear();
    }
}

/// `GET /100 HTTP/1.1` wants 100 bytes.
fn wanted(request: &[u8]) -> Option<usize> {
    let path = request.strip_prefix(b"GET /")?;
    let end = path.iter().position(|byte| *byte == b' ')?;
    std::str::from_utf8(&path[..end]).ok()?.parse().ok()
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
