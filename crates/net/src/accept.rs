//! What to do when `accept` fails: some errors are of one connection, some are of the whole process.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long accepting rests when the process has run out of descriptors or memory. Without the rest the listener would
/// spin: the connection that could not be accepted stays readable.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// How often a shortage is said: it is met ten times a second by each listener, and the disk of the log is not to be the
/// next thing that runs out.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// When any listener of the process last said that it has run out.
static SAID: Mutex<Option<Instant>> = Mutex::new(None);

/// Whether the process has run out of something that only time or closed connections give back.
pub fn is_exhausted(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM))
}

/// Waits as long as `error` asks for before accepting again: not at all when only one connection was lost.
pub async fn rest(error: &io::Error) {
    if is_exhausted(error) {
        if is_time_to_say(&SAID, Instant::now()) {
            tracing::warn!(%error, "no connections are accepted until others close");
        }
        tokio::time::sleep(EXHAUSTED_PAUSE).await;
    }
}

fn is_time_to_say(said: &Mutex<Option<Instant>>, now: Instant) -> bool {
    let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
    let is_time = said.is_none_or(|said| now.duration_since(said) >= SAY_EVERY);
    if is_time {
        *said = Some(now);
    }
    is_time
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_is_said_now_and_then() {
        let (said, start) = (Mutex::new(None), Instant::now());
        let says: Vec<u64> =
            (0..200).filter(|tenth| is_time_to_say(&said, start + EXHAUSTED_PAUSE * *tenth as u32)).collect();
        assert_eq!(says, [0, 100]);
    }

    #[test]
    fn running_out_is_told_from_losing_one_connection() {
        for errno in [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE, rustix::io::Errno::NOMEM] {
            assert!(is_exhausted(&io::Error::from_raw_os_error(errno.raw_os_error())), "{errno}");
        }
        assert!(!is_exhausted(&io::Error::from(io::ErrorKind::ConnectionAborted)));
        assert!(!is_exhausted(&io::Error::other("something else")));
    }
}
