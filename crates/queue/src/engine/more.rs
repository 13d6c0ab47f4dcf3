//! What only few jobs have: keys, terms of their own, attempts that failed, a death. It stands in the job's
//! [`Facts`](super::Facts) behind one pointer.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Attempts of one job that are remembered: the newest.
pub(crate) const ATTEMPTS_KEPT_MAX: usize = 8;

/// Bytes of a reason that are kept.
pub(crate) const REASON_BYTES_MAX: usize = 200;

/// How an attempt at a job ended without being the last word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttemptEnd {
    /// Its time to run was over.
    TimedOut,
    /// Its holder gave it back.
    Released,
    /// Its holder said that it failed.
    Failed,
}

impl AttemptEnd {
    /// The word that is shown.
    pub fn word(self) -> &'static str {
        match self {
            AttemptEnd::TimedOut => "timed out",
            AttemptEnd::Released => "released",
            AttemptEnd::Failed => "failed",
        }
    }
}

/// One attempt that did not finish a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When it ended, in wall-clock milliseconds.
    pub at_ms: u64,
    /// How.
    pub end: AttemptEnd,
    /// What its holder said of it.
    pub reason: Box<str>,
    /// Who held the job.
    pub worker: Box<str>,
}

impl Attempt {
    /// Whole seconds from its end until then.
    pub(crate) fn wait_s(&self, until_ms: u64) -> u32 {
        u32::try_from(until_ms.saturating_sub(self.at_ms).div_ceil(1_000)).unwrap_or(u32::MAX)
    }
}

/// Why a job is tried no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dead {
    pub(crate) at_ms: u64,
    /// The last attempt's end.
    pub(crate) end: AttemptEnd,
    /// The tube in which that was.
    pub(crate) from: Box<str>,
}

/// What a producer can ask for one job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PutTerms {
    /// A second `put` with this key is the same job, until `key_until_ms`.
    pub(crate) key: Option<Arc<str>>,
    pub(crate) key_until_ms: u64,
    /// A second `put` with this key is the same job, until that is done.
    pub(crate) unique: Option<Arc<str>>,
    /// Jobs of a tube with the same key are handed out one after the other, in order.
    pub(crate) order: Option<Arc<str>>,
    /// Instead of its tube's.
    pub(crate) attempts_max: Option<u32>,
    /// Instead of its tube's.
    pub(crate) retry_delay_ms: Option<u64>,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct More {
    pub(crate) terms: PutTerms,
    /// Reservations before it was replayed: they count towards no limit any more.
    pub(crate) forgiven: u32,
    /// Attempts that failed, as their holders said.
    pub(crate) failures: u32,
    /// The newest attempts, oldest first.
    pub(crate) attempts: VecDeque<Attempt>,
    pub(crate) dead: Option<Dead>,
}

impl More {
    /// Remembers an attempt in place of the oldest.
    pub(crate) fn note(&mut self, attempt: Attempt) {
        if self.attempts.len() >= ATTEMPTS_KEPT_MAX {
            self.attempts.pop_front();
        }
        self.failures += u32::from(attempt.end == AttemptEnd::Failed);
        self.attempts.push_back(attempt);
    }
}

/// The beginning of a reason, as much of it as is kept.
pub(crate) fn cut_reason(reason: &str) -> &str {
    let mut end = reason.len().min(REASON_BYTES_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    &reason[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_attempts_and_the_beginning_of_a_reason_are_kept() {
        let mut more = More::default();
        for at_ms in 0..20 {
            more.note(Attempt { at_ms, end: AttemptEnd::Failed, reason: "".into(), worker: "".into() });
        }
        assert_eq!(more.attempts.front().map(|attempt| attempt.at_ms), Some(12));
        assert_eq!((more.attempts.len(), more.failures), (ATTEMPTS_KEPT_MAX, 20));
        assert_eq!(cut_reason(&"ü".repeat(150)).len(), REASON_BYTES_MAX);
        assert_eq!(cut_reason("short"), "short");
    }
}
