//! Starting an instance: a `forebay init` that is nobody's child.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};

use super::instance::Instance;
use super::link;
use crate::nofile::original_nofile;
use crate::protocol::{Failure, LinkError, REPORT_BYTES_MAX, Report};
use crate::spec::{Spec, SpecError};
use crate::ticket::Ticket;

/// Seconds for an init to report its start.
const REPORT_S: u64 = 10;

/// Why an instance was not started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// What is asked for cannot be.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The init process could not be run.
    #[error("cannot run {} init: {source}", exe.display())]
    Spawn {
        /// The executable.
        exe: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Init ran, but could not start the application; it left nothing behind.
    #[error(transparent)]
    Init(#[from] Failure),
    /// Init ended without a report.
    #[error("{} init ended without a report ({status}): {said}", exe.display())]
    Mute {
        /// The executable.
        exe: PathBuf,
        /// How its first process ended.
        status: ExitStatus,
        /// What it wrote instead.
        said: String,
    },
    /// Init has not reported in time. It may be about to: [`crate::adopt_at`] its socket tells.
    #[error("{} init has not reported in {REPORT_S} s", exe.display())]
    Silent {
        /// The executable.
        exe: PathBuf,
    },
    /// The application runs, but its init cannot be spoken to: [`crate::adopt`] may be tried again.
    #[error("the instance runs (pid {}), but {source}", ticket.child_pid)]
    Link {
        /// Where to find it.
        ticket: Box<Ticket>,
        /// What went wrong.
        source: LinkError,
    },
}

/// Starts an instance by `exe init`; `exe` is this binary by its full path, or `/proc/self/exe`, which is still the same
/// when the file has been replaced.
/// When it returns, the application's shell runs.
///
/// # Errors
/// Why it could not be started; only after [`StartError::Silent`] and [`StartError::Link`] may something run.
pub async fn start(mut spec: Spec, exe: &Path) -> Result<Instance, StartError> {
    spec.check()?;
    let original = original_nofile().and_then(|files| u32::try_from(files).ok());
    spec.limits.open_files_max = spec.limits.open_files_max.or(original);
    let exe = exe.to_path_buf();
    let spawning = tokio::task::spawn_blocking(move || spawn(&spec, exe));
    let ticket = spawning.await.map_err(|e| Failure::because(crate::Stage::Spec, e.to_string()))??;
    match link::connect(&ticket.socket, Some(ticket.init_pid)).await {
        Ok(instance) => Ok(instance),
        Err(source) => Err(StartError::Link { ticket: Box::new(ticket), source }),
    }
}

/// Runs init and waits for its report.
fn spawn(spec: &Spec, exe: PathBuf) -> Result<Ticket, StartError> {
    let run = || -> io::Result<(ExitStatus, Option<Vec<u8>>)> {
        let mut child = Command::new(&exe)
            .arg0("forebay")
            .arg("init")
            .arg(format!("{}/{}", spec.scope, spec.instance))
            .env_clear()
            .current_dir("/")
            .process_group(0)
            .stdin(orders(spec)?)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let pipe = child.stdout.take().map(|pipe| File::from(std::os::fd::OwnedFd::from(pipe)));
        let said = pipe.map_or(Ok(Some(vec![])), read_report);
        // The first process ends as soon as it has forked, which was before anything was said.
        Ok((child.wait()?, said?))
    };
    let (status, said) = run().map_err(|source| StartError::Spawn { exe: exe.clone(), source })?;
    let Some(said) = said else { return Err(StartError::Silent { exe }) };
    match serde_json::from_slice(&said) {
        Ok(Report::Started(ticket)) => Ok(ticket),
        Ok(Report::Failed(failure)) => Err(failure.into()),
        Err(_) => {
            let said = String::from_utf8_lossy(&said[..said.len().min(200)]).into_owned();
            Err(StartError::Mute { exe, status, said })
        }
    }
}

/// The spec in a memory file, which is gone when both sides have closed it.
fn orders(spec: &Spec) -> io::Result<File> {
    let mut file = File::from(memfd_create("forebay-spec", MemfdFlags::CLOEXEC)?);
    file.write_all(&serde_json::to_vec(spec)?)?;
    file.rewind()?;
    Ok(file)
}

/// Reads to the end; `None` when that does not come in time.
fn read_report(pipe: File) -> io::Result<Option<Vec<u8>>> {
    let begun = Instant::now();
    let mut said = vec![];
    let mut chunk = [0; 4096];
    while said.len() < REPORT_BYTES_MAX {
        let left = REPORT_S.saturating_sub(begun.elapsed().as_secs());
        let timeout = Timespec { tv_sec: i64::try_from(left).unwrap_or_default(), tv_nsec: 0 };
        match poll(&mut [PollFd::new(&pipe, PollFlags::IN)], Some(&timeout)) {
            Ok(0) => return Ok(None),
            Ok(_) => match (&pipe).read(&mut chunk)? {
                0 => break,
                n => said.extend_from_slice(&chunk[..n]),
            },
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(Some(said))
}
