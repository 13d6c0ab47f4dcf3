//! Leaving the node: its session, its process group, its folder, its standard streams.

#![allow(unsafe_code, reason = "fork and dup2; tested by every start in tests/it")]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, chdir, set_child_subreaper, set_dumpable_behavior, setrlimit, setsid, umask,
};

use crate::protocol::{Failure, Stage};

/// Who comes back from [`from_node`].
pub(super) enum Who {
    /// The process that the node started and waits for; nothing is left for it to do.
    Parent,
    /// Its child, which is nobody's but the machine's.
    Init,
}

/// Forks once, so that the node has no child to reap, and leaves the node's session.
pub(super) fn from_node() -> Result<Who, Failure> {
    let failed = |error: io::Error| Failure::system(Stage::Detach, error);
    // SAFETY: this process has one thread (see `super::main`), so its child may do whatever it could do itself.
    match unsafe { libc::fork() } {
        -1 => return Err(failed(io::Error::last_os_error())),
        0 => {}
        _ => return Ok(Who::Parent),
    }
    let session = || -> rustix::io::Result<()> {
        setsid()?;
        rustix::thread::set_name(c"forebay-init")?;
        chdir("/")?;
        umask(rustix::fs::Mode::from_raw_mode(0o077));
        set_child_subreaper(Some(rustix::process::getpid()))?;
        // Its memory has held secrets: no core file, and no reading by another process of the same user.
        set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
        setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })
    };
    session().map_err(|errno| failed(errno.into()))?;
    Ok(Who::Init)
}

/// Whether the node still holds its end of the pipe that the report goes to.
pub(super) fn node_waits() -> bool {
    let stdout = io::stdout();
    let mut fds = [PollFd::new(&stdout, PollFlags::empty())];
    match poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
        Ok(_) => !fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP),
        Err(_) => false,
    }
}

/// Replaces standard input, output and error by `/dev/null`: the spec's memory is freed, the node's pipe is closed.
pub(super) fn from_stdio() -> io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    for target in 0..=2 {
        replace(target, null.as_raw_fd())?;
    }
    Ok(())
}

/// Makes `target` mean what `source` means; it is kept across `exec`.
pub(super) fn replace(target: RawFd, source: RawFd) -> io::Result<()> {
    // SAFETY: 0 to 2 are not owned by any Rust value, and `source` is open.
    if unsafe { libc::dup2(source, target) } == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
