//! The start of one application: everything that can fail, in order, and nothing left behind when it does.

use std::time::Duration;

use rustix::process::geteuid;

use super::listener::Listener;
use super::pipes::{self, Pipe};
use super::signals::Signals;
use super::{child, detach, secrets};
use crate::cgroup::{self, Cgroup};
use crate::isolation::Isolation;
use crate::procs;
use crate::protocol::{Failure, Stage};
use crate::spec::{Limits, Spec};
use crate::spool::Spool;
use crate::ticket::Ticket;

/// A running application and all that belongs to it.
pub(super) struct Init {
    pub(super) ticket: Ticket,
    pub(super) signals: Signals,
    pub(super) listener: Listener,
    pub(super) pipes: [Pipe; 2],
    pub(super) spool: Spool,
    pub(super) cgroup: Cgroup,
    pub(super) limits: Limits,
    pub(super) stop_timeout: Duration,
}

impl Init {
    pub(super) fn ticket(&self) -> &Ticket {
        &self.ticket
    }
}

/// Starts the application.
pub(super) fn start(spec: Spec) -> Result<Init, Failure> {
    let signals = Signals::watch().map_err(|e| Failure::system(Stage::Pipes, e))?;
    let listener = Listener::bind(&spec.socket).map_err(|e| {
        let detail = Some(spec.socket.display().to_string());
        Failure { detail, ..Failure::system(Stage::Socket, e) }
    })?;
    let started = with_surroundings(&spec, signals, listener);
    if started.is_err()
        && let Err(error) = std::fs::remove_file(&spec.socket)
    {
        tracing::debug!(%error, "the socket was gone already");
    }
    started
}

fn with_surroundings(spec: &Spec, signals: Signals, listener: Listener) -> Result<Init, Failure> {
    // From here on a node that looks for this instance finds the socket. One that died before it was there starts
    // another instance, so this one must not begin.
    if !detach::node_waits() {
        return Err(Failure { stage: Stage::Unwanted, errno: None, detail: None });
    }
    child::check_user(spec)?;
    let folder = secrets::make(spec)?;
    let cgroup = cgroup::make(spec);
    let pipes = pipes::make(spec.uid, spec.limits.message_bytes_max).map_err(|e| Failure::system(Stage::Pipes, e));
    let spawned =
        pipes.and_then(|(pipes, ends)| Ok((child::spawn(spec, folder.as_ref(), &cgroup.folders, ends)?, pipes)));
    let (child_pid, pipes) = match spawned {
        Ok(spawned) => spawned,
        Err(failure) => {
            if let Some(folder) = &folder {
                secrets::remove(folder);
            }
            cgroup::remove(&cgroup.folders);
            return Err(failure);
        }
    };
    let init_pid = std::process::id();
    let ticket = Ticket {
        init_pid,
        init_start: procs::start_time(init_pid).unwrap_or_default(),
        child_pid,
        child_start: procs::start_time(child_pid).unwrap_or_default(),
        socket: spec.socket.clone(),
        boot: procs::boot_id(),
        secrets_folder: folder,
        cgroups: cgroup.folders.clone(),
        isolation: Isolation { uid: spec.uid.is_some_and(|uid| uid != geteuid().as_raw()), cgroup: cgroup.limited },
    };
    let block = Duration::from_millis(spec.stdout_block_ms.into());
    let spool = Spool::new(spec.limits.output_bytes_max, spec.limits.message_bytes_max, block);
    let stop_timeout = Duration::from_millis(spec.stop_timeout_ms.into());
    Ok(Init { ticket, signals, listener, pipes, spool, cgroup, limits: spec.limits, stop_timeout })
}
