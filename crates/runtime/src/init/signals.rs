//! Signals as something that can be polled.

#![allow(
    unsafe_code,
    reason = "sigprocmask, signalfd and sigaction have no safe wrapper; tested by tests/it/ending.rs and surroundings.rs"
)]

use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

/// What init wants to know of: ends of children, and what it passes on.
const WATCHED: [i32; 7] =
    [libc::SIGCHLD, libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT, libc::SIGUSR1, libc::SIGUSR2];

/// A descriptor that becomes readable with each watched signal.
pub(super) struct Signals(OwnedFd);

impl Signals {
    /// Blocks the watched signals and opens the descriptor.
    pub(super) fn watch() -> io::Result<Signals> {
        // SAFETY: the set is initialised by `sigemptyset` before it is read; a new descriptor is owned by nobody else.
        unsafe {
            let mut set = MaybeUninit::uninit();
            libc::sigemptyset(set.as_mut_ptr());
            for signal in WATCHED {
                libc::sigaddset(set.as_mut_ptr(), signal);
            }
            let set = set.assume_init();
            if libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) == -1 {
                return Err(io::Error::last_os_error());
            }
            match libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) {
                -1 => Err(io::Error::last_os_error()),
                fd => Ok(Signals(OwnedFd::from_raw_fd(fd))),
            }
        }
    }

    /// The next signal that has arrived, if any.
    pub(super) fn next(&self) -> Option<i32> {
        let mut info = [0u8; mem::size_of::<libc::signalfd_siginfo>()];
        let read = rustix::io::read(&self.0, &mut info).ok()?;
        let number = u32::from_ne_bytes(*info.first_chunk()?);
        (read == info.len()).then_some(i32::try_from(number).ok()?)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// In a new child: no signal is blocked, ignored (Rust ignores SIGPIPE) or caught. By the kernel's own call, because
/// libc keeps 32 and 33 for itself and would leave them ignored if they came so.
pub(super) fn reset() {
    // SIG_DFL, no flags, no restorer, an empty mask: all are zero in the kernel's `struct sigaction` (at most 32 bytes).
    let default = [0u64; 4];
    const SET_BYTES: usize = 8;
    for signal in 1..=64 {
        // SAFETY: reads `default`, writes nothing; SIGKILL and SIGSTOP are refused and need no change.
        unsafe {
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), std::ptr::null_mut::<u64>(), SET_BYTES)
        };
    }
    let none = 0u64;
    // SAFETY: reads `none`, writes nothing.
    unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &none, std::ptr::null_mut::<u64>(), SET_BYTES)
    };
}
