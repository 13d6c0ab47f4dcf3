//! Handshakes of an authority that looks whether a host is ours: TLS-ALPN-01 (RFC 8737).

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::server::{Acceptor, ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::certificate::{chain_from_pem, key_from_pem, provider};
use super::server::resolving;
use super::{ServerSettings, TlsError};

/// The one protocol that an authority offers.
const PROTOCOL: &[u8] = b"acme-tls/1";

/// Certificates that answer challenges, by host.
pub struct TlsChallenges {
    answers: Arc<Answers>,
    /// Shows nothing else, and asks nobody for a certificate.
    config: Arc<ServerConfig>,
}

#[derive(Default)]
struct Answers(ArcSwap<HashMap<String, Arc<CertifiedKey>>>);

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.load().keys()).finish()
    }
}

impl fmt::Debug for TlsChallenges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsChallenges").field("hosts", &self.answers).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Answers {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load().get(&hello.server_name()?.to_ascii_lowercase()).cloned()
    }
}

impl TlsChallenges {
    /// Without any.
    ///
    /// # Errors
    /// When rustls refuses the settings.
    pub fn new() -> Result<TlsChallenges, TlsError> {
        let answers = Arc::new(Answers::default());
        let settings = ServerSettings { alpn: vec![PROTOCOL.to_vec()], ..ServerSettings::default() };
        let mut config = resolving(Arc::clone(&answers) as Arc<dyn ResolvesServerCert>, &settings)?;
        // One look, one handshake: there is nothing to take up again.
        if let Some(config) = Arc::get_mut(&mut config) {
            config.send_tls13_tickets = 0;
        }
        Ok(TlsChallenges { answers, config })
    }

    /// Shows an authority that asks for `host` this certificate, until [`TlsChallenges::forget`]. It is for authorities alone:
    /// what makes it an answer makes everybody else refuse it.
    ///
    /// # Errors
    /// When there is none in the texts, or its key cannot be used.
    pub fn answer(&self, host: &str, chain: &str, key: &str) -> Result<(), TlsError> {
        let failed = |source| TlsError::Key { what: format!("the challenge for {host}"), source };
        let signing = provider().key_provider.load_private_key(key_from_pem(host, key.as_bytes())?).map_err(failed)?;
        let shown = Arc::new(CertifiedKey::new(chain_from_pem(host, chain.as_bytes())?, signing));
        self.answers.0.rcu(|all| {
            let mut all = HashMap::clone(all);
            all.insert(host.to_ascii_lowercase(), Arc::clone(&shown));
            all
        });
        Ok(())
    }

    /// The challenge of this host is over.
    pub fn forget(&self, host: &str) {
        self.answers.0.rcu(|all| {
            let mut all = HashMap::clone(all);
            all.remove(&host.to_ascii_lowercase());
            all
        });
    }

    /// Whether an authority may come: only then handshakes have to pass here.
    pub fn are_awaited(&self) -> bool {
        !self.answers.0.load().is_empty()
    }

    /// Makes a handshake, of an authority or by `config`; `None` when it was an authority's, which has seen what it wanted.
    ///
    /// # Errors
    /// When it fails.
    pub async fn accept(
        &self,
        tcp: TcpStream,
        config: Arc<ServerConfig>,
        unsent_bytes_max: usize,
    ) -> io::Result<Option<TlsStream<TcpStream>>> {
        let start = LazyConfigAcceptor::new(Acceptor::default(), tcp).await?;
        let is_authority = start.client_hello().alpn().is_some_and(|mut offered| {
            // It offers nothing else (RFC 8737, 3); whoever does is a client.
            offered.next() == Some(PROTOCOL) && offered.next().is_none()
        });
        if !is_authority {
            let limit = |session: &mut rustls::ServerConnection| session.set_buffer_limit(Some(unsent_bytes_max));
            return Ok(Some(start.into_stream_with(config, limit).await?));
        }
        let mut stream = start.into_stream(Arc::clone(&self.config)).await?;
        stream.shutdown().await?;
        Ok(None)
    }
}
