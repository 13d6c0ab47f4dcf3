//! What cannot be shared, so that requests for it do not wait for each other in vain.

use std::collections::HashMap;

use super::FetchLimits;
use crate::key::Key;
use crate::time::UnixMs;

/// What was too long once is believed to be so for as many times as long as what could not be shared.
const TOO_LONG_TIMES: u64 = 60;

/// Why requests go alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The last answer was one client's.
    Private,
    /// It grew longer than what is kept. Another answer does not say that it is shorter now.
    TooLong,
}

/// The keys whose requests go alone, for a while.
#[derive(Debug, Default)]
pub(super) struct Alone(HashMap<Key, (UnixMs, Cause)>);

impl Alone {
    pub(super) fn holds(&self, key: &str, now: UnixMs) -> bool {
        self.0.get(key).is_some_and(|(until, _)| *until > now)
    }

    /// The last answer can be shared after all.
    pub(super) fn pardon(&mut self, key: &str) {
        if self.0.get(key).is_some_and(|(_, cause)| *cause == Cause::Private) {
            self.0.remove(key);
        }
    }

    /// Remembers one, where there is room for it.
    pub(super) fn remember(&mut self, key: Key, cause: Cause, limits: &FetchLimits, now: UnixMs) {
        if self.0.len() >= limits.alone_max {
            self.expire(now);
        }
        if self.0.len() < limits.alone_max {
            let times = if cause == Cause::TooLong { TOO_LONG_TIMES } else { 1 };
            self.0.insert(key, (UnixMs(now.0.saturating_add(limits.alone_ms.saturating_mul(times))), cause));
        }
    }

    pub(super) fn expire(&mut self, now: UnixMs) {
        self.0.retain(|_, (until, _)| *until > now);
    }
}
