//! The application's standard output and error.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Gid, Uid};
use stdx::clock::{Mono, Wall};

use crate::cutter::Cutter;
use crate::output::Stream;
use crate::spool::{Room, Spool};

/// Bytes that are read at once.
const CHUNK_BYTES: usize = 16 << 10;
/// The largest pipe that an application can make of its own (`/proc/sys/fs/pipe-max-size`, as it comes).
const PIPE_BYTES_MAX: usize = 1 << 20;

/// The ends that the application is given.
pub(super) struct WriteEnds {
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

/// One pipe as init reads it.
pub(super) struct Pipe {
    /// `None`: every writer is gone, or we have stopped listening.
    fd: Option<OwnedFd>,
    cutter: Cutter,
    chunk: Box<[u8; CHUNK_BYTES]>,
    /// The part of `chunk` that is not yet lines.
    taken: usize,
    filled: usize,
    /// What the last poll said, or that nothing is known yet.
    readable: bool,
}

/// Makes both pipes; the application's ends belong to its user, so that it can open `/dev/stdout`.
pub(super) fn make(uid: Option<u32>, message_bytes_max: u32) -> rustix::io::Result<([Pipe; 2], WriteEnds)> {
    let one = |stream| -> rustix::io::Result<(Pipe, OwnedFd)> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
        fcntl_setfl(&read, OFlags::NONBLOCK)?;
        if let Some(uid) = uid.filter(|_| rustix::process::geteuid().is_root()) {
            rustix::fs::fchown(&write, Some(Uid::from_raw(uid)), Some(Gid::from_raw(uid)))?;
        }
        Ok((Pipe::new(read, stream, message_bytes_max), write))
    };
    let (out, stdout) = one(Stream::Stdout)?;
    let (err, stderr) = one(Stream::Stderr)?;
    Ok(([out, err], WriteEnds { stdout, stderr }))
}

impl Pipe {
    fn new(fd: OwnedFd, stream: Stream, message_bytes_max: u32) -> Pipe {
        let cutter = Cutter::new(stream, message_bytes_max);
        Pipe { fd: Some(fd), cutter, chunk: Box::new([0; CHUNK_BYTES]), taken: 0, filled: 0, readable: false }
    }

    /// What to poll for reading: nothing while lines wait for room, nothing after the end.
    pub(super) fn wanted(&self) -> Option<BorrowedFd<'_>> {
        self.fd.as_ref().filter(|_| self.taken == self.filled).map(AsFd::as_fd)
    }

    pub(super) fn mark_readable(&mut self) {
        self.readable = true;
    }

    /// Whether everything that was written has become lines.
    pub(super) fn is_done(&self) -> bool {
        self.fd.is_none() && self.taken == self.filled
    }

    /// Turns what was read, and once more what can be read, into lines, as far as the spool has room. Returns when to
    /// come back where it has not.
    pub(super) fn pump(&mut self, spool: &mut Spool, now: Mono, wall: Wall, store_healthy: bool) -> Option<Mono> {
        loop {
            while self.taken < self.filled {
                if let Room::At(later) = spool.room(now, store_healthy) {
                    return Some(later);
                }
                self.taken += self.cutter.feed(&self.chunk[self.taken..self.filled], wall, spool);
            }
            if !std::mem::take(&mut self.readable) || !self.read(wall, spool) {
                return None;
            }
        }
    }

    /// After the application's end: takes what is in the pipe now, waits for nobody, and closes it.
    pub(super) fn drain(&mut self, spool: &mut Spool, now: Mono, wall: Wall) {
        for _ in 0..PIPE_BYTES_MAX / CHUNK_BYTES {
            self.readable = true;
            self.pump(spool, now, wall, false);
            if self.filled == 0 {
                break;
            }
        }
        self.close(wall, spool);
    }

    /// Fills the chunk; says whether there is something in it.
    fn read(&mut self, wall: Wall, spool: &mut Spool) -> bool {
        let Some(fd) = &self.fd else { return false };
        (self.taken, self.filled) = (0, 0);
        match rustix::io::read(fd, &mut self.chunk[..]) {
            Ok(0) => self.close(wall, spool),
            Ok(n) => self.filled = n,
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.close(wall, spool),
        }
        self.filled > 0
    }

    fn close(&mut self, wall: Wall, spool: &mut Spool) {
        if self.fd.take().is_some() {
            self.cutter.finish(wall, spool);
        }
    }
}
