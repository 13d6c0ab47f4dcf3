//! How a change tells whoever waits for it. It never waits for a slow listener, and goes on without one.

use control::error::ApiError;
use control::wire::Progress;
use stdx::ids::ReleaseNo;
use tokio::sync::mpsc;

/// Phases of a change.
pub(crate) const STEPS: u8 = 6;
/// Lines that a listener may be behind; a change has about ten.
const BEHIND_MAX: usize = 256;

/// Where a change reports to.
#[derive(Clone, Debug)]
pub(crate) struct Reporter(mpsc::Sender<Progress>);

impl Reporter {
    /// A reporter and its listener.
    pub(crate) fn new() -> (Reporter, mpsc::Receiver<Progress>) {
        let (sender, receiver) = mpsc::channel(BEHIND_MAX);
        (Reporter(sender), receiver)
    }

    pub(crate) fn phase(&self, step: u8, what: impl Into<String>) {
        self.say(Progress::Phase { step, steps: STEPS, what: what.into() });
    }

    pub(crate) fn done(&self, release: ReleaseNo, took_ms: u64) {
        self.say(Progress::Done { release, took_ms });
    }

    pub(crate) fn failed(&self, error: ApiError) {
        self.say(Progress::Failed { error });
    }

    fn say(&self, line: Progress) {
        if self.0.try_send(line).is_err() {
            tracing::debug!("nobody listens to the progress of a change any more");
        }
    }
}
