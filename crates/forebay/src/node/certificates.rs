//! Certificates that change while the router runs.

use std::time::Duration;

use router::config::CertificateConfig;

/// How often their files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Takes certificates into use soon after their files have changed, until the process ends.
pub(super) fn follow_files(router: &router::Handle) {
    if router.bound_tls().is_empty() {
        return;
    }
    let router = router.clone();
    tokio::task::spawn_local(async move {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let looking = router.clone();
            match tokio::task::spawn_blocking(move || looking.refresh_certificates()).await {
                Ok(Ok(false)) => {}
                Ok(Ok(true)) => tracing::info!("the certificates were read again: their files have changed"),
                Ok(Err(error)) => {
                    tracing::error!(%error, "the certificates have changed and cannot be used; those in use stay");
                }
                Err(error) => tracing::error!(%error, "looking at the certificates failed"),
            }
        }
    });
}

/// Takes these into use, or says why those in use stay.
pub(super) fn replace(router: &router::Handle, certificates: &[CertificateConfig]) {
    if let Err(error) = router.replace_certificates(certificates) {
        tracing::error!(%error, "the certificates were not read again; those in use stay");
    }
}
