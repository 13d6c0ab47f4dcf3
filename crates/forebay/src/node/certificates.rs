//! Certificates that change while their planes run.

use std::time::Duration;

use control::error::{ApiError, Kind};
use net::tls::{CertificateConfig, TlsError};

use super::connectors::Connectors;

/// How often their files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Takes certificates into use soon after their files have changed, until the process ends.
pub(super) fn follow_files(router: &router::Handle, queue: &queue::Handle) {
    follow_router(router);
    follow_queue(queue);
}

/// As [`follow_files`], of a router.
pub(super) fn follow_router(router: &router::Handle) {
    if !router.bound_tls().is_empty() {
        let router = router.clone();
        follow("router", move || router.refresh_certificates());
    }
}

/// Asks an authority for certificates where the router is told to, as long as what is returned lives.
pub(super) fn obtain(router: &router::Handle) -> Result<Option<acme::Running>, ApiError> {
    router.obtain_certificates().map_err(|error| {
        let message = format!("no certificates can be asked for: {error}");
        ApiError::new(Kind::Failed, "router_acme_failed", message).at("router.tls.acme")
    })
}

/// Takes what is shown to upstreams, and whom they are believed by, into use soon after their files have changed.
pub(super) fn follow_upstreams(connectors: Connectors) {
    follow("router", move || connectors.refresh());
}

/// As [`follow_files`], of a queue.
pub(super) fn follow_queue(queue: &queue::Handle) {
    if !queue.bound_tls().is_empty() {
        let queue = queue.clone();
        follow("queue", move || queue.refresh_certificates());
    }
}

fn follow(plane: &'static str, refresh: impl Fn() -> Result<bool, TlsError> + Clone + Send + 'static) {
    tokio::task::spawn_local(async move {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            match tokio::task::spawn_blocking(refresh.clone()).await {
                Ok(Ok(false)) => {}
                Ok(Ok(true)) => tracing::info!(plane, "the certificates were read again: their files have changed"),
                Ok(Err(error)) => {
                    tracing::error!(plane, %error, "the certificates have changed and cannot be used; those in use stay");
                }
                Err(error) => tracing::error!(plane, %error, "looking at the certificates failed"),
            }
        }
    });
}

/// Takes these into use, or says why those in use stay.
pub(super) fn replace(router: &router::Handle, certificates: &[CertificateConfig]) {
    say_why_not("router", router.replace_certificates(certificates));
}

/// As [`replace`], of a queue.
pub(super) fn replace_of_queue(queue: &queue::Handle, certificates: &[CertificateConfig]) {
    say_why_not("queue", queue.replace_certificates(certificates));
}

fn say_why_not(plane: &str, replaced: Result<(), TlsError>) {
    if let Err(error) = replaced {
        tracing::error!(plane, %error, "the certificates were not read again; those in use stay");
    }
}
