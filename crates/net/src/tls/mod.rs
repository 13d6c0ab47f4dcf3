//! TLS 1.2 and 1.3, with rustls and aws-lc-rs. For listeners: certificates by name, exchanged while running; ALPN; client
//! certificates; OCSP responses; an authority's challenges. Towards others: whom they are believed by, what they are shown.

mod anyone;
mod certificate;
mod certificates;
mod challenge;
mod connect;
mod der;
mod facts;
mod identity;
mod ocsp;
mod server;
mod socket;
mod store;

pub use certificate::{Certificate, Files, Stamp};
pub use certificates::{CertificateConfig, Certificates};
pub use challenge::TlsChallenges;
pub use connect::{Alpn, ConnectConfig, Connector, Verify};
pub use facts::Validity;
pub use identity::ClientIdentity;
pub use server::{ClientAuth, ServerSettings, server_config};
pub use socket::TlsSocket;
pub use store::{CertificateStore, Strangers};

/// What a listener serves with, as rustls has it.
pub use rustls::ServerConfig;

use std::path::PathBuf;

/// Why TLS cannot be set up as asked.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file or text is not what it should be.
    #[error("{what} has no {wanted} in PEM form: {reason}")]
    Pem {
        /// File, or whatever names the text.
        what: String,
        /// `certificate` or `private key`.
        wanted: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The key is not the certificate's, or of a kind that is not supported.
    #[error("the private key of {what} does not fit its certificate: {source}")]
    Key {
        /// Which certificate.
        what: String,
        /// What rustls said.
        source: rustls::Error,
    },
    /// A certificate names no host.
    #[error("the certificate of {0} names no host: it needs a DNS name in subjectAltName")]
    Nameless(String),
    /// A certificate has no time, or one that nobody can read.
    #[error("the certificate of {0} does not say when it is good")]
    Timeless(String),
    /// There is nothing to serve with.
    #[error("there is no certificate: what was in use stays in use")]
    Empty,
    /// The certificates that client certificates are checked with cannot be used.
    #[error("client certificates cannot be checked: {0}")]
    ClientAuth(String),
    /// Others cannot be checked.
    #[error("the certificates of others cannot be checked: {0}")]
    Authority(String),
    /// rustls refuses the settings.
    #[error("TLS cannot be set up: {0}")]
    Settings(rustls::Error),
}

impl TlsError {
    /// A stable word for machines.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            TlsError::Read { .. } => "tls_file_unreadable",
            TlsError::Pem { .. } => "tls_pem_malformed",
            TlsError::Key { .. } => "tls_key_mismatch",
            TlsError::Nameless(_) => "tls_certificate_nameless",
            TlsError::Timeless(_) => "tls_certificate_timeless",
            TlsError::Empty => "tls_certificate_missing",
            TlsError::ClientAuth(_) => "tls_client_auth_invalid",
            TlsError::Authority(_) => "tls_authority_invalid",
            TlsError::Settings(_) => "tls_settings_invalid",
        }
    }
}
