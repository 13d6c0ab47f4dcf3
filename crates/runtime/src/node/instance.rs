//! A running instance in the hands of a node.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, mpsc};

use crate::exit::Exit;
use crate::output::Output;
use crate::protocol::{FromNode, StoreState, Whom};
use crate::ticket::Ticket;

/// A running instance. Dropping it (or its events) hangs up and leaves the instance running; its
/// output waits for the next node.
#[derive(Debug)]
pub struct Instance {
    /// How to find it again; to be stored before anything else is done with it.
    pub ticket: Ticket,
    /// What it could not be given, in sentences: `no control group limits memory: ...`.
    pub notes: Vec<String>,
    /// What it says and how it ends. Bounded: while nobody reads here, init's buffer fills, and then the application
    /// is slowed and its output dropped by the rules of `stdout_block_ms`. Ends after the acknowledged exit.
    pub events: mpsc::Receiver<Event>,
    /// What it is told.
    pub control: Control,
    pub(super) link: tokio::task::JoinHandle<()>,
}

impl Instance {
    /// Hangs up, and returns when another node can adopt it. What was asked and not sent yet is lost.
    pub async fn hang_up(self) -> Ticket {
        drop(self.events);
        if let Err(error) = self.link.await {
            tracing::error!(%error, "the task of a connection has failed");
        }
        self.ticket
    }
}

/// What happens to an instance.
#[derive(Debug)]
pub enum Event {
    /// It has written. Everything must be acknowledged ([`Control::ack`]) once it is safe, dropped lines too.
    Output(Vec<Output>),
    /// It has ended and said its last. Init goes when the exit's number is acknowledged.
    Exited(Exit),
    /// The connection is gone and the end unknown; [`crate::adopt`] tells whether init, the application or nothing is left.
    Lost,
}

/// What a node may ask of an instance. Nothing here waits; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Control {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    asked: Mutex<Asked>,
    changed: Notify,
}

/// What has been asked and not been sent yet. Later wishes replace earlier ones, so this cannot grow.
#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    term: bool,
    kill: bool,
    ack: Option<u64>,
    store: Option<StoreState>,
}

impl Control {
    /// SIGTERM for the application's process group.
    pub fn term(&self) {
        self.ask(|asked| asked.term = true);
    }

    /// SIGKILL for every process of the instance, those in sessions of their own too.
    pub fn kill(&self) {
        self.ask(|asked| asked.kill = true);
    }

    /// Everything up to this number is safe; init forgets it. Numbers that were not told yet are not believed.
    pub fn ack(&self, seq: u64) {
        self.ask(|asked| asked.ack = asked.ack.max(Some(seq)));
    }

    /// Whether waiting for the log store is of use; while it is not, full buffers do not hold up the application.
    pub fn store(&self, state: StoreState) {
        self.ask(|asked| asked.store = Some(state));
    }

    fn ask(&self, change: impl FnOnce(&mut Asked)) {
        change(&mut self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner));
        self.shared.changed.notify_one();
    }

    /// Waits until something is asked and returns it as frames.
    pub(super) async fn next(&self) -> Vec<u8> {
        loop {
            let asked = std::mem::take(&mut *self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner));
            let frames = asked.frames();
            if !frames.is_empty() {
                return frames;
            }
            self.shared.changed.notified().await;
        }
    }
}

impl Asked {
    fn frames(self) -> Vec<u8> {
        let mut out = vec![];
        let term = self.term.then_some(FromNode::Signal { whom: Whom::Group, signal: libc::SIGTERM });
        let kill = self.kill.then_some(FromNode::Signal { whom: Whom::All, signal: libc::SIGKILL });
        let messages = [self.store.map(FromNode::Store), self.ack.map(FromNode::Ack), term, kill];
        messages.iter().flatten().for_each(|message| message.write(&mut out));
        out
    }
}
