//! What a node stores of an instance, so that it finds it again after a restart.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::isolation::Isolation;
use crate::procs;

/// How to find a running instance again. Process ids are reused, so each comes with its start time, and all with the
/// boot that they are of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// The process id of `forebay init`.
    pub init_pid: u32,
    /// Its start time in clock ticks since boot (field 22 of `/proc/PID/stat`).
    pub init_start: u64,
    /// The process id of the application, which is also its process group.
    pub child_pid: u32,
    /// Its start time, as above.
    pub child_start: u64,
    /// Where init listens.
    pub socket: PathBuf,
    /// The kernel's name of this boot (`/proc/sys/kernel/random/boot_id`).
    #[serde(default)]
    pub boot: String,
    /// The folder of the secrets, if there is one; removed by init at the end, by [`crate::Orphan::kill`]
    /// when init is gone.
    #[serde(default)]
    pub secrets_folder: Option<PathBuf>,
    /// The folders of its control groups.
    #[serde(default)]
    pub cgroups: Vec<PathBuf>,
    /// What separates it from its neighbours.
    #[serde(default)]
    pub isolation: Isolation,
}

impl Ticket {
    /// What is known of an instance by its init alone. Init leads a session of its own, so that stands for the
    /// application's.
    pub(crate) fn of_init(pid: u32, start: u64, socket: &Path) -> Ticket {
        Ticket {
            init_pid: pid,
            init_start: start,
            child_pid: pid,
            child_start: start,
            socket: socket.into(),
            boot: procs::boot_id(),
            secrets_folder: None,
            cgroups: Vec::new(),
            isolation: Isolation::default(),
        }
    }

    /// Whether the init process lives.
    pub fn init_lives(&self) -> bool {
        self.of_this_boot() && procs::lives(self.init_pid, self.init_start)
    }

    /// The application's processes that live, by session: id and start time.
    pub fn processes(&self) -> Vec<(u32, u64)> {
        if self.of_this_boot() { procs::session_of(self.child_pid, self.child_start) } else { vec![] }
    }

    fn of_this_boot(&self) -> bool {
        self.boot.is_empty() || self.boot == procs::boot_id()
    }

    /// Where init leaves word of an end that no node came for: `web.17.sock.end`.
    pub(crate) fn end_file(&self) -> PathBuf {
        let mut name = self.socket.as_os_str().to_owned();
        name.push(".end");
        name.into()
    }
}
