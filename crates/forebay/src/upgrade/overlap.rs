//! The old process of two that run side by side: it starts the new one, and goes on until that serves.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::Duration;

use control::error::ApiError;
use net::handover::Channel;

use super::words::{self, Kind, Part, VARIABLE, Word};
use super::{Binary, failure};

/// How long a process that has hung up gets to end, and how often that is looked at.
const END: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(10);

/// A process that is to take the place of this one. Dropped before it serves, it is killed.
pub(crate) struct Successor {
    channel: Arc<Channel>,
    child: Killed,
    version: String,
}

/// A child that dies with its owner, unless it is let go.
struct Killed(Option<Child>);

impl Drop for Killed {
    fn drop(&mut self) {
        let Some(child) = &mut self.0 else { return };
        if let Err(error) = child.kill().and_then(|()| child.wait()) {
            tracing::error!(pid = child.id(), %error, "the new process cannot be ended");
        }
    }
}

impl Successor {
    /// Starts the binary, hands it `parts` and waits until it has checked what can be checked beforehand.
    ///
    /// # Errors
    /// Why it does not come so far; then it is gone.
    pub(crate) async fn prepare(
        binary: &Binary,
        parts: Vec<(Part, OwnedFd)>,
        patience: Duration,
    ) -> Result<Successor, ApiError> {
        Successor::start(binary, Kind::Overlap, parts, patience).await
    }

    /// Asks the binary whether it could take the place of this process; its version.
    ///
    /// # Errors
    /// Why it could not.
    pub(crate) async fn check(binary: &Binary, patience: Duration) -> Result<String, ApiError> {
        Successor::start(binary, Kind::Check, Vec::new(), patience).await.map(|successor| successor.version)
    }

    async fn start(
        binary: &Binary,
        kind: Kind,
        parts: Vec<(Part, OwnedFd)>,
        patience: Duration,
    ) -> Result<Successor, ApiError> {
        let path = binary.path().display().to_string();
        let failed = |error: io::Error| failure(format!("cannot start the new binary: {error}")).at(path.clone());
        let (near, far) = Channel::pair().map_err(failed)?;
        let mut command = binary.command();
        command.env(VARIABLE, kind.variable(rustix::process::getpid()));
        // Its standard input is the way between the two: no other descriptor has to be left open.
        let child = command.stdin(Stdio::from(far.into_end())).spawn().map_err(failed)?;
        drop(command);
        let child = Killed(Some(child));
        let mut successor = Successor { channel: Arc::new(near), child, version: String::new() };
        let given = words::give(&successor.channel, &parts);
        if let Err(error) = given {
            return Err(successor.deaf(&error).await);
        }
        match successor.hear(patience).await? {
            Word::Prepared { version } => successor.version = version,
            other => return Err(failure(format!("the new process said {other:?} and not that it is prepared"))),
        }
        Ok(successor)
    }

    /// Says that what both have is sealed, and waits until it serves.
    ///
    /// # Errors
    /// Why it does not serve.
    pub(crate) async fn serves(&mut self, patience: Duration) -> Result<(), ApiError> {
        if let Err(error) = words::say(&self.channel, &Word::Sealed) {
            return Err(self.deaf(&error).await);
        }
        match self.hear(patience).await? {
            Word::Ready => Ok(()),
            other => Err(failure(format!("the new process said {other:?} and not that it is ready"))),
        }
    }

    /// It is the service now, whatever becomes of this process.
    pub(crate) fn let_go(&mut self) {
        let pid = self.child.0.take().map(|child| child.id()).unwrap_or_default();
        tracing::info!(pid, version = self.version, "the new process serves; this one ends when its requests have");
        // Only the process that the service manager knows may name another.
        crate::notify::notify(&format!("MAINPID={pid}"));
        self.told(&Word::Yours);
    }

    /// Requests with an idempotency key are its matter alone from now on.
    pub(crate) fn keys_are_settled(&self) {
        self.told(&Word::Settled);
    }

    fn told(&self, word: &Word) {
        // When this process is gone it takes both for said.
        if let Err(error) = words::say(&self.channel, word) {
            tracing::warn!(%error, "the new process does not listen");
        }
    }

    /// What it says next; its end and its failure are errors.
    async fn hear(&mut self, patience: Duration) -> Result<Word, ApiError> {
        let channel = Arc::clone(&self.channel);
        let heard = tokio::task::spawn_blocking(move || words::hear(&channel, patience)).await;
        match heard.map_err(io::Error::other).flatten() {
            Ok(Some((Word::Failed { error }, _))) => Err(error),
            Ok(Some((word, _))) => Ok(word),
            Ok(None) => Err(self.ended().await),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                Err(failure(format!("the new process was not ready within {} ms", patience.as_millis()))
                    .hint("what it said is in the log; router.upgrade_timeout_ms is the time that it has"))
            }
            Err(error) => Err(failure(format!("the new process cannot be heard: {error}"))),
        }
    }

    /// Why it cannot be told anything: most likely it has ended.
    async fn deaf(&mut self, error: &io::Error) -> ApiError {
        match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => self.ended().await,
            _ => failure(format!("the new process does not listen: {error}")),
        }
    }

    /// How it has ended; one that has only hung up is killed.
    async fn ended(&mut self) -> ApiError {
        let child = &mut self.child;
        let gone = async {
            loop {
                match child.0.as_mut().map(Child::try_wait) {
                    Some(Ok(None)) => tokio::time::sleep(LOOK).await,
                    Some(Ok(Some(status))) => return format!(" ({status})"),
                    _ => return String::new(),
                }
            }
        };
        let how = tokio::time::timeout(END, gone).await.unwrap_or_default();
        failure(format!("the new process ended{how} before it served")).hint("what it said is in the log")
    }
}
