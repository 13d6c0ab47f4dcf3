//! Connections to endpoints, kept by one worker for itself.
//!
//! Only a connection whose last exchange was whole comes back: not after an unfinished request, an unfinished reply, extra
//! bytes, or a try that was given up.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use stdx::clock::Mono;

use crate::access::Outcome;
use crate::config::{Config, Protocol};
use crate::endpoint::EndpointKey;
use crate::h1::{self, Buffers};
use crate::h2::Trunks;
use crate::link::{Link, ReplyContent};

/// The idle connections of one worker.
#[derive(Debug)]
pub(crate) struct Pool {
    idle: RefCell<HashMap<EndpointKey, Vec<Idle>>>,
    /// Connections that many requests share.
    trunks: Trunks,
    buffers: Buffers,
    idle_max: usize,
    idle_timeout: Duration,
    connect_timeout: Duration,
}

#[derive(Debug)]
struct Idle {
    link: h1::Link,
    since: Mono,
}

impl Pool {
    pub(crate) fn new(config: &Config) -> Pool {
        Pool {
            idle: RefCell::default(),
            trunks: Trunks::default(),
            buffers: Buffers::default(),
            idle_max: usize::from(config.pool_idle_max),
            idle_timeout: Duration::from_millis(u64::from(config.pool_idle_timeout_ms)),
            connect_timeout: Duration::from_millis(u64::from(config.connect_timeout_ms)),
        }
    }

    /// The idle connection that was used last, if one is alive and young; of those that many share, one with room.
    pub(crate) fn take(&self, key: EndpointKey, protocol: Protocol, now: Mono) -> Option<Link> {
        if protocol == Protocol::H2c {
            return self.trunks.take(key, now).map(Link::H2);
        }
        let mut idle = self.idle.borrow_mut();
        let list = idle.get_mut(&key)?;
        while let Some(one) = list.pop() {
            if one.link.is_quiet() && now.since(one.since) < self.idle_timeout {
                return Some(Link::H1(one.link));
            }
        }
        None
    }

    /// Buffers for an exchange.
    pub(crate) fn buffers(&self) -> &Buffers {
        &self.buffers
    }

    /// Keeps the connection of an exchange that is whole; closes it when it is not, or when enough are kept.
    pub(crate) fn put(&self, key: EndpointKey, content: ReplyContent, now: Mono) {
        let ReplyContent::H1(content) = content else { return };
        let Some(link) = content.into_link(&self.buffers) else { return };
        let mut idle = self.idle.borrow_mut();
        let list = idle.entry(key).or_default();
        if list.len() < self.idle_max {
            list.push(Idle { link, since: now });
        }
    }

    /// Closes all idle connections to an endpoint: one of them turned out to be dead.
    pub(crate) fn forget(&self, key: EndpointKey) {
        self.idle.borrow_mut().remove(&key);
        self.trunks.forget(key);
    }

    /// Closes idle connections to endpoints that are gone.
    pub(crate) fn retain(&self, present: impl Fn(&EndpointKey) -> bool) {
        self.idle.borrow_mut().retain(|key, _| present(key));
        self.trunks.retain(present);
    }

    /// Closes what is dead or has idled for too long.
    pub(crate) fn sweep(&self, now: Mono) {
        self.idle.borrow_mut().retain(|_, list| {
            list.retain(|one| one.link.is_quiet() && now.since(one.since) < self.idle_timeout);
            !list.is_empty()
        });
        self.trunks.sweep(now, self.idle_timeout);
    }

    /// How many are idle.
    pub(crate) fn idle(&self) -> usize {
        self.idle.borrow().values().map(Vec::len).sum::<usize>() + self.trunks.idle()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.idle.borrow().is_empty() && self.trunks.is_empty()
    }

    /// A new connection.
    ///
    /// # Errors
    /// `Refused` or `ConnectTimeout`; nothing was sent then.
    pub(crate) async fn connect(
        &self,
        key: EndpointKey,
        protocol: Protocol,
        now: Mono,
        time_left: Duration,
    ) -> Result<Link, Outcome> {
        let limit = self.connect_timeout.min(time_left);
        let opened = match protocol {
            Protocol::Http1 => tokio::time::timeout(limit, h1::Link::open(key.addr)).await.map(|one| one.map(Link::H1)),
            Protocol::H2c => {
                let opening = Box::pin(self.trunks.open(key, now));
                tokio::time::timeout(limit, opening).await.map(|one| one.map(Link::H2))
            }
        };
        match opened {
            Ok(Ok(link)) => Ok(link),
            Ok(Err(error)) => {
                tracing::debug!(addr = %key.addr, %error, "cannot connect to endpoint");
                Err(Outcome::Refused)
            }
            Err(_) => Err(Outcome::ConnectTimeout),
        }
    }
}
