//! TLS towards the upstreams of a router alone: what is written alike is one, over all readings of the file, so that its
//! sessions and connections outlive them.

use std::sync::{Arc, Mutex, PoisonError};

use config::Upstream;
use control::error::{ApiError, Kind};
use net::reach::Reach;
use net::tls::{ConnectConfig, Connector, TlsError};

/// The connectors in use.
#[derive(Clone, Debug, Default)]
pub(super) struct Connectors(Arc<Mutex<Vec<Arc<Connector>>>>);

impl Connectors {
    /// How an upstream is come to.
    ///
    /// # Errors
    /// When a file of its TLS cannot be used.
    pub(super) fn reach(&self, name: &str, upstream: &Upstream) -> Result<Reach, ApiError> {
        let tls = upstream.tls().map(|written| self.find(&written)).transpose();
        let tls = tls.map_err(|error| {
            let message = format!("upstream `{name}`: {error}");
            ApiError::new(Kind::Failed, error.code(), message)
        })?;
        Ok(Reach { tls, proxy_protocol: upstream.proxy_protocol })
    }

    fn find(&self, written: &ConnectConfig) -> Result<Arc<Connector>, TlsError> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.iter().find(|one| one.written() == written) {
            known.refresh()?;
            return Ok(Arc::clone(known));
        }
        let new = Arc::new(Connector::new(written)?);
        all.push(Arc::clone(&new));
        Ok(new)
    }

    /// Reads files again that look otherwise than when they were read; whether some did. What nobody uses any more is
    /// forgotten.
    ///
    /// # Errors
    /// When one cannot be used; what was in use stays in use.
    pub(super) fn refresh(&self) -> Result<bool, TlsError> {
        let all = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|one| Arc::strong_count(one) > 1);
            all.clone()
        };
        let mut read = false;
        for one in all {
            read |= one.refresh()?;
        }
        Ok(read)
    }
}
