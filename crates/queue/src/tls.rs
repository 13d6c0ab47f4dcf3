//! `[queue.tls]`: the beanstalkd protocol with TLS, on ports of its own.

use std::sync::Arc;
use std::time::Duration;

use net::listen::ListenAddr;
use net::tls::{
    CertificateConfig, Certificates, ServerConfig, ServerSettings, Strangers, TlsError, TlsSocket, server_config,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stdx::clock::SystemClock;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// Listeners that speak TLS. Without an address there are none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// Addresses to serve the beanstalkd protocol with TLS on. On those that other machines can reach every connection begins
    /// with `auth`.
    pub listen: Vec<ListenAddr>,
    /// The certificates, each for the names that stand in it; the first also serves clients that name no host, or another.
    /// Read again on HUP and when a file changes.
    #[schemars(length(max = 1_000))]
    pub certificates: Vec<CertificateConfig>,
    /// Handshakes under way at once; beyond it they wait, within their time.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub handshakes_max: u32,
    /// Time for a handshake, and again until `auth` where that is asked for; beyond it the connection is closed.
    #[schemars(range(min = 1, max = 3_600_000))]
    pub handshake_timeout_ms: u32,
}

impl Default for TlsConfig {
    fn default() -> TlsConfig {
        TlsConfig { listen: Vec::new(), certificates: Vec::new(), handshakes_max: 256, handshake_timeout_ms: 10_000 }
    }
}

/// What the listeners with TLS share.
#[derive(Debug)]
pub(crate) struct Tls {
    config: Arc<ServerConfig>,
    pub(crate) certificates: Certificates,
    handshakes: Semaphore,
    timeout: Duration,
}

impl Tls {
    /// What `config` says; reads its certificates.
    ///
    /// # Errors
    /// When they cannot be used.
    pub(crate) fn open(config: &TlsConfig) -> Result<Tls, TlsError> {
        let certificates = Certificates::open(&config.certificates, None, Strangers::First, SystemClock::shared())?;
        Ok(Tls {
            config: server_config(certificates.store(), &ServerSettings::default())?,
            certificates,
            handshakes: Semaphore::new(config.handshakes_max as usize),
            timeout: Duration::from_millis(config.handshake_timeout_ms.into()),
        })
    }

    /// How long a connection may take until it has said whose it is.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Waits for a client's handshake; `None` when none comes in time.
    pub(crate) async fn open_socket(&self, stream: TcpStream) -> Option<TlsSocket> {
        let shake = async {
            // Who has said nothing yet takes nobody's place.
            if stream.peek(&mut [0]).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            let permit = self.handshakes.acquire().await.map_err(std::io::Error::other)?;
            let socket = TlsSocket::accept(stream, Arc::clone(&self.config)).await;
            drop(permit);
            socket
        };
        match tokio::time::timeout(self.timeout, shake).await {
            Ok(Ok(socket)) => Some(socket),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a connection ended before its handshake");
                None
            }
            Err(_) => {
                tracing::debug!("a connection made no handshake in time");
                None
            }
        }
    }
}
