//! From an instance's mouth to the log store: stored first, acknowledged then. What init has not had acknowledged it
//! keeps, bounded, so what waits here is bounded too.

use std::sync::Arc;
use std::time::Duration;

use runtime::{Control, Output, StoreState};
use tokio::sync::mpsc;

use crate::seams::{OutputSink, SinkError, Speaker};

/// Batches that wait to be stored. Each has a line, and init has no more unacknowledged than its `output_bytes_max` (1 MiB)
/// holds of the shortest, so hearing never waits for storing, and an end is told at once.
pub(crate) const HEARD_MAX: usize = 1 << 15;
/// Lines stored at a time.
const BATCH_LINES_MAX: usize = 1_000;
/// Pause before lines are offered again to a store that is behind, and to one that is full or has failed.
const BUSY_PAUSE: Duration = Duration::from_millis(50);
const FAILED_PAUSE: Duration = Duration::from_secs(1);
/// Tries for the last words of an instance that has ended, before its init is let go without.
const LAST_TRIES: u32 = 30;

/// What was heard of an instance.
#[derive(Debug)]
pub(crate) enum Heard {
    /// It has said something.
    Said(Vec<Output>),
    /// It has ended; acknowledging this number lets its init go.
    Ended(u64),
}

/// Stores what comes out of `hearing` until it ends. What is numbered up to `stored` was stored by an earlier node.
pub(crate) async fn store(
    sink: Arc<dyn OutputSink>,
    speaker: Arc<Speaker>,
    control: Control,
    mut hearing: mpsc::Receiver<Heard>,
    stored: Option<u64>,
) {
    let stored = stored.unwrap_or(0);
    while let Some(first) = hearing.recv().await {
        let mut lines = Vec::new();
        let mut end = collect(first, &mut lines);
        while end.is_none() && lines.len() < BATCH_LINES_MAX {
            let Ok(next) = hearing.try_recv() else { break };
            end = collect(next, &mut lines);
        }
        let last = end.or_else(|| lines.last().map(Output::last_seq));
        lines.retain(|line| line.last_seq() > stored);
        keep(&*sink, &speaker, &control, &lines, end.is_some() || hearing.is_closed()).await;
        if let Some(last) = last {
            control.ack(last);
        }
    }
}

fn collect(heard: Heard, lines: &mut Vec<Output>) -> Option<u64> {
    match heard {
        Heard::Said(said) => {
            lines.extend(said);
            None
        }
        Heard::Ended(seq) => Some(seq),
    }
}

/// Returns when the lines are on disk, or when an instance that has ended has waited long enough for a store that does
/// not take them.
async fn keep(sink: &dyn OutputSink, speaker: &Arc<Speaker>, control: &Control, lines: &[Output], ended: bool) {
    if lines.is_empty() {
        return;
    }
    let mut tries = 0;
    let mut told = StoreState::Healthy;
    loop {
        match sink.ingest(speaker.clone(), lines.to_vec()).await {
            Ok(()) => {
                if told != StoreState::Healthy {
                    control.store(StoreState::Healthy);
                }
                return;
            }
            Err(error) => {
                tries += 1;
                if tries == 1 {
                    tracing::warn!(scope = %speaker.scope, instance = %speaker.instance, %error, "output waits");
                }
                if ended && tries >= LAST_TRIES {
                    tracing::error!(instance = %speaker.instance, lines = lines.len(), %error, "last words are lost");
                    return;
                }
                let (state, pause) = match error {
                    SinkError::Busy(_) => (StoreState::Healthy, BUSY_PAUSE),
                    SinkError::Full(_) | SinkError::Failed(_) => (StoreState::Failed, FAILED_PAUSE),
                };
                if told != state {
                    control.store(state);
                    told = state;
                }
                tokio::time::sleep(pause).await;
            }
        }
    }
}
