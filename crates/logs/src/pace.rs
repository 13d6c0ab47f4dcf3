//! When to commit. Pure.

use std::time::Duration;

use stdx::clock::Mono;

/// Awaited records are committed at once when the disk is idle, but two commits are at least this far apart, so that
/// lines which arrive one by one do not cost a sync each.
const AWAITED_GAP: Duration = Duration::from_millis(50);

/// What has been appended and not yet committed, in time.
#[derive(Debug)]
pub(crate) struct Pace {
    interval: Duration,
    bytes: usize,
    last_commit: Option<Mono>,
    oldest: Option<Mono>,
    awaited: bool,
}

/// What to do about what waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Commit now.
    Now,
    /// Look again then.
    At(Mono),
    /// Nothing waits.
    Never,
}

impl Pace {
    /// Commits at least each `interval`, and when `bytes` wait.
    pub(crate) fn new(interval: Duration, bytes: usize) -> Pace {
        Pace { interval, bytes, last_commit: None, oldest: None, awaited: false }
    }

    /// Something was appended.
    pub(crate) fn appended(&mut self, now: Mono) {
        self.oldest.get_or_insert(now);
    }

    /// Somebody awaits what was appended so far.
    pub(crate) fn awaited(&mut self, now: Mono) {
        self.appended(now);
        self.awaited = true;
    }

    /// A commit of all that waits begins; `rest` says whether more than a batch waits.
    pub(crate) fn committing(&mut self, now: Mono, rest: bool) {
        self.last_commit = Some(now);
        if !rest {
            self.oldest = None;
            self.awaited = false;
        }
    }

    /// What to do, with `pending` bytes waiting and no commit under way.
    pub(crate) fn due(&self, now: Mono, pending: usize) -> Due {
        let Some(oldest) = self.oldest else { return Due::Never };
        let at = match self.last_commit {
            _ if pending >= self.bytes => now,
            Some(last) if self.awaited => last + AWAITED_GAP,
            None if self.awaited => now,
            _ => oldest + self.interval,
        };
        if at <= now { Due::Now } else { Due::At(at) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Mono {
        Mono(ms * 1_000_000)
    }

    fn pace() -> Pace {
        Pace::new(Duration::from_secs(1), 1000)
    }

    #[test]
    fn what_nobody_awaits_is_committed_each_second_or_megabyte() {
        let mut pace = pace();
        assert_eq!(pace.due(ms(5), 0), Due::Never);
        pace.appended(ms(10));
        pace.appended(ms(500));
        assert_eq!(pace.due(ms(500), 200), Due::At(ms(1010)));
        assert_eq!(pace.due(ms(600), 1000), Due::Now);
        assert_eq!(pace.due(ms(1010), 200), Due::Now);
        pace.committing(ms(1010), false);
        assert_eq!(pace.due(ms(9000), 0), Due::Never);
    }

    #[test]
    fn awaited_records_are_committed_at_once_but_not_each_alone() {
        let mut pace = pace();
        pace.awaited(ms(0));
        assert_eq!(pace.due(ms(0), 10), Due::Now);
        pace.committing(ms(0), false);
        pace.awaited(ms(3));
        assert_eq!(pace.due(ms(3), 10), Due::At(ms(50)));
        assert_eq!(pace.due(ms(50), 10), Due::Now);
    }

    #[test]
    fn what_did_not_fit_the_batch_is_still_due() {
        let mut pace = pace();
        pace.awaited(ms(0));
        pace.committing(ms(0), true);
        assert_eq!(pace.due(ms(60), 10), Due::Now);
    }
}
