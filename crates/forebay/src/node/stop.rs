//! Signals: the first TERM or INT asks a node to drain, the second ends the process at once.

use std::io;
use std::process;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// The exit code of a process that was told twice.
const TOLD_TWICE: i32 = 130;

/// Somebody wants the node to stop: a signal, or the verb that started it.
#[derive(Clone, Debug)]
pub(crate) struct StopRequest {
    asked: watch::Sender<bool>,
}

impl StopRequest {
    /// Listens for TERM and INT from now on. Runs on a `LocalSet`.
    pub(crate) fn on_signals() -> io::Result<StopRequest> {
        let request = StopRequest { asked: watch::Sender::new(false) };
        for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
            tokio::task::spawn_local(watch_signal(signal(kind)?, request.clone()));
        }
        Ok(request)
    }

    /// Asks for the stop.
    pub(crate) fn ask(&self) {
        self.asked.send_replace(true);
    }

    /// Waits until somebody has asked.
    pub(crate) async fn asked(&self) {
        // The sender lives in self, so that waiting cannot fail.
        if self.asked.subscribe().wait_for(|asked| *asked).await.is_err() {
            tracing::debug!("nobody is left who could ask for a stop");
        }
    }
}

async fn watch_signal(mut signals: Signal, request: StopRequest) {
    while signals.recv().await.is_some() {
        let asked_before = request.asked.send_replace(true);
        if asked_before {
            tracing::warn!("told twice to stop: stopping now");
            process::exit(TOLD_TWICE);
        }
        tracing::info!("stopping: requests in flight finish, then everything else; once more to stop now");
    }
}
