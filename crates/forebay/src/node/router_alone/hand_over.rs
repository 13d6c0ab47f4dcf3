//! Another process takes the place of this one.

use std::os::fd::OwnedFd;
use std::time::Duration;

use control::error::{ApiError, Kind};

use super::Serving;
use super::folder::LOCK;
use crate::upgrade::{Part, Successor};

impl Serving {
    /// Starts the binary that is there now, hands it the sockets and the lock, and waits until it serves. Up to then this
    /// process serves as before, and it goes on to if the other does not come so far.
    ///
    /// # Errors
    /// Why the other does not serve.
    pub(super) async fn hand_over(&self) -> Result<Successor, ApiError> {
        let patience = self.router.upgrade_limit();
        let parts = self.parts().map_err(|error| {
            ApiError::new(Kind::Rejected, "upgrade_failed", format!("cannot hand over what is open: {error}"))
        })?;
        let mut successor = Successor::prepare(&self.binary, parts, patience).await?;
        // What both have is written by one of them: first by this one, to its end.
        self.driving.save().await;
        self.router.seal(true);
        match successor.serves(patience).await {
            Ok(()) => Ok(successor),
            Err(error) => {
                self.router.seal(false);
                Err(error)
            }
        }
    }

    fn parts(&self) -> std::io::Result<Vec<(Part, OwnedFd)>> {
        let listeners = self.control.sockets.to_hand_over()?.into_iter();
        let mut parts: Vec<_> = listeners.map(|(name, socket)| (Part::Listener(name.into()), socket)).collect();
        if let Some(folder) = &self.folder {
            parts.push((Part::Lock(LOCK.into()), folder.lock.to_hand_over()?));
        }
        Ok(parts)
    }

    /// Leaves the service to the other process: takes no more connections, finishes what it has, and ends.
    pub(super) async fn make_way(self, mut successor: Successor) {
        self.control.upgrades.done();
        successor.let_go();
        // The authority's folder has one owner: from here on the other asks for certificates.
        drop(self.asking);
        self.driving.leave().await;
        let answered = async {
            if let Some(admin) = self.admin {
                admin.stop().await;
            }
        };
        let settled = async {
            // A drain that is cut short settles it by the end of this process.
            tokio::time::timeout(self.router.drain_limit() + CUT, self.router.keys_settled()).await.unwrap_or_default();
            successor.keys_are_settled();
        };
        tokio::join!(self.router.drain(self.router.drain_limit()), answered, settled);
        tracing::info!("all is handed over; this process ends");
    }
}

/// Time for requests that are cut to end.
const CUT: Duration = Duration::from_secs(1);
