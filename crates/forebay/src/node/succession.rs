//! A node becomes another version of itself: it drains, seals its planes and executes the new binary, as the same process.
//! Listeners and locks stay open all the while, so that connections wait and nobody takes the folders.

use std::os::fd::OwnedFd;

use control::error::{ApiError, Kind};
use deploy::AtStop;
use stdx::format::{self, FormatError};
use stdx::io::Disk;

use super::settings::Settings;
use super::{Node, errors};
use crate::output::{Done, Quit};
use crate::upgrade::{Binary, Part, Successor, in_place};

/// Whether a node could begin with these settings, as far as that is known while another has the folders and the addresses.
///
/// # Errors
/// What it could not begin with.
pub(crate) fn check(settings: &Settings) -> Result<(), ApiError> {
    let Settings { config, data, .. } = settings;
    router::check(&config.router).map_err(|error| errors::router(error, &config.origins.http))?;
    queue::check(&config.queue).map_err(|error| errors::queue(error, &config.origins.queue))?;
    for (plane, known) in [("queue", queue::FORMAT), ("logs", logs::FORMAT), ("state", state::FORMAT)] {
        // An older one is migrated.
        if let Err(error @ FormatError::Newer { .. }) = format::check(&Disk, &data.plane(plane), plane, known) {
            return Err(ApiError::new(Kind::Failed, error.code(), error.to_string()).hint(error.hint()));
        }
    }
    Ok(())
}

impl Node {
    /// Runs until somebody wants it to stop, or to become another version.
    pub(crate) async fn until_its_end(self, binary: &Binary) -> Done {
        let upgrade = async {
            loop {
                self.control.upgrades.wanted().await;
                let checked = Successor::check(binary, self.planes.router.upgrade_limit()).await;
                match checked.and_then(|version| Ok((version, self.parts()?))) {
                    Ok(checked) => return checked,
                    Err(error) => self.control.upgrades.failed(error),
                }
            }
        };
        let (version, parts) = tokio::select! {
            () = self.control.stop.asked() => return self.until_stopped(AtStop::LeaveInstances).await,
            checked = upgrade => checked,
        };
        tracing::info!(version, "new connections wait while this node drains and is executed anew");
        let limit = self.planes.router.upgrade_drain_limit();
        // Where something cannot be sealed the log has said so; the new program finds it as a restart would.
        if let Err(Quit::Error(error)) = self.seal(limit, AtStop::LeaveInstances).await {
            tracing::error!(%error, "not everything was sealed");
        }
        Err(in_place::execute(binary, &parts))
    }

    /// Listeners and locks; from here on they stay open whatever the planes do.
    fn parts(&self) -> Result<Vec<(Part, OwnedFd)>, ApiError> {
        let failed = |error: std::io::Error| crate::upgrade::failure(format!("cannot keep what is open: {error}"));
        let listeners = self.control.sockets.to_hand_over().map_err(failed)?.into_iter();
        let locks = stdx::lock::held().map_err(failed)?.into_iter().map(|lock| (Part::Lock(String::new()), lock));
        Ok(listeners.map(|(name, socket)| (Part::Listener(name.into()), socket)).chain(locks).collect())
    }
}
