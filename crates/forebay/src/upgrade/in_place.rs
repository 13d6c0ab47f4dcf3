//! The old program of one process: it has sealed everything, and executes the new one.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;

use net::handover::Channel;
use rustix::process::{Signal, getpid};

use super::words::{self, Kind, Part, VARIABLE};
use super::{Binary, failure};
use crate::output::Quit;

/// This program, whatever has become of its file.
const MYSELF: &str = "/proc/self/exe";

/// Executes the binary in the place of this program, with all `parts`. If that cannot be, this program is executed anew: what
/// was sealed is opened again by one or the other. Returns only when neither can be.
pub(crate) fn execute(binary: &Binary, parts: &[(Part, OwnedFd)]) -> Quit {
    let failed = |error: io::Error| failure(format!("cannot execute another program: {error}"));
    let error = match prepare(parts) {
        Ok(()) => {
            let variable = Kind::InPlace.variable(getpid());
            let error = binary.command().env(VARIABLE, &variable).exec();
            tracing::error!(%error, path = %binary.path().display(), "the new binary cannot be executed; the old one is");
            binary.command_of(Path::new(MYSELF)).env(VARIABLE, &variable).exec()
        }
        Err(error) => error,
    };
    failed(error).into()
}

/// Puts everything where the next program finds it.
fn prepare(parts: &[(Part, OwnedFd)]) -> io::Result<()> {
    let (near, far) = Channel::pair()?;
    words::give(&near, parts)?;
    rustix::stdio::dup2_stdin(&far)?;
    // It raises the limit itself, and has to know what instances are given.
    if let Err(error) = runtime::restore_nofile() {
        tracing::warn!(%error, "the limit of open files stays raised");
    }
    [Signal::HUP, Signal::USR1, Signal::USR2].into_iter().try_for_each(runtime::ignore_until_handled)
}
