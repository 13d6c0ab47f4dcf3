//! TLS towards others: whom they are believed by, what they are shown, what is spoken with them.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use arc_swap::ArcSwap;
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, TlsStream};

use super::anyone::BelievesAnyone;
use super::certificate::{chain_from_pem, identity, provider, read};
use super::{CertificateConfig, Files, Stamp, TlsError};

/// TLS towards the endpoints of an upstream.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConnectConfig {
    /// The name that is asked for and that certificates must be for. Absent: the host of `dns`; the endpoint's address where
    /// addresses are listed.
    pub server_name: Option<String>,
    /// The file of the authorities that certificates are checked with, in PEM form. Absent: those of the system.
    pub ca: Option<PathBuf>,
    /// What of a certificate is checked.
    pub verify: Verify,
    /// The certificate that endpoints are shown. Read again when a file of it changes, as `ca` is.
    pub certificate: Option<CertificateConfig>,
    /// What is offered, best first; the endpoint takes one of them (ALPN), and one that takes none speaks HTTP/1.1.
    #[schemars(length(min = 1, max = 2))]
    pub protocols: Vec<Alpn>,
}

/// What of a certificate is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verify {
    /// That an authority vouches for it, its time, and its name.
    #[default]
    Full,
    /// Nothing: whoever stands in between can read and change everything.
    Nothing,
}

/// A protocol as clients and servers name it to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Alpn {
    /// HTTP/2.
    #[serde(rename = "h2")]
    Http2,
    /// HTTP/1.1.
    #[serde(rename = "http/1.1")]
    Http1,
}

impl Default for ConnectConfig {
    fn default() -> ConnectConfig {
        let protocols = vec![Alpn::Http2, Alpn::Http1];
        ConnectConfig { server_name: None, ca: None, verify: Verify::default(), certificate: None, protocols }
    }
}

impl ConnectConfig {
    /// The files that it names.
    pub fn files(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let shown = self.certificate.as_mut().map(|one| [&mut one.cert, &mut one.key]);
        self.ca.iter_mut().chain(shown.into_iter().flatten())
    }
}

/// Makes connections with TLS; sessions are taken up again.
#[derive(Debug)]
pub struct Connector {
    id: u32,
    written: ConnectConfig,
    server_name: Option<ServerName<'static>>,
    loaded: ArcSwap<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    /// Offers all that was written.
    any: Arc<ClientConfig>,
    /// Offers HTTP/1.1 alone.
    http1: Arc<ClientConfig>,
    /// How the files looked before they were read.
    stamps: Vec<Stamp>,
}

/// Two are equal when they are the same.
impl PartialEq for Connector {
    fn eq(&self, other: &Connector) -> bool {
        self.id == other.id
    }
}

impl Connector {
    /// Reads everything that `written` names.
    ///
    /// # Errors
    /// When a file is missing or bad, or the system has no authorities.
    pub fn new(written: &ConnectConfig) -> Result<Connector, TlsError> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let server_name = written.server_name.as_ref().map(|name| {
            let refused = |_| TlsError::Authority(format!("`{name}` is no name that a certificate can be for"));
            ServerName::try_from(name.clone()).map_err(refused)
        });
        Ok(Connector {
            id: NEXT.fetch_add(1, Relaxed),
            server_name: server_name.transpose()?,
            loaded: ArcSwap::from_pointee(load(written)?),
            written: written.clone(),
        })
    }

    /// Unlike that of any other.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// What it was made from.
    #[must_use]
    pub fn written(&self) -> &ConnectConfig {
        &self.written
    }

    /// Whether HTTP/2 is offered.
    #[must_use]
    pub fn offers_http2(&self) -> bool {
        self.written.protocols.contains(&Alpn::Http2)
    }

    /// Whether HTTP/1.1 is offered.
    #[must_use]
    pub fn offers_http1(&self) -> bool {
        self.written.protocols.contains(&Alpn::Http1)
    }

    /// Reads the files again if one looks otherwise than when it was last read; whether one did. Open connections stay.
    ///
    /// # Errors
    /// When one cannot be used: what was in use stays in use, and the next call says so again.
    pub fn refresh(&self) -> Result<bool, TlsError> {
        if stamps(&self.written) == self.loaded.load().stamps {
            return Ok(false);
        }
        self.loaded.store(Arc::new(load(&self.written)?));
        Ok(true)
    }

    /// Makes the handshake on a connection to the host `name`, which the certificate must be for, and offers HTTP/1.1 alone.
    ///
    /// # Errors
    /// When the other side goes away, its certificate is not good, or there is no such name.
    pub async fn connect_to(&self, name: &str, tcp: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(name.to_string()).map_err(io::Error::other)?;
        let config = Arc::clone(&self.loaded.load().http1);
        Ok(TlsConnector::from(config).connect(name, tcp).await?.into())
    }

    /// Makes the handshake on a connection to `addr`. `only_http1`: nothing else is offered, where HTTP/1.1 is at all.
    ///
    /// # Errors
    /// When the other side goes away, or its certificate is not good.
    pub async fn connect(
        &self,
        addr: SocketAddr,
        tcp: TcpStream,
        only_http1: bool,
    ) -> io::Result<TlsStream<TcpStream>> {
        let config = {
            let loaded = self.loaded.load();
            Arc::clone(if only_http1 && self.offers_http1() { &loaded.http1 } else { &loaded.any })
        };
        let name = self.server_name.clone().unwrap_or_else(|| ServerName::IpAddress(addr.ip().into()));
        Ok(TlsConnector::from(config).connect(name, tcp).await?.into())
    }
}

fn stamps(written: &ConnectConfig) -> Vec<Stamp> {
    let ca = written.ca.iter().map(|path| Stamp::of(&[path]));
    let shown = written.certificate.iter().map(|one| Stamp::of(&[&one.cert, &one.key]));
    ca.chain(shown).collect()
}

fn load(written: &ConnectConfig) -> Result<Loaded, TlsError> {
    let stamps = stamps(written);
    let provider = Arc::new(provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Settings)?;
    let builder = match written.verify {
        Verify::Full => {
            let roots = Arc::new(roots(written.ca.as_deref())?);
            let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
            builder.with_webpki_verifier(verifier.map_err(|error| TlsError::Authority(error.to_string()))?)
        }
        Verify::Nothing => builder.dangerous().with_custom_certificate_verifier(Arc::new(BelievesAnyone(provider))),
    };
    let mut http1 = match &written.certificate {
        None => builder.with_no_client_auth(),
        Some(CertificateConfig { cert, key }) => {
            let (chain, key) = identity(&Files { chain: cert.clone(), key: key.clone() })?;
            builder.with_client_auth_cert(chain, key).map_err(TlsError::Settings)?
        }
    };
    http1.alpn_protocols = vec![b"http/1.1".to_vec()];
    let mut any = http1.clone();
    let names = written.protocols.iter().map(|one| match one {
        Alpn::Http2 => b"h2".to_vec(),
        Alpn::Http1 => b"http/1.1".to_vec(),
    });
    any.alpn_protocols = names.collect();
    Ok(Loaded { any: Arc::new(any), http1: Arc::new(http1), stamps })
}

/// The authorities of a file, or of the system.
fn roots(ca: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = ca {
        for root in chain_from_pem(&path.display().to_string(), &read(path)?)? {
            roots.add(root).map_err(|error| TlsError::Authority(error.to_string()))?;
        }
        return Ok(roots);
    }
    let found = rustls_native_certs::load_native_certs();
    let (added, _unreadable) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let why = found.errors.first().map_or_else(|| "it names none".to_string(), ToString::to_string);
        return Err(TlsError::Authority(format!("the system has no authorities ({why}): name them with `ca`")));
    }
    Ok(roots)
}
