//! The settings of a listener as rustls wants them.

use std::sync::Arc;

use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ResolvesServerCert, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig};

use super::certificate::{chain_from_pem, provider};
use super::{CertificateStore, TlsError};

/// What a listener offers and asks for.
#[derive(Clone, Debug, Default)]
pub struct ServerSettings {
    /// Protocols by preference: `h2`, `http/1.1`. A client that names none of them is refused; one that names nothing is not.
    pub alpn: Vec<Vec<u8>>,
    /// Refuses TLS 1.2.
    pub tls13_only: bool,
    /// Whether clients show a certificate.
    pub client_auth: ClientAuth,
}

/// Whether clients show a certificate, and whose; the texts are certificates in PEM form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// They are not asked.
    #[default]
    None,
    /// One that is shown must be of these authorities; none will do as well.
    Optional(Vec<u8>),
    /// Without one of these authorities there is no connection.
    Required(Vec<u8>),
}

/// The configuration of a listener. Sessions are resumed with tickets whose key lives in this process and changes by itself.
///
/// # Errors
/// When the authorities of clients cannot be used.
pub fn server_config(store: Arc<CertificateStore>, settings: &ServerSettings) -> Result<Arc<ServerConfig>, TlsError> {
    resolving(store, settings)
}

/// As [`server_config`].
pub(super) fn resolving(
    certificates: Arc<dyn ResolvesServerCert>,
    settings: &ServerSettings,
) -> Result<Arc<ServerConfig>, TlsError> {
    let versions = if settings.tls13_only { &[&TLS13][..] } else { &[&TLS13, &TLS12] };
    let builder = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(versions)
        .map_err(TlsError::Settings)?;
    let builder = match &settings.client_auth {
        ClientAuth::None => builder.with_no_client_auth(),
        ClientAuth::Optional(pem) => builder.with_client_cert_verifier(verifier(pem, true)?),
        ClientAuth::Required(pem) => builder.with_client_cert_verifier(verifier(pem, false)?),
    };
    let mut config = builder.with_cert_resolver(certificates);
    config.alpn_protocols.clone_from(&settings.alpn);
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().map_err(TlsError::Settings)?;
    Ok(Arc::new(config))
}

fn verifier(pem: &[u8], may_be_absent: bool) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for root in chain_from_pem("the authority of clients", pem)? {
        roots.add(root).map_err(|error| TlsError::ClientAuth(error.to_string()))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(provider()));
    let builder = if may_be_absent { builder.allow_unauthenticated() } else { builder };
    builder.build().map_err(|error| TlsError::ClientAuth(error.to_string()))
}
