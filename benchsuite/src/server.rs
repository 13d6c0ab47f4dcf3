//! A server under measurement: started on a free port of loopback, and gone when its value is.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::machine::{self, Part};

const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// A running server, killed and reaped when dropped: also when a measurement failed.
#[derive(Debug)]
pub struct Server {
    /// Where it serves.
    pub addr: SocketAddr,
    child: Child,
}

impl Server {
    /// Starts a server on the subjects' part of the machine and waits until it accepts connections. What it says goes to
    /// `log`.
    ///
    /// # Errors
    /// When it cannot be started, ends early, or does not accept within a minute; with the end of what it said.
    pub fn start(command: Command, addr: SocketAddr, log: &Path) -> Result<Server> {
        Server::start_on(Part::Subject, command, addr, log)
    }

    /// The same on a part of the machine.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_on(part: Part, mut command: Command, addr: SocketAddr, log: &Path) -> Result<Server> {
        let name = command.get_program().to_string_lossy().into_owned();
        let output = File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
        let errors = output.try_clone().context("cannot share a log file")?;
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        machine::move_to(part)?;
        let child = command.spawn().with_context(|| format!("cannot start {name}"));
        machine::move_to(Part::Driver)?;
        let mut server = Server { addr, child: child? };
        server.wait_until_ready().with_context(|| format!("{name}: {}", last_lines(log)))?;
        Ok(server)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let started = Instant::now();
        while started.elapsed() < READY_TIMEOUT {
            if let Some(status) = self.child.try_wait().context("cannot ask for its state")? {
                bail!("it ended with {status}");
            }
            if TcpStream::connect(self.addr).is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        bail!("it did not accept on {} within {} s", self.addr, READY_TIMEOUT.as_secs())
    }

    /// Bytes of memory that it has resident.
    pub fn resident_bytes(&self) -> u64 {
        crate::processes::resident_bytes(self.child.id())
    }

    /// CPU time so far, that of its children included: Varnish works in one.
    ///
    /// # Errors
    /// When it has ended.
    pub fn cpu_time(&self) -> Result<Duration> {
        machine::cpu_time_with_children(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("a server that was measured may still run, pid {}: {error}", self.child.id());
        }
    }
}

/// A port of loopback that nobody has just now.
///
/// # Errors
/// When there is none.
pub fn free_addr() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    listener.local_addr().context("a listener without an address")
}

/// A program in PATH or where Debian keeps servers; `None` when it is not installed.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/bin")]);
    folders.map(|folder| folder.join(name)).find(|candidate| candidate.is_file())
}

/// A folder beside the binary that measures, so that servers write to the disk that is built on; removed with its value.
///
/// # Errors
/// When it cannot be made.
pub fn work_folder() -> Result<tempfile::TempDir> {
    let binary = std::env::current_exe().context("who am I?")?;
    let home = binary.parent().context("a binary without a folder")?;
    tempfile::Builder::new().prefix("bench-").tempdir_in(home).context("cannot make a folder to work in")
}

fn last_lines(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(5).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_ends_early_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "echo no such option; exit 3"]);
        let error = Server::start(command, free_addr().unwrap(), &folder.path().join("log")).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("no such option") && text.contains("exit status: 3"), "{text}");
    }

    #[test]
    fn a_dropped_server_is_gone() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("/bin/sleep");
        command.arg("1000");
        let server = Server::start(command, listener.local_addr().unwrap(), &folder.path().join("log")).unwrap();
        let pid = server.child.id();
        drop(server);
        assert!(machine::cpu_time(pid).is_err());
    }
}
