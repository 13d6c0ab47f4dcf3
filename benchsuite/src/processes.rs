//! Processes of this machine, found by what they run and where: a node's instances outlive it on purpose, a measurement's
//! or a test's must not.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

const GONE_TIMEOUT: Duration = Duration::from_secs(10);

/// Processes that run this very file, by their ids. Run a link or a copy of a binary to find only your own.
pub fn running(binary: &Path) -> Vec<u32> {
    let binary = fs::canonicalize(binary).unwrap_or_else(|_| binary.into());
    all().into_iter().filter(|pid| link(*pid, "exe").is_some_and(|exe| exe == binary)).collect()
}

/// Processes whose working folder is `folder` or lies below it.
pub fn working_below(folder: &Path) -> Vec<u32> {
    let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.into());
    all().into_iter().filter(|pid| link(*pid, "cwd").is_some_and(|cwd| cwd.starts_with(&folder))).collect()
}

/// Kills them and waits until they are gone; one that has ended by itself meanwhile is content too.
pub fn kill(pids: &[u32]) {
    let raw = |pid: &u32| i32::try_from(*pid).ok().and_then(Pid::from_raw);
    for pid in pids.iter().filter_map(raw) {
        kill_process(pid, Signal::KILL).unwrap_or_default();
    }
    let started = Instant::now();
    while pids.iter().any(|pid| is_alive(*pid)) && started.elapsed() < GONE_TIMEOUT {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a process exists and is not only waited for.
pub fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next()).is_some_and(|state| !"ZX".contains(state))
}

/// Resident memory in bytes: what `ps` calls RSS, pages that are shared with others included.
pub fn resident_bytes(pid: u32) -> u64 {
    kilobytes(&format!("/proc/{pid}/status"), "VmRSS:") * 1024
}

/// Resident memory in bytes with each shared page divided among those who share it (PSS).
pub fn proportional_bytes(pid: u32) -> u64 {
    kilobytes(&format!("/proc/{pid}/smaps_rollup"), "Pss:") * 1024
}

fn kilobytes(path: &str, key: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn all() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn link(pid: u32, name: &str) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/{name}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_process_is_found_by_its_file_and_its_folder_and_is_gone_when_killed() {
        let folder = tempfile::tempdir().unwrap();
        let binary = folder.path().join("sleeper");
        fs::copy("/bin/sleep", &binary).unwrap();
        let mut child = Command::new(&binary).arg("1000").current_dir(folder.path()).spawn().unwrap();
        assert_eq!(running(&binary), [child.id()]);
        assert_eq!(working_below(folder.path()), [child.id()]);
        assert!(resident_bytes(child.id()) >= proportional_bytes(child.id()));
        assert!(proportional_bytes(child.id()) > 0);
        kill(&running(&binary));
        assert!(!is_alive(child.id()));
        child.wait().unwrap();
        assert_eq!(running(&binary), [0u32; 0]);
    }
}
