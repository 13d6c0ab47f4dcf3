//! The control socket: private, and only for processes of our own user or root.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use rustix::net::sockopt::socket_peercred;
use rustix::process::geteuid;

pub(super) struct Listener(UnixListener);

impl Listener {
    /// Listens at `path`. The name of an init that is gone is taken over, that of a living one is not.
    pub(super) fn bind(path: &Path) -> io::Result<Listener> {
        let listener = match UnixListener::bind(path) {
            Err(e) if e.kind() == io::ErrorKind::AddrInUse && nobody_listens(path) => {
                fs::remove_file(path)?;
                UnixListener::bind(path)?
            }
            other => other?,
        };
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        Ok(Listener(listener))
    }

    /// The next connection of somebody who may have one.
    pub(super) fn accept(&self) -> Option<UnixStream> {
        loop {
            let (stream, _) = self.0.accept().ok()?;
            let uid = socket_peercred(&stream).ok()?.uid;
            if (uid == geteuid() || uid.is_root()) && stream.set_nonblocking(true).is_ok() {
                return Some(stream);
            }
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn nobody_listens(path: &Path) -> bool {
    UnixStream::connect(path).is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused)
}
