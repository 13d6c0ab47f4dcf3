//! Certificates from an authority: what the router gives to those who ask for them, and gets from them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use acme::{AcmeConfig, AcmeError, Desk, Front, Running};
use net::tls::Certificate;
use stdx::clock::SharedClock;

use crate::handle::Handle;
use crate::start_error::StartError;

/// Where its answers and certificates are.
#[derive(Debug)]
pub(crate) struct Acme {
    config: AcmeConfig,
    folder: PathBuf,
    pub(crate) desk: Arc<Desk>,
}

impl Acme {
    pub(super) fn open(config: &AcmeConfig, data: Option<&Path>) -> Result<Acme, StartError> {
        let folder = config.folder.clone().or_else(|| Some(data?.join("acme"))).ok_or(StartError::AcmeNowhere)?;
        Ok(Acme { config: config.clone(), folder, desk: Arc::new(Desk::new()?) })
    }

    /// What is there from before.
    pub(super) fn kept(&self, clock: &SharedClock) -> Result<Vec<Certificate>, AcmeError> {
        acme::kept(&self.config, &self.folder, clock)
    }
}

impl Handle {
    /// Asks for the certificates that the configuration wants, as long as what is returned lives; `None` when it wants none.
    /// Runs on a `LocalSet`.
    ///
    /// # Errors
    /// When a file of it cannot be used.
    pub fn obtain_certificates(&self) -> Result<Option<Running>, AcmeError> {
        let Some(of) = &self.shared.edge.acme else {
            if self.shared.config.tls.acme.is_some() {
                tracing::warn!(
                    "no certificates are asked for: tls.acme is set, and there is no address to serve HTTPS on"
                );
            }
            return Ok(None);
        };
        let (config, clock) = (of.config.clone(), Arc::clone(&self.clock));
        acme::run(config, &of.folder, Arc::clone(&of.desk), Hosts(self.clone()), clock).map(Some)
    }
}

/// The hosts of a router.
struct Hosts(Handle);

impl Front for Hosts {
    /// Those that are listed and those of routes with `https`, but for those that a certificate of a file is for.
    fn hosts(&self) -> BTreeSet<String> {
        let live = self.0.shared.live.borrow();
        let Some(config) = live.tls.acme.as_ref() else { return BTreeSet::new() };
        let mut hosts: BTreeSet<String> = config.hosts.iter().cloned().collect();
        if config.hosts_of_routes {
            let routing = Arc::clone(&self.0.source.borrow());
            let asking = routing.routes.iter().filter(|route| route.policy.https.is_some());
            hosts.extend(asking.filter_map(|route| route.host.as_deref()).map(str::to_ascii_lowercase));
        }
        if let Some(tls) = &self.0.shared.edge.tls {
            let of_files = tls.certificates.of_files();
            hosts.retain(|host| !of_files.iter().any(|(_, one)| one.is_for(host)));
        }
        hosts
    }

    fn serve(&self, certificates: Vec<Certificate>) {
        if let Some(tls) = &self.0.shared.edge.tls {
            tls.certificates.obtained(certificates);
        }
    }
}
