//! When to commit. Pure.

use std::time::Duration;

use stdx::clock::Mono;

/// What has been appended and not yet committed, in time.
#[derive(Debug)]
pub(crate) struct Pace {
    limits: Limits,
    last_commit: Option<Mono>,
    oldest: Option<Mono>,
    awaited: bool,
}

/// How long and how much may wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// What nobody awaits is committed at least this often.
    pub(crate) interval: Duration,
    /// What somebody awaits is committed at once when the disk is idle, but two such commits are at least this far apart.
    pub(crate) awaited_gap: Duration,
    /// So many bytes are committed at once.
    pub(crate) bytes: usize,
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
    pub(crate) fn new(limits: Limits) -> Pace {
        Pace { limits, last_commit: None, oldest: None, awaited: false }
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

    /// A commit begins. `rest` says whether more waits than fits a batch; that follows as soon as it can.
    pub(crate) fn committing(&mut self, now: Mono, rest: bool) {
        if rest {
            self.last_commit = None;
            self.awaited = true;
        } else {
            self.last_commit = Some(now);
            self.oldest = None;
            self.awaited = false;
        }
    }

    /// What to do, with `pending` bytes waiting and no commit under way.
    pub(crate) fn due(&self, now: Mono, pending: usize) -> Due {
        let Some(oldest) = self.oldest else { return Due::Never };
        let at = match self.last_commit {
            _ if pending >= self.limits.bytes => now,
            Some(last) if self.awaited => last + self.limits.awaited_gap,
            None if self.awaited => now,
            _ => oldest + self.limits.interval,
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
        let (interval, awaited_gap) = (Duration::from_secs(1), Duration::from_millis(50));
        Pace::new(Limits { interval, awaited_gap, bytes: 1000 })
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
    fn what_did_not_fit_the_batch_follows_at_once() {
        let mut pace = pace();
        pace.appended(ms(0));
        pace.committing(ms(0), true);
        assert_eq!(pace.due(ms(1), 10), Due::Now);
    }
}
