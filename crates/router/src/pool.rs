//! Connections to endpoints, kept by one worker for itself.
//!
//! Only a connection whose last exchange was whole comes back: not after an unfinished request, an unfinished reply, extra
//! bytes, or a try that was given up.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use net::proxy_protocol::Addresses;
use net::reach::Reach;
use net::stream::Stream;
use stdx::clock::Mono;
use tokio::sync::Semaphore;

use crate::access::Outcome;
use crate::config::Config;
use crate::h1::{self, Buffers};
use crate::h2::Trunks;
use crate::link::{Link, ReplyContent};
use crate::way::{Speech, Way};

/// How often a worker says at most that endpoints with TLS cannot be connected to.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// A connection to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) way: Way,
    pub(crate) speech: Speech,
    /// What is said on it first.
    pub(crate) reach: Option<&'a Reach>,
    /// The two ends of the client's connection, the second where it is known.
    pub(crate) ends: (SocketAddr, Option<SocketAddr>),
}

/// The idle connections of one worker.
#[derive(Debug)]
pub(crate) struct Pool {
    idle: RefCell<HashMap<Way, Vec<Idle>>>,
    /// Connections that many requests share.
    trunks: Trunks,
    buffers: Buffers,
    idle_max: usize,
    idle_timeout: Duration,
    connect_timeout: Duration,
    /// Room for handshakes with endpoints.
    handshakes: Semaphore,
    /// When a failure was last said where it may be a certificate's.
    said: Cell<Option<Mono>>,
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
            handshakes: Semaphore::new(usize::from(config.endpoint_handshakes_max)),
            said: Cell::new(None),
        }
    }

    /// The idle connection that was used last, if one is alive and young; of those that many share, one with room.
    pub(crate) fn take(&self, way: Way, speech: Speech, now: Mono) -> Option<Link> {
        if speech != Speech::Http1 {
            let trunk = self.trunks.take(way, now).map(Link::H2);
            if trunk.is_some() || speech == Speech::Http2 {
                return trunk;
            }
        }
        let mut idle = self.idle.borrow_mut();
        let list = idle.get_mut(&way)?;
        while let Some(mut one) = list.pop() {
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
    pub(crate) fn put(&self, way: Way, content: ReplyContent, now: Mono) {
        let ReplyContent::H1(content) = content else { return };
        let Some(link) = content.into_link(&self.buffers) else { return };
        let mut idle = self.idle.borrow_mut();
        let list = idle.entry(way).or_default();
        if list.len() < self.idle_max {
            list.push(Idle { link, since: now });
        }
    }

    /// Closes all idle connections to an endpoint: one of them turned out to be dead.
    pub(crate) fn forget(&self, way: Way) {
        self.idle.borrow_mut().remove(&way);
        self.trunks.forget(way);
    }

    /// Closes idle connections to endpoints that are gone.
    pub(crate) fn retain(&self, present: impl Fn(&Way) -> bool) {
        self.idle.borrow_mut().retain(|way, _| present(way));
        self.trunks.retain(present);
    }

    /// Closes what is dead or has idled for too long.
    pub(crate) fn sweep(&self, now: Mono) {
        self.idle.borrow_mut().retain(|_, list| {
            list.retain_mut(|one| one.link.is_quiet() && now.since(one.since) < self.idle_timeout);
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

    /// A new connection, or one with room that another request has opened meanwhile.
    ///
    /// # Errors
    /// `Refused` or `ConnectTimeout`; nothing was sent then.
    pub(crate) async fn connect(&self, wanted: Wanted<'_>, now: Mono, time_left: Duration) -> Result<Link, Outcome> {
        let limit = self.connect_timeout.min(time_left);
        let addr = wanted.way.endpoint.addr;
        let opened = match (wanted.reach, wanted.speech) {
            (None, Speech::Http1) => {
                tokio::time::timeout(limit, h1::Link::open(addr)).await.map(|one| one.map(Link::H1))
            }
            _ => tokio::time::timeout(limit, Box::pin(self.open(wanted, now))).await,
        };
        match opened {
            Ok(Ok(link)) => Ok(link),
            Ok(Err(error)) => {
                let is_new = wanted.reach.is_some() && self.said.get().is_none_or(|said| now.since(said) >= SAY_EVERY);
                if is_new {
                    self.said.set(Some(now));
                    tracing::warn!(%addr, %error, "cannot connect to endpoint; not said again for a while");
                } else {
                    tracing::debug!(%addr, %error, "cannot connect to endpoint");
                }
                Err(Outcome::Refused)
            }
            Err(_) => Err(Outcome::ConnectTimeout),
        }
    }

    async fn open(&self, wanted: Wanted<'_>, now: Mono) -> io::Result<Link> {
        let Wanted { way, speech, .. } = wanted;
        if speech == Speech::Http1 {
            return Ok(Link::H1(h1::Link::on(self.stream(&wanted).await?)));
        }
        let _turn = self.trunks.turn(way).await;
        if let Some(trunk) = self.trunks.take(way, now) {
            return Ok(Link::H2(trunk));
        }
        let stream = self.stream(&wanted).await?;
        if speech == Speech::Http2 || stream.speaks_http2() {
            Ok(Link::H2(self.trunks.begin(way, stream, now).await?))
        } else {
            self.trunks.declined(way);
            Ok(Link::H1(h1::Link::on(stream)))
        }
    }

    async fn stream(&self, wanted: &Wanted<'_>) -> io::Result<Stream> {
        const PLAIN: &Reach = &Reach { tls: None, proxy_protocol: None };
        let reach = wanted.reach.unwrap_or(PLAIN);
        let _permit = match reach.tls {
            Some(_) => self.handshakes.acquire().await.ok(),
            None => None,
        };
        let (source, local) = wanted.ends;
        let nowhere = || if source.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let destination = local.unwrap_or_else(|| SocketAddr::new(nowhere(), 0));
        let client = Addresses { source, destination };
        reach.open(wanted.way.endpoint.addr, Some(client), wanted.speech == Speech::Http1).await
    }
}
