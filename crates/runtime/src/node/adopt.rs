//! Finding an instance again after a restart of the node, and what to do when its init is gone.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;

use super::instance::Instance;
use super::link;
use crate::exit::End;
use crate::protocol::LinkError;
use crate::ticket::Ticket;
use crate::{cgroup, init, procs};

/// Time for killed processes to vanish.
const VANISH: Duration = Duration::from_secs(5);
/// Pause between two looks at them.
const VANISH_LOOK: Duration = Duration::from_millis(5);

/// Why an instance could not be adopted.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// Nothing of it runs. What it left behind has been removed.
    #[error("it is gone{}", unclaimed.as_ref().map(|word| format!(": {}", word.end)).unwrap_or_default())]
    Gone {
        /// What its init left word of, when no node came for its end.
        unclaimed: Option<Unclaimed>,
    },
    /// Its init is gone, but the application runs, unheard. It must be killed before another is started.
    #[error("its init is gone, {} of its processes run on", _0.processes)]
    Orphan(Orphan),
    /// Its init runs, but cannot be spoken to.
    #[error(transparent)]
    Link(#[from] LinkError),
}

/// An application without an init.
#[derive(Debug)]
pub struct Orphan {
    ticket: Ticket,
    /// How many processes of its session run.
    pub processes: usize,
}

/// The word that init leaves beside its socket, when it has waited too long for a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unclaimed {
    /// How the application ended.
    pub end: End,
    /// Nanoseconds since the epoch at which init gave up.
    pub time_ns: u64,
    /// Lines (and the exit) that no node had acknowledged and that are lost.
    pub unacked: u64,
}

/// Takes up a running instance by its ticket: the same processes, and everything that was not acknowledged once more.
///
/// # Errors
/// What is left of it instead.
pub async fn adopt(ticket: &Ticket) -> Result<Instance, AdoptError> {
    if !ticket.init_lives() {
        return Err(without_init(ticket));
    }
    // The kernel says whose socket it is (SO_PEERCRED), so a process that takes the number now is not taken for init.
    match link::connect(&ticket.socket, Some(ticket.init_pid)).await {
        // It may have ended between the look and the connection.
        Err(_) if !ticket.init_lives() => Err(without_init(ticket)),
        other => Ok(other?),
    }
}

/// Takes up an instance of which only the socket is known, because the node died before it could store the ticket.
///
/// # Errors
/// [`AdoptError::Gone`] when nobody listens there: then nothing of it was started, or it has ended.
pub async fn adopt_at(socket: &Path) -> Result<Instance, AdoptError> {
    match link::connect(socket, None).await {
        Err(LinkError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
            Err(AdoptError::Gone { unclaimed: None })
        }
        Err(LinkError::Io(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            remove(socket);
            Err(AdoptError::Gone { unclaimed: None })
        }
        other => Ok(other?),
    }
}

fn without_init(ticket: &Ticket) -> AdoptError {
    let processes = ticket.processes().len();
    if processes > 0 {
        return AdoptError::Orphan(Orphan { ticket: ticket.clone(), processes });
    }
    let unclaimed = Unclaimed::fetch(ticket);
    clean_up(ticket);
    AdoptError::Gone { unclaimed }
}

impl Orphan {
    /// Kills every process of the application's session and control group, waits until they are gone, and removes what
    /// it left behind. Says whether they are gone.
    pub async fn kill(self) -> bool {
        put_down(&self.ticket).await
    }
}

/// Kills an instance without its init's help: the application's session and control group, all that descends from init,
/// and init itself, each by its number and start time. Waits for them to vanish, and removes what they left behind.
/// Says whether all are gone; processes that sit in the kernel may need another call, later.
pub async fn put_down(ticket: &Ticket) -> bool {
    let begun = Instant::now();
    let mut seen = BTreeSet::new();
    loop {
        // Before init is gone: what it alone keeps together would be nobody's then.
        if ticket.init_lives() {
            seen.extend(procs::descendants(ticket.init_pid));
        }
        seen.extend(ticket.processes());
        cgroup::kill(&ticket.cgroups);
        seen.retain(|(pid, start)| procs::lives(*pid, *start));
        for (pid, start) in &seen {
            procs::signal(*pid, *start, Signal::KILL);
        }
        if ticket.init_lives() {
            procs::signal(ticket.init_pid, ticket.init_start, Signal::KILL);
        } else if seen.is_empty() && ticket.processes().is_empty() {
            clean_up(ticket);
            return true;
        }
        if begun.elapsed() > VANISH {
            return false;
        }
        tokio::time::sleep(VANISH_LOOK).await;
    }
}

/// The same for an instance of which only the socket is known: the kernel says who listens there.
pub async fn put_down_at(socket: &Path) -> bool {
    match listener(socket).await {
        Ok(Some((pid, start))) => put_down(&Ticket::of_init(pid, start, socket)).await,
        // Nobody listens: whoever did has ended, and took the application along or never started it.
        Ok(None) => {
            remove(socket);
            true
        }
        Err(error) => {
            tracing::warn!(%error, socket = %socket.display(), "cannot tell who listens");
            false
        }
    }
}

/// The process that listens at a socket, with its start time.
async fn listener(socket: &Path) -> io::Result<Option<(u32, u64)>> {
    let connecting = tokio::time::timeout(VANISH, UnixStream::connect(socket));
    let stream = match connecting.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))? {
        Ok(stream) => stream,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => return Ok(None),
        Err(e) => return Err(e),
    };
    let pid = stream.peer_cred()?.pid().and_then(|pid| u32::try_from(pid).ok());
    Ok(pid.and_then(|pid| Some((pid, procs::start_time(pid)?))))
}

/// Removes what an init that is gone could not: processes in the control group, secrets, the socket.
fn clean_up(ticket: &Ticket) {
    cgroup::kill(&ticket.cgroups);
    cgroup::remove(&ticket.cgroups);
    if let Some(folder) = &ticket.secrets_folder {
        init::remove_secrets(folder);
    }
    remove(&ticket.socket);
    remove(&ticket.end_file());
}

fn remove(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, path = %path.display(), "left behind by an instance");
        }
        _ => {}
    }
}

impl Unclaimed {
    /// Writes the word, whole or not at all.
    pub(crate) fn leave_at(&self, ticket: &Ticket) {
        let path = ticket.end_file();
        let part = path.with_extension("part");
        let left = serde_json::to_vec(self).map_err(io::Error::from).and_then(|json| fs::write(&part, json));
        if let Err(error) = left.and_then(|()| fs::rename(&part, &path)) {
            tracing::warn!(%error, path = %path.display(), "no word could be left");
        }
    }

    fn fetch(ticket: &Ticket) -> Option<Unclaimed> {
        serde_json::from_slice(&fs::read(ticket.end_file()).ok()?).ok()
    }
}
