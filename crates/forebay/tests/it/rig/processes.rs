//! Processes that a node has left behind, on purpose: instances outlive it. Tests do not.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

/// Kills every instance whose release lies below `data`, and its parent, the init process.
///
/// An instance is found by its working folder, its parent by being the binary under test.
pub(super) fn kill_all_below(data: &Path) {
    let binary = fs::canonicalize(super::FOREBAY).unwrap_or_default();
    let below = |pid: i32| link(pid, "cwd").is_some_and(|folder| folder.starts_with(data));
    let instances: Vec<i32> = pids().into_iter().filter(|pid| below(*pid)).collect();
    let parents: Vec<i32> = instances.iter().filter_map(|pid| parent(*pid)).collect();
    let inits = parents.into_iter().filter(|pid| link(*pid, "exe").is_some_and(|exe| exe == binary));
    for pid in inits.collect::<Vec<_>>().into_iter().chain(instances) {
        if let Some(pid) = Pid::from_raw(pid) {
            // One that has just ended by itself is gone too.
            kill_process(pid, Signal::KILL).unwrap_or_default();
        }
    }
}

fn pids() -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn link(pid: i32, name: &str) -> Option<std::path::PathBuf> {
    fs::read_link(format!("/proc/{pid}/{name}")).ok()
}

fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat[stat.rfind(')')? + 1..].split_whitespace().nth(1)?.parse().ok()
}
