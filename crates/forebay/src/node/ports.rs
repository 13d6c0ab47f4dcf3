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
    /// The first address of the router with TLS; empty where there is none.
    #[serde(default)]
    pub(crate) https: String,
    /// The first address of the queue.
    pub(crate) queue: String,
    /// The first address of the admin API.
    pub(crate) admin: String,
    /// Every address of each.
    pub(crate) all: AllPorts,
}

/// Every address that was bound.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct AllPorts {
    pub(crate) http: Vec<SocketAddr>,
    #[serde(default)]
    pub(crate) https: Vec<SocketAddr>,
    pub(crate) queue: Vec<SocketAddr>,
    /// The queue with TLS.
    #[serde(default)]
    pub(crate) queue_tls: Vec<SocketAddr>,
    /// The queue's HTTP door.
    #[serde(default)]
    pub(crate) queue_http: Vec<SocketAddr>,
    pub(crate) admin: Vec<SocketAddr>,
}

impl Ports {
    /// What is bound, and what of it is the queue's.
    pub(crate) fn new(others: AllPorts, queue: &queue::Handle) -> Ports {
        let all =
            AllPorts { queue: queue.bound(), queue_tls: queue.bound_tls(), queue_http: queue.http_bound(), ..others };
        let first = |addrs: &[SocketAddr]| addrs.first().map(ToString::to_string).unwrap_or_default();
        Ports {
            http: first(&all.http),
            https: first(&all.https),
            queue: first(&all.queue),
            admin: first(&all.admin),
            all,
        }
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
