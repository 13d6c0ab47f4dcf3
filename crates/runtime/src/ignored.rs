//! Signals while one program gives way to the next: between the two nobody handles them, and most would end the process.

#![allow(
    unsafe_code,
    reason = "setting a signal to be ignored has no safe wrapper; tested below and by the node's upgrade"
)]

use std::io;

use rustix::process::Signal;

/// Ignores a signal from now on, through the execution of another program, until somebody handles it.
///
/// # Errors
/// When it is one that cannot be ignored.
pub fn ignore_until_handled(signal: Signal) -> io::Result<()> {
    // SAFETY: `SIG_IGN` is no function of ours that could run at a bad moment; the number is that of a signal.
    match unsafe { libc::signal(signal.as_raw(), libc::SIG_IGN) } {
        libc::SIG_ERR => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ignored_signal_ends_nobody() {
        // In a process of its own, as each test has: this changes the process for good.
        ignore_until_handled(Signal::USR2).unwrap();
        rustix::process::kill_process(rustix::process::getpid(), Signal::USR2).unwrap();
        assert!(ignore_until_handled(Signal::KILL).is_err());
    }
}
