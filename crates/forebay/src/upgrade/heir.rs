//! The new process: it takes what the old one hands over, and serves when that says so. A process that nobody handed anything
//! is an heir without anything, and goes the same way.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use control::error::ApiError;
use net::handover::Channel;
use net::sockets::Sockets;
use rustix::process::Pid;
use stdx::lock::{FolderLock, LockError};

use super::failure;
use super::words::{self, Kind, Part, VARIABLE, Word};
use crate::output::Quit;

/// Time for the old process to do its part; it kills this one when that takes it too long.
const PATIENCE: Duration = Duration::from_secs(7_200);

/// What there is to go on with.
pub(crate) struct Heir {
    /// The way to the old process, while there is one.
    old: Option<Channel>,
    /// It is only to say whether it could serve.
    checks: bool,
    pub(crate) sockets: Sockets,
    locks: Vec<(String, OwnedFd)>,
}

impl Heir {
    /// Takes what is handed over, if anything is.
    ///
    /// # Errors
    /// When that breaks off.
    pub(crate) fn of_what_there_is() -> Result<Heir, ApiError> {
        let broken = |error: io::Error| failure(format!("cannot take what the old process hands over: {error}"));
        let Some((channel, kind)) = way().map_err(broken)? else {
            return Ok(Heir { old: None, checks: false, sockets: Sockets::default(), locks: Vec::new() });
        };
        let (mut listeners, mut locks) = (Vec::new(), Vec::new());
        for (part, descriptor) in words::take(&channel, PATIENCE).map_err(broken)? {
            match part {
                Part::Listener(name) => listeners.push((name, descriptor)),
                Part::Lock(name) => locks.push((name, descriptor)),
                Part::Other(what) => tracing::warn!(%what, "the old process hands over what this one does not know"),
            }
        }
        let sockets = Sockets::handed(listeners).map_err(broken)?;
        let heir = Heir { old: None, checks: kind == Kind::Check, sockets, locks };
        Ok(match kind {
            // The old one is this process, with another program.
            Kind::InPlace => {
                stdx::lock::left(heir.locks.into_iter().map(|(_, handle)| handle).collect());
                Heir { locks: Vec::new(), ..heir }
            }
            Kind::Overlap | Kind::Check => Heir { old: Some(channel), ..heir },
        })
    }

    /// Whether an old process still serves, and this one is to take its place.
    pub(crate) fn overlaps(&self) -> bool {
        self.old.is_some()
    }

    /// Whether it is only to say whether it could take the place of the old one.
    pub(crate) fn only_checks(&self) -> bool {
        self.checks
    }

    /// It could.
    ///
    /// # Errors
    /// When the old process does not listen.
    pub(crate) fn could(&self) -> Result<(), ApiError> {
        let Some(old) = &self.old else { return Ok(()) };
        let word = Word::Prepared { version: env!("CARGO_PKG_VERSION").into() };
        words::say(old, &word).map_err(|error| failure(format!("the old process does not listen: {error}")))
    }

    /// The lock of the folder that is called `name` in the data folder.
    ///
    /// # Errors
    /// When somebody else has it.
    pub(crate) fn lock(&mut self, folder: &Path, name: &str, who: &str) -> Result<FolderLock, LockError> {
        match self.locks.iter().position(|(of, _)| of == name) {
            Some(index) => FolderLock::handed(folder, self.locks.swap_remove(index).1, who),
            None => FolderLock::take(folder, who),
        }
    }

    /// What can be checked beforehand is in order. Waits until the old process writes no more to what both have.
    ///
    /// # Errors
    /// When the old process is gone.
    pub(crate) fn prepared(&self) -> Result<(), ApiError> {
        self.could()?;
        let Some(old) = &self.old else { return Ok(()) };
        let gone = |what: String| failure(format!("the old process {what}"));
        match words::hear(old, PATIENCE) {
            Ok(Some((Word::Sealed, _))) => Ok(()),
            Ok(Some((word, _))) => Err(gone(format!("said {word:?} when it was to seal"))),
            Ok(None) => Err(gone("is gone".into())),
            Err(error) => Err(gone(format!("cannot be heard: {error}"))),
        }
    }

    /// It serves. Returns when the old process takes no more connections, or is gone.
    pub(crate) async fn serves(&mut self) {
        self.sockets.close_rest();
        if let Some(old) = self.old.take() {
            self.old = heard_after(old, Some(Word::Ready), Word::Yours).await;
        }
    }

    /// Waits until the old process has no request with an idempotency key any more.
    pub(crate) async fn keys_are_settled(mut self) {
        if let Some(old) = self.old.take() {
            drop(heard_after(old, None, Word::Settled).await);
        }
    }

    /// It cannot; the old process says so in its log, and goes on.
    pub(crate) fn fails(&self, quit: &Quit) {
        let (Some(old), Quit::Error(error)) = (&self.old, quit) else { return };
        let error = ApiError::clone(error);
        if let Err(error) = words::say(old, &Word::Failed { error }) {
            tracing::warn!(%error, "the old process does not listen");
        }
    }
}

/// Says something, and waits for a word; without the way when the old process is gone.
async fn heard_after(old: Channel, say: Option<Word>, wanted: Word) -> Option<Channel> {
    let conversation = tokio::task::spawn_blocking(move || {
        if let Some(word) = say {
            words::say(&old, &word)?;
        }
        loop {
            match words::hear(&old, PATIENCE)? {
                Some((word, _)) if word == wanted => return Ok(Some(old)),
                Some(_) => {}
                None => return Ok::<_, io::Error>(None),
            }
        }
    });
    match conversation.await.map_err(io::Error::other).flatten() {
        Ok(old) => old,
        Err(error) => {
            tracing::warn!(%error, "the old process cannot be heard; it is taken to be gone");
            None
        }
    }
}

/// The way to the old process, when this one was started by it or was it: its standard input, which becomes empty.
fn way() -> io::Result<Option<(Channel, Kind)>> {
    let told = std::env::var(VARIABLE).unwrap_or_default();
    let (parent, me) = (rustix::process::getppid(), Some(rustix::process::getpid()));
    let is = |kind: Kind, of: Option<Pid>| of.is_some_and(|of| told == kind.variable(of));
    let kind = match () {
        () if is(Kind::Overlap, parent) => Kind::Overlap,
        () if is(Kind::Check, parent) => Kind::Check,
        () if is(Kind::InPlace, me) => Kind::InPlace,
        () => return Ok(None),
    };
    let end = io::stdin().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(Some((Channel::from_end(end), kind)))
}
