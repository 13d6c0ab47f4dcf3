//! A new binary in the place of the running one, on USR2.
//!
//! `binary`: which program that is. `words`: what the two processes say to each other. `overlap`: the old process of two that
//! run side by side. `in_place`: the old program of one process. `heir`: the new one of either. `admin`: asking for it, and what became of it, by the admin API.

pub(crate) mod admin;
mod binary;
mod heir;
pub(crate) mod in_place;
mod overlap;
mod words;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use control::error::{ApiError, Kind};
use control::wire::{ProcessRow, UpgradeRow};
use stdx::clock::{Clock, SystemClock, Wall};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

pub(crate) use self::binary::Binary;
pub(crate) use self::heir::Heir;
pub(crate) use self::overlap::Successor;
pub(crate) use self::words::Part;

/// The wish for an upgrade, and what became of the last. Clones are the same.
#[derive(Clone)]
pub(crate) struct Upgrades(Arc<Inner>);

struct Inner {
    wanted: Notify,
    state: Mutex<State>,
    began: Wall,
    /// Why there is never one.
    never: Option<&'static str>,
}

/// Where the last upgrade stands.
enum State {
    None,
    UnderWay(Wall),
    Failed(Wall, ApiError),
    /// The new process serves; this one ends.
    Done(Wall),
}

impl Upgrades {
    /// Listens for USR2 from now on. Runs on a `LocalSet`.
    pub(crate) fn on_usr2() -> io::Result<Upgrades> {
        Upgrades::listen(None)
    }

    /// The same for a process that is not upgraded: whoever wants it is told why.
    pub(crate) fn never(why: &'static str) -> io::Result<Upgrades> {
        Upgrades::listen(Some(why))
    }

    fn listen(never: Option<&'static str>) -> io::Result<Upgrades> {
        let began = SystemClock::new().wall();
        let upgrades =
            Upgrades(Arc::new(Inner { wanted: Notify::new(), state: Mutex::new(State::None), began, never }));
        let mut usr2 = signal(SignalKind::user_defined2())?;
        let asked = upgrades.clone();
        tokio::task::spawn_local(async move {
            while usr2.recv().await.is_some() {
                if let Err(error) = asked.ask() {
                    tracing::warn!(%error, "no upgrade");
                }
            }
        });
        Ok(upgrades)
    }

    /// Wants an upgrade.
    ///
    /// # Errors
    /// When one is under way.
    pub(crate) fn ask(&self) -> Result<(), ApiError> {
        if let Some(why) = self.0.never {
            return Err(ApiError::new(Kind::Conflict, "upgrade_unsupported", why));
        }
        let mut state = self.state();
        let refusal = match *state {
            State::None | State::Failed(..) => None,
            State::UnderWay(_) => Some("an upgrade is under way"),
            State::Done(_) => Some("this process has handed over to a new one and ends"),
        };
        if let Some(refusal) = refusal {
            let error = ApiError::new(Kind::Conflict, "upgrade_under_way", refusal);
            return Err(error.hint("ask again when it has ended"));
        }
        *state = State::UnderWay(SystemClock::new().wall());
        self.0.wanted.notify_one();
        Ok(())
    }

    /// Waits until somebody wants one.
    pub(crate) async fn wanted(&self) {
        self.0.wanted.notified().await;
        tracing::info!("an upgrade begins");
    }

    /// It came to nothing.
    pub(crate) fn failed(&self, error: ApiError) {
        let at = error.at.clone().unwrap_or_default();
        let hint = error.hint.clone().unwrap_or_default();
        tracing::error!(%error, at, hint, "the upgrade failed; this process goes on as before");
        *self.state() = State::Failed(SystemClock::new().wall(), error);
    }

    /// Another process serves from now on.
    pub(crate) fn done(&self) {
        *self.state() = State::Done(SystemClock::new().wall());
    }

    /// This process, and its last upgrade.
    fn row(&self) -> ProcessRow {
        let row = |state: &str, since: Wall| UpgradeRow { state: state.into(), since_ns: since.0, error: None };
        let upgrade = match &*self.state() {
            State::None => None,
            State::UnderWay(since) => Some(row("under_way", *since)),
            State::Failed(since, error) => Some(UpgradeRow { error: Some(error.clone()), ..row("failed", *since) }),
            State::Done(since) => Some(row("done", *since)),
        };
        ProcessRow {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").into(),
            started_ns: self.0.began.0,
            upgrade,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An error about an upgrade.
pub(crate) fn failure(message: impl Into<String>) -> ApiError {
    ApiError::new(Kind::Rejected, "upgrade_failed", message)
}
