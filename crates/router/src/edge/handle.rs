//! What others may ask of the listeners with TLS.

use std::net::SocketAddr;

use net::tls::TlsError;

use crate::config::CertificateConfig;
use crate::handle::Handle;

impl Handle {
    /// The addresses that are served with TLS.
    pub fn bound_tls(&self) -> Vec<SocketAddr> {
        self.shared.edge.bound.clone()
    }

    /// Serves with these certificates from the next handshake on. Reads files.
    ///
    /// # Errors
    /// When one cannot be used: what was in use stays in use. Without a listener for them nothing is read.
    pub fn replace_certificates(&self, certificates: &[CertificateConfig]) -> Result<(), TlsError> {
        self.shared.edge.tls.as_ref().map_or(Ok(()), |tls| tls.certificates.replace(certificates))
    }

    /// Reads the certificates again if a file of theirs has changed; whether one had. Reads files.
    ///
    /// # Errors
    /// When one cannot be used: what was in use stays in use. That is said once for each change.
    pub fn refresh_certificates(&self) -> Result<bool, TlsError> {
        self.shared.edge.tls.as_ref().map_or(Ok(false), |tls| tls.certificates.refresh())
    }
}
