//! Finding an instance again whose connection is gone, or making sure that nothing of it lives. A place is never filled a
//! second time while the first may run: what cannot be spoken to is killed by the numbers of its processes, again and
//! again, until the kernel says that they are gone.

use std::path::PathBuf;
use std::time::Duration;

use runtime::{AdoptError, Instance, Ticket};

use crate::run::Desk;

/// Tries to speak to an init that lives and does not answer, and the pause between them.
const TRIES: u32 = 2;
const PAUSE: Duration = Duration::from_secs(1);
/// Pause between two attempts to kill what does not die: it sits in the kernel.
const KILL_PAUSE: Duration = Duration::from_secs(5);

/// Where an instance is looked for.
#[derive(Clone, Debug)]
pub(crate) struct Trail {
    pub(crate) socket: PathBuf,
    /// Absent when the node died before it could be stored.
    pub(crate) ticket: Option<Ticket>,
}

/// What one look has found.
pub(crate) enum Found {
    /// It runs, and its init answers.
    Running(Box<Instance>),
    /// Nothing of it lives; how it ended, where that is known.
    Gone(Option<String>),
    /// Something lives that cannot be spoken to, and why.
    Silent(String),
    /// Its init is gone, its processes run on.
    Orphaned,
}

/// What is left of an instance for certain.
pub(crate) enum Regained {
    /// It runs, and its init answers.
    Running(Box<Instance>),
    /// Nothing of it lives; in words how it ended.
    Gone(String),
}

/// How far the killing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Killing {
    /// It has begun.
    Begun,
    /// It was tried and something lives yet: it goes on, but nobody should wait for it.
    InVain,
}

impl Trail {
    pub(crate) fn of(ticket: &Ticket) -> Trail {
        Trail { socket: ticket.socket.clone(), ticket: Some(ticket.clone()) }
    }

    /// Looks once.
    pub(crate) async fn look(&self) -> Found {
        let found = match &self.ticket {
            Some(ticket) => runtime::adopt(ticket).await,
            None => runtime::adopt_at(&self.socket).await,
        };
        match found {
            Ok(instance) => Found::Running(Box::new(instance)),
            Err(AdoptError::Gone { unclaimed }) => Found::Gone(unclaimed.map(|word| word.end.to_string())),
            Err(AdoptError::Orphan(_)) => Found::Orphaned,
            Err(AdoptError::Link(error)) => {
                tracing::warn!(socket = %self.socket.display(), %error, "an init does not answer");
                Found::Silent(error.to_string())
            }
        }
    }

    /// Looks several times, then kills.
    pub(crate) async fn regain(&self, desk: &Desk) -> Regained {
        let mut tries = 0;
        loop {
            tries += 1;
            let why = match self.look().await {
                Found::Running(instance) => return Regained::Running(instance),
                Found::Gone(end) => return Regained::Gone(end.unwrap_or_else(|| "it is gone".into())),
                Found::Silent(_) if tries < TRIES => {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                Found::Silent(error) => format!("its init does not answer: {error}"),
                Found::Orphaned => "its init process was killed".into(),
            };
            self.put_down(&why, desk).await;
            return Regained::Gone(why);
        }
    }

    /// Kills until nothing lives; returns only then. The side hears why, and when it is in vain.
    pub(crate) async fn put_down(&self, why: &str, desk: &Desk) {
        desk.killed(Killing::Begun, why).await;
        loop {
            let gone = match &self.ticket {
                Some(ticket) => runtime::put_down(ticket).await,
                None => runtime::put_down_at(&self.socket).await,
            };
            if gone {
                return;
            }
            tracing::error!(socket = %self.socket.display(), why, "processes of an instance do not die of SIGKILL");
            desk.killed(Killing::InVain, why).await;
            tokio::time::sleep(KILL_PAUSE).await;
        }
    }
}
