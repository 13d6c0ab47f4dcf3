//! Connections to endpoints, kept by one worker for itself.
//!
//! Only a connection whose last exchange was whole comes back: hyper says that it is ready again, which it is not after
//! an unfinished request, an unfinished reply, extra bytes, or a try that was given up.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use stdx::clock::Mono;
use tokio::net::TcpStream;

use crate::access::Outcome;
use crate::body::ClientBody;
use crate::config::Config;
use crate::endpoint::EndpointKey;

/// Bytes of a reply's head, and of a connection's read buffer. A reply's fields are bounded by hyper's own limit of 100:
/// so many it parses without an allocation.
const BUFFER_BYTES_MAX: usize = 64 << 10;

/// A connection that can take one request at a time.
pub(crate) type Sender = SendRequest<ClientBody>;

/// The idle connections of one worker.
#[derive(Debug)]
pub(crate) struct Pool {
    idle: RefCell<HashMap<EndpointKey, Vec<Idle>>>,
    idle_max: usize,
    idle_timeout: Duration,
    connect_timeout: Duration,
}

#[derive(Debug)]
struct Idle {
    sender: Sender,
    since: Mono,
}

impl Pool {
    pub(crate) fn new(config: &Config) -> Pool {
        Pool {
            idle: RefCell::default(),
            idle_max: usize::from(config.pool_idle_max),
            idle_timeout: Duration::from_millis(u64::from(config.pool_idle_timeout_ms)),
            connect_timeout: Duration::from_millis(u64::from(config.connect_timeout_ms)),
        }
    }

    /// The idle connection that was used last, if one is alive and young.
    pub(crate) fn take(&self, key: EndpointKey, now: Mono) -> Option<Sender> {
        let mut idle = self.idle.borrow_mut();
        let list = idle.get_mut(&key)?;
        while let Some(one) = list.pop() {
            if one.sender.is_ready() && now.since(one.since) < self.idle_timeout {
                return Some(one.sender);
            }
        }
        None
    }

    /// Keeps a connection whose exchange is whole; drops it when it is not, or when enough are kept.
    pub(crate) fn put(&self, key: EndpointKey, sender: Sender, now: Mono) {
        let mut idle = self.idle.borrow_mut();
        let list = idle.entry(key).or_default();
        if sender.is_ready() && list.len() < self.idle_max {
            list.push(Idle { sender, since: now });
        }
    }

    /// Closes all idle connections to an endpoint: one of them turned out to be dead.
    pub(crate) fn forget(&self, key: EndpointKey) {
        self.idle.borrow_mut().remove(&key);
    }

    /// Closes idle connections to endpoints that are gone.
    pub(crate) fn retain(&self, present: impl Fn(&EndpointKey) -> bool) {
        self.idle.borrow_mut().retain(|key, _| present(key));
    }

    /// Closes what is dead or has idled for too long.
    pub(crate) fn sweep(&self, now: Mono) {
        self.idle.borrow_mut().retain(|_, list| {
            list.retain(|one| !one.sender.is_closed() && now.since(one.since) < self.idle_timeout);
            !list.is_empty()
        });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.idle.borrow().is_empty()
    }

    /// A new connection, driven by a task of its own on this worker.
    ///
    /// # Errors
    /// `Refused` or `ConnectTimeout`; nothing was sent then.
    pub(crate) async fn connect(&self, addr: SocketAddr, time_left: Duration) -> Result<Sender, Outcome> {
        let limit = self.connect_timeout.min(time_left);
        match tokio::time::timeout(limit, open(addr)).await {
            Ok(Ok(sender)) => Ok(sender),
            Ok(Err(error)) => {
                tracing::debug!(%addr, %error, "cannot connect to endpoint");
                Err(Outcome::Refused)
            }
            Err(_) => Err(Outcome::ConnectTimeout),
        }
    }
}

async fn open(addr: SocketAddr) -> io::Result<Sender> {
    let stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(BUFFER_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    tokio::task::spawn_local(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%addr, %error, "connection to endpoint ended");
        }
    });
    Ok(sender)
}
