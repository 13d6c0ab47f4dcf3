//! Why the router does not start.

use std::io;

use acme::AcmeError;
use net::listen::ListenError;
use net::tls::TlsError;

use crate::idempotency::JournalError;
use crate::peers::PeerError;

/// Why the router does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// An address cannot be listened on with TLS.
    #[error(transparent)]
    ListenTls(ListenError),
    /// `trusted_peers` names something that is no address and no network.
    #[error("trusted_peers: {0}")]
    Peer(#[from] PeerError),
    /// `proxy_protocol_from` names something that is no address and no network.
    #[error("proxy_protocol_from: {0}")]
    Proxy(#[source] PeerError),
    /// Certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Certificates from an authority cannot be kept.
    #[error(transparent)]
    Acme(#[from] AcmeError),
    /// There is no folder for certificates from an authority.
    #[error("tls.acme has no folder for the account and the certificates")]
    AcmeNowhere,
    /// There is no folder for what the cache keeps on disk.
    #[error("cache_disk_bytes_max is set, and there is no data folder to keep answers in")]
    CacheNowhere,
    /// First answers of an earlier run cannot be read.
    #[error(transparent)]
    Answers(#[from] JournalError),
    /// The key of the router's cookies cannot be had.
    #[error("cannot read or make cookie.key in the router's data folder: {0}")]
    Key(#[source] io::Error),
    /// A worker's thread or runtime cannot be had.
    #[error("cannot start a worker: {0}")]
    Worker(#[from] io::Error),
}

impl StartError {
    /// A stable word for machines.
    pub fn code(&self) -> &'static str {
        match self {
            StartError::Listen(error) | StartError::ListenTls(error) => error.code(),
            StartError::Peer(_) | StartError::Proxy(_) => "trusted_peer_malformed",
            StartError::Tls(error) => error.code(),
            StartError::Acme(_) => "router_acme_failed",
            StartError::AcmeNowhere => "router_acme_nowhere",
            StartError::CacheNowhere => "router_cache_nowhere",
            StartError::Answers(_) => "router_answers_failed",
            StartError::Key(_) => "router_key_failed",
            StartError::Worker(_) => "router_worker_failed",
        }
    }
}
