//! What to do when `accept` fails: some errors are of one connection, some are of the whole process.

use std::io;
use std::time::Duration;

/// How long accepting rests when the process has run out of descriptors or memory. Without the rest the listener would
/// spin: the connection that could not be accepted stays readable.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// Whether the process has run out of something that only time or closed connections give back.
pub fn is_exhausted(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM))
}

/// Waits as long as `error` asks for before accepting again: not at all when only one connection was lost.
pub async fn rest(error: &io::Error) {
    if is_exhausted(error) {
        tracing::warn!(%error, "accepting pauses");
        tokio::time::sleep(EXHAUSTED_PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_out_is_told_from_losing_one_connection() {
        for errno in [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE, rustix::io::Errno::NOMEM] {
            assert!(is_exhausted(&io::Error::from_raw_os_error(errno.raw_os_error())), "{errno}");
        }
        assert!(!is_exhausted(&io::Error::from(io::ErrorKind::ConnectionAborted)));
        assert!(!is_exhausted(&io::Error::other("something else")));
    }
}
