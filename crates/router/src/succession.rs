//! The router's part when another process takes its place: what only one of the two may write.

use std::time::Duration;

use stdx::clock::SystemClock;

use crate::config::Config;
use crate::edge::Edge;
use crate::handle::Handle;
use crate::idempotency::JournalError;
use crate::peers::TrustedPeers;
use crate::shared::Phase;
use crate::start_error::StartError;

/// How often it is looked whether the last request with a key has ended.
const LOOK: Duration = Duration::from_millis(10);

/// Whether a router could begin with these settings, as far as that is known without binding anything. Reads files.
///
/// # Errors
/// As [`start`](crate::start).
pub fn check(config: &Config) -> Result<(), StartError> {
    TrustedPeers::parse(&config.trusted_peers)?;
    let proxies = TrustedPeers::parse(&config.proxy_protocol_from).map_err(StartError::Proxy)?;
    Edge::open(config, proxies, Vec::new(), None, &SystemClock::shared())?;
    Ok(())
}

impl Handle {
    /// Takes connections, in a router that was started with [`Deps::closed`](crate::Deps::closed).
    pub fn open(&self) {
        self.enter(Phase::Serving);
    }

    /// From now on nothing is set by hand here, or again it may be. What is set stays in force. Waits for a change that is
    /// being written.
    pub fn seal(&self, sealed: bool) {
        self.shared.overrides.seal(sealed);
    }

    /// Waits, in a router that drains, until no request with an `Idempotency-Key` is under way and none can come any more.
    /// The journal of first answers is the next process's then.
    pub async fn keys_settled(&self) {
        let mut phase = self.shared.phase.subscribe();
        // The sender lives in `shared`.
        if phase.wait_for(|phase| *phase >= Phase::Draining).await.is_err() {
            tracing::debug!("the router is gone");
        }
        self.shared.answers.close();
        while !self.shared.answers.is_settled() {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Reads the journal of first answers and lets requests with a key come, in a router that was started with
    /// [`Deps::keys_wait`](crate::Deps::keys_wait). Reads files.
    ///
    /// # Errors
    /// When it cannot be opened; requests with a key go on to wait, because nobody knows which of them were answered.
    pub fn open_answers(&self) -> Result<(), JournalError> {
        self.shared.answers.open()
    }
}
