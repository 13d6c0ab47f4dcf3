//! HUP reads the configuration again; USR1 makes the queue refuse new jobs.

use tokio::signal::unix::{SignalKind, signal};

use super::Node;
use crate::output::Quit;

impl Node {
    /// Listens for HUP and USR1 for the life of the node.
    pub(super) fn listen_to_signals(&self) -> Result<(), Quit> {
        let mut drain = signal(SignalKind::user_defined1())?;
        let queue = self.planes.queue.clone();
        tokio::task::spawn_local(async move {
            while drain.recv().await.is_some() {
                tracing::info!("the queue refuses new jobs from now on, until the next start");
                queue.drain_mode(true);
            }
        });
        Ok(())
    }
}
