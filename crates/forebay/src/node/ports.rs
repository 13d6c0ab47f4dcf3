//! `DATA/ports.json`: what a running node has bound; written when it is ready, removed when it stops and when it starts.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use net::listen::ListenAddr;
use serde::{Deserialize, Serialize};
use stdx::io::{Disk, replace_file};

/// The addresses that were bound: the first of each as text, all of them as lists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ports {
    /// The first address of the router.
    pub(crate) http: String,
    /// The first address of the queue.
    pub(crate) queue: String,
    /// The first address of the admin API.
    pub(crate) admin: String,
    /// Every address of each.
    pub(crate) all: AllPorts,
}

/// Every address that was bound.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct AllPorts {
    pub(crate) http: Vec<SocketAddr>,
    pub(crate) queue: Vec<SocketAddr>,
    /// The queue's HTTP door.
    #[serde(default)]
    pub(crate) queue_http: Vec<SocketAddr>,
    pub(crate) admin: Vec<SocketAddr>,
}

impl Ports {
    pub(crate) fn new(http: Vec<SocketAddr>, queue: &queue::Handle, admin: Vec<SocketAddr>) -> Ports {
        let (queue, queue_http) = (queue.bound(), queue.http_bound());
        let first = |addrs: &[SocketAddr]| addrs.first().map(ToString::to_string).unwrap_or_default();
        let (first_http, first_queue, first_admin) = (first(&http), first(&queue), first(&admin));
        let all = AllPorts { http, queue, queue_http, admin };
        Ports { http: first_http, queue: first_queue, admin: first_admin, all }
    }

    /// Writes the file whole, under its name only when it is complete.
    pub(crate) fn publish(&self, path: &Path) -> io::Result<()> {
        replace_file(&Disk, path, &serde_json::to_vec(self).map_err(io::Error::from)?)
    }

    /// What `path` says; `None` when nothing readable is there.
    pub(crate) fn read(path: &Path) -> Option<Ports> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }
}

/// Where any port will do, the one of last time is best: instances that outlived their node reach the queue and the
/// router by the addresses that they were started with.
pub(crate) fn stay(listen: &mut [ListenAddr], last: &[SocketAddr]) {
    for addr in listen {
        *addr = addr.with_port_of(last);
    }
}

/// Removes the file, and is content when there is none.
pub(crate) fn withdraw(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}
