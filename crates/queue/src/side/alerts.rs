//! Looks each second at tubes that have alerts, and tells the sink and listings.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use control::wire::{AlertRow, QueueRow};
use stdx::clock::SharedClock;
use tokio::sync::watch;

use crate::alert::Alerts;
use crate::event::JobSink;
use crate::handle::Handle;

/// How often tubes are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// The alerts that are raised, for listings.
#[derive(Debug, Default)]
pub(crate) struct AlertBoard(Mutex<Vec<AlertRow>>);

impl AlertBoard {
    /// All of them.
    pub(crate) fn rows(&self) -> Vec<AlertRow> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Adds to each tube what is wrong with it.
    pub(crate) fn fill_in(&self, rows: &mut [QueueRow]) {
        for alert in self.rows() {
            let is_its = |row: &&mut QueueRow| {
                (&row.tube, &row.app, &row.environment) == (&alert.tube, &alert.app, &alert.environment)
            };
            if let Some(row) = rows.iter_mut().find(is_its) {
                row.alerts.push(alert);
            }
        }
    }

    fn put_up(&self, rows: Vec<AlertRow>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = rows;
    }
}

/// Looks until `stop` turns true.
pub(super) async fn run(
    queue: Handle,
    clock: SharedClock,
    sink: Arc<dyn JobSink>,
    board: Arc<AlertBoard>,
    mut stop: watch::Receiver<bool>,
) {
    let mut alerts = Alerts::default();
    while !*stop.borrow() {
        match queue.watched().await {
            Ok(gauges) => {
                for event in alerts.look(gauges, clock.mono(), clock.wall()) {
                    sink.alert(event);
                }
                board.put_up(alerts.rows());
            }
            // A queue that has failed says so itself.
            Err(error) => tracing::debug!(%error, "tubes are not looked at"),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }
}
