//! What happens to a connection before its first request: the PROXY protocol, TLS.
//!
//! A plain connection of nobody who speaks for others comes past here without waiting for anything.

mod acme;
mod handle;
mod https;
mod rows;
mod secured;

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use net::proxy_protocol;
use net::tls::{
    Certificate, Certificates, ClientAuth, ClientIdentity, ServerConfig, ServerSettings, Strangers, TlsError,
    server_config,
};
use stdx::clock::SharedClock;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use crate::config::{ClientCertificate, Config, TlsVersion};
use crate::conn::Conn;
use crate::peers::TrustedPeers;
use crate::shared::Phase;
use crate::start_error::StartError;
use crate::sweep::Sweep;
use crate::worker::Worker;

pub(crate) use self::acme::Acme;
pub(crate) use https::{Https, is_secure, location};
pub(crate) use net::stream::Stream;
pub(crate) use secured::Secured;

/// Bytes of a reply that a client with TLS has not taken, beside what the kernel keeps.
const UNSENT_BYTES_MAX: usize = 32 << 10;

/// How clients and listeners name the protocols to each other (ALPN).
const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// What a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    Plain,
    Tls,
}

impl Speaks {
    /// What a listener of this kind is for, as the next process knows it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Speaks::Plain => "http",
            Speaks::Tls => "https",
        }
    }
}

/// What the edge needs, the same for all workers.
#[derive(Debug)]
pub(crate) struct Edge {
    /// Peers that begin every connection with a PROXY protocol header.
    pub(crate) proxies: TrustedPeers,
    pub(crate) tls: Option<Tls>,
    /// The addresses that are served with TLS.
    bound: Vec<SocketAddr>,
    /// The port that redirects name.
    pub(crate) https_port: Option<u16>,
    /// Certificates from an authority.
    pub(crate) acme: Option<Acme>,
}

/// The listeners with TLS.
pub(crate) struct Tls {
    config: Arc<ServerConfig>,
    pub(crate) certificates: Certificates,
    handshakes: Semaphore,
    timeout: Duration,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("certificates", &self.certificates).finish_non_exhaustive()
    }
}

/// A connection whose first request may come.
pub(crate) struct Opened {
    pub(crate) stream: Stream,
    pub(crate) peer: SocketAddr,
    /// What it connected to, where that is known.
    pub(crate) local: Option<SocketAddr>,
    /// The client speaks HTTP/2.
    pub(crate) http2: bool,
    pub(crate) secured: Option<Rc<Secured>>,
}

impl Edge {
    /// What `config` says; certificates are read when there is a listener for them.
    ///
    /// # Errors
    /// When certificates or authorities cannot be used.
    pub(crate) fn open(
        config: &Config,
        proxies: TrustedPeers,
        bound: Vec<SocketAddr>,
        data: Option<&Path>,
        clock: &SharedClock,
    ) -> Result<Edge, StartError> {
        let acme = if bound.is_empty() { None } else { config.tls.acme.as_ref() };
        let acme = acme.map(|acme| Acme::open(acme, data)).transpose()?;
        let kept = acme.as_ref().map(|acme| acme.kept(clock)).transpose()?;
        let tls = if bound.is_empty() { None } else { Some(Tls::open(config, kept, clock)?) };
        let https_port = config.tls.redirect_port.or(bound.first().map(SocketAddr::port));
        Ok(Edge { proxies, tls, bound, https_port, acme })
    }

    /// Whether a connection must wait here before its first request.
    pub(crate) fn concerns(&self, speaks: Speaks, peer: IpAddr) -> bool {
        speaks == Speaks::Tls || self.proxies.contains(peer)
    }
}

impl Tls {
    /// `kept`: what was obtained from an authority before; `None` when none is asked.
    fn open(config: &Config, kept: Option<Vec<Certificate>>, clock: &SharedClock) -> Result<Tls, TlsError> {
        let http2 = config.http2.enabled;
        let config = &config.tls;
        let strangers = if config.strict_names { Strangers::Refused } else { Strangers::First };
        let certificates = Certificates::open(&config.certificates, kept, strangers, Arc::clone(clock))?;
        let authorities = || {
            let path = config.client_ca.clone().unwrap_or_default();
            std::fs::read(&path).map_err(|source| TlsError::Read { path, source })
        };
        let client_auth = match config.client_certificate {
            ClientCertificate::Off => ClientAuth::None,
            ClientCertificate::Optional => ClientAuth::Optional(authorities()?),
            ClientCertificate::Required => ClientAuth::Required(authorities()?),
        };
        let settings = ServerSettings {
            alpn: if http2 { vec![HTTP2.to_vec(), HTTP1.to_vec()] } else { vec![HTTP1.to_vec()] },
            tls13_only: config.version_min == TlsVersion::V1_3,
            client_auth,
        };
        Ok(Tls {
            config: server_config(certificates.store(), &settings)?,
            certificates,
            handshakes: Semaphore::new(config.handshakes_max as usize),
            timeout: Duration::from_millis(config.handshake_timeout_ms.into()),
        })
    }
}

/// Brings a connection to where its first request may come; `None` when it does not come so far, which is said in the log
/// and nowhere else: a stranger can cause it at will.
pub(crate) async fn open(worker: &Rc<Worker>, stream: TcpStream, peer: SocketAddr, speaks: Speaks) -> Option<Opened> {
    let edge = &worker.shared.edge;
    let timeout = edge.tls.as_ref().map_or(worker.header_time(), |tls| tls.timeout);
    // Watched like any other, so that a router that leaves waits for it and no longer than it has to.
    let conn = Rc::new(Conn::new((peer, None), false, None, worker.sweep.clock()));
    let _watched = Sweep::watch(worker, Rc::clone(&conn));
    let opening = tokio::time::timeout(timeout, until_end(worker, &conn, opening(edge, stream, peer, speaks)));
    match opening.await {
        Ok(Some(Ok(opened))) => Some(opened),
        Ok(Some(Err(error))) => {
            tracing::debug!(%peer, %error, "connection ended before its first request");
            None
        }
        Ok(None) | Err(_) => {
            tracing::debug!(%peer, "connection did not come to its first request in time");
            None
        }
    }
}

/// Why a connection ends before its first request.
#[derive(Debug, thiserror::Error)]
enum Unopened {
    #[error(transparent)]
    Proxy(#[from] proxy_protocol::ReadError),
    #[error("the handshake failed: {0}")]
    Handshake(#[from] std::io::Error),
    #[error("no TLS is set up")]
    NoTls,
    #[error("it was an authority's, and has seen what it wanted")]
    Challenge,
}

async fn opening(
    edge: &Arc<Edge>,
    mut stream: TcpStream,
    mut peer: SocketAddr,
    speaks: Speaks,
) -> Result<Opened, Unopened> {
    let mut local = stream.local_addr().ok();
    if edge.proxies.contains(peer.ip()) {
        let header = proxy_protocol::read(&mut stream).await?;
        if let Some(addresses) = header.addresses {
            (peer, local) = (addresses.source, Some(addresses.destination));
        }
    }
    if speaks == Speaks::Plain {
        return Ok(Opened { stream: Stream::Plain(stream), peer, local, http2: false, secured: None });
    }
    let tls = edge.tls.as_ref().ok_or(Unopened::NoTls)?;
    // Who has said nothing yet takes nobody's place.
    if stream.peek(&mut [0]).await? == 0 {
        return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
    }
    let Ok(_permit) = tls.handshakes.acquire().await else { return Err(Unopened::NoTls) };
    let challenges = edge.acme.as_ref().map(|acme| &acme.desk.challenges).filter(|challenges| challenges.are_awaited());
    let stream = match challenges {
        Some(challenges) => {
            let accepted = challenges.accept(stream, Arc::clone(&tls.config), UNSENT_BYTES_MAX).await?;
            accepted.ok_or(Unopened::Challenge)?
        }
        None => {
            let acceptor = TlsAcceptor::from(Arc::clone(&tls.config));
            acceptor.accept_with(stream, |session| session.set_buffer_limit(Some(UNSENT_BYTES_MAX))).await?
        }
    };
    let identity = stream.get_ref().1.peer_certificates().and_then(ClientIdentity::of);
    let http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP2);
    let (stream, secured) = (Stream::Tls(Box::new(stream.into())), Some(Rc::new(Secured::new(identity))));
    Ok(Opened { stream, peer, local, http2, secured })
}

/// Runs until the sweep ends the connection, or the router closes connections without a request; `None` then.
async fn until_end<T>(worker: &Worker, conn: &Conn, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    std::future::poll_fn(|cx: &mut Context<'_>| {
        if conn.poll_expired(cx.waker()).is_some() || worker.phase.get() >= Phase::Draining {
            return Poll::Ready(None);
        }
        Pin::as_mut(&mut work).poll(cx).map(Some)
    })
    .await
}
