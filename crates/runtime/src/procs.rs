//! What `/proc` says about processes.

use std::fs;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// One line of `/proc/PID/stat`, as far as it is needed here (proc_pid_stat(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// `R`, `S`, `D`, `Z` ...
    pub state: u8,
    /// The parent.
    pub ppid: u32,
    /// The session: the process id of the process that began it.
    pub session: u32,
    /// Clock ticks from boot to start (field 22).
    pub start: u64,
}

impl Stat {
    /// Neither a zombie nor about to vanish.
    fn is_alive(&self) -> bool {
        !matches!(self.state, b'Z' | b'X')
    }
}

/// What the kernel says about a process; `None` when there is none.
pub fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The start time of a process in clock ticks since boot: with the process id it names a process for good.
pub fn start_time(pid: u32) -> Option<u64> {
    stat(pid).map(|stat| stat.start)
}

/// Whether the process that had this id and start time still runs; a zombie does not.
pub fn lives(pid: u32, start: u64) -> bool {
    stat(pid).is_some_and(|stat| stat.start == start && stat.is_alive())
}

/// The kernel's name of this boot; empty where it has none.
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Sends a signal to the process that had this id and start time, and to no other. Says whether it was there.
pub fn signal(pid: u32, start: u64, signal: Signal) -> bool {
    // The descriptor pins the process first; the start time read after that is then its own.
    let Some(pid_t) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return false };
    match pidfd_open(pid_t, PidfdFlags::empty()) {
        Ok(pidfd) => start_time(pid) == Some(start) && pidfd_send_signal(&pidfd, signal).is_ok(),
        Err(_) => false,
    }
}

/// The living descendants of a process with their start times, in no order; zombies are left out.
pub fn descendants(root: u32) -> Vec<(u32, u64)> {
    let all = all();
    let mut found = vec![];
    let mut parents = vec![root];
    while let Some(parent) = parents.pop() {
        for (pid, stat) in all.iter().filter(|(_, stat)| stat.ppid == parent) {
            parents.push(*pid);
            if stat.is_alive() {
                found.push((*pid, stat.start));
            }
        }
    }
    found
}

/// The living members of the session that the process with this id and start time began. As long as it has members
/// the kernel gives its number to nobody else; once somebody else has the number, it has none.
pub fn session_of(leader: u32, leader_start: u64) -> Vec<(u32, u64)> {
    if start_time(leader).is_some_and(|start| start != leader_start) {
        return vec![];
    }
    let members = all().into_iter().filter(|(_, stat)| stat.session == leader && stat.is_alive());
    members.map(|(pid, stat)| (pid, stat.start)).collect()
}

fn all() -> Vec<(u32, Stat)> {
    let Ok(entries) = fs::read_dir("/proc") else { return vec![] };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| Some((pid, stat(pid)?))).collect()
}

fn parse_stat(line: &str) -> Option<Stat> {
    // The name (field 2) may hold anything, parentheses too; fields are counted from behind its last one.
    let (_, rest) = line.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    let ppid = fields.next()?.parse().ok()?;
    let session = fields.nth(1)?.parse().ok()?;
    let start = fields.nth(15)?.parse().ok()?;
    Some(Stat { state, ppid, session, start })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_full_of_parentheses_does_not_mislead() {
        let line = "77 (a) S (b) R 5 77 76 0 -1 4194304 97 0 0 0 1 2 3 4 20 0 1 0 8812345 231 0";
        assert_eq!(parse_stat(line), Some(Stat { state: b'R', ppid: 5, session: 76, start: 8_812_345 }));
        assert_eq!(parse_stat("77 (cut"), None);
        assert_eq!(parse_stat("77 (x) S 1 2 3"), None);
    }

    #[test]
    fn we_live_and_a_reused_id_would_not_be_us() {
        let me = std::process::id();
        let start = start_time(me).unwrap();
        assert!(lives(me, start));
        assert!(!lives(me, start + 1));
        assert!(!signal(me, start + 1, Signal::KILL), "a signal for somebody else");
    }
}
