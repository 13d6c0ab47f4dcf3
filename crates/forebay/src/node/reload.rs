//! USR1 makes the queue refuse new jobs.

use tokio::signal::unix::{SignalKind, signal};

use crate::output::Quit;

/// From a USR1 on, the queue refuses new jobs until the next start; workers go on.
pub(crate) fn drain_on_usr1(queue: queue::Handle) -> Result<(), Quit> {
    let mut usr1 = signal(SignalKind::user_defined1())?;
    tokio::task::spawn_local(async move {
        while usr1.recv().await.is_some() {
            tracing::info!("the queue refuses new jobs from now on, until the next start");
            if let Err(error) = queue.drain_mode(true).await {
                tracing::error!(%error, "the queue cannot be told to drain");
            }
        }
    });
    Ok(())
}
