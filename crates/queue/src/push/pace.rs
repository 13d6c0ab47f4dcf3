//! How fast a tube is pushed: pure, time comes in.
//!
//! As many posts at once as are allowed, fewer while the target says that it has too much (halved at each such word, one more
//! after each success), one at a time while it cannot be reached, and none before the time that it named.

use std::time::Duration;

use stdx::clock::Mono;

/// The longest that a target may put us off.
pub(crate) const SLOW_DOWN_MAX: Duration = Duration::from_secs(3_600);

/// Without a time of its own, a target that has too much is left alone for so long.
const SLOW_DOWN: Duration = Duration::from_secs(1);

/// The longest pause after a target could not be reached.
const UNREACHABLE_PAUSE_MAX: Duration = Duration::from_secs(30);

/// What the target's answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// 2xx: the job is done.
    Done,
    /// It has too much just now, and perhaps says for how long: the job is no worse for it.
    SlowDown(Option<Duration>),
    /// Anything else: the job is tried again as its tube's policy says.
    Failed,
    /// Nobody heard of the job: nothing was sent.
    Unreachable,
}

/// Reads an answer: its status and its `Retry-After`.
pub(crate) fn verdict(status: u16, retry_after: Option<Duration>) -> Verdict {
    match status {
        200..=299 => Verdict::Done,
        429 => Verdict::SlowDown(retry_after),
        503 if retry_after.is_some() => Verdict::SlowDown(retry_after),
        _ => Verdict::Failed,
    }
}

/// The pace of one tube.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    at_once_max: u16,
    /// How many may be under way at present.
    at_once: u16,
    under_way: u16,
    quiet_until: Mono,
    /// Times in a row that the target was not reached.
    unreached: u32,
}

impl Pace {
    pub(crate) fn new(at_once_max: u16) -> Pace {
        Pace { at_once_max, at_once: at_once_max, under_way: 0, quiet_until: Mono(0), unreached: 0 }
    }

    /// How many more posts may begin now.
    pub(crate) fn room(&self, now: Mono) -> u16 {
        if now < self.quiet_until { 0 } else { self.at_once.saturating_sub(self.under_way) }
    }

    /// How long nothing may begin, whatever ends meanwhile.
    pub(crate) fn quiet_for(&self, now: Mono) -> Duration {
        self.quiet_until.since(now)
    }

    /// Whether the target was not reached when last tried: better to knock before a job is taken for it.
    pub(crate) fn is_unreached(&self) -> bool {
        self.unreached > 0
    }

    pub(crate) fn under_way(&self) -> u16 {
        self.under_way
    }

    /// A post begins.
    pub(crate) fn begin(&mut self) {
        self.under_way += 1;
    }

    /// A post has ended.
    pub(crate) fn end(&mut self, verdict: Verdict, now: Mono) {
        self.under_way -= 1;
        match verdict {
            Verdict::Done => {
                self.unreached = 0;
                self.at_once = (self.at_once + 1).min(self.at_once_max);
            }
            Verdict::Failed => self.unreached = 0,
            Verdict::SlowDown(after) => {
                self.unreached = 0;
                self.at_once = (self.at_once / 2).max(1);
                self.be_quiet(after.unwrap_or(SLOW_DOWN).min(SLOW_DOWN_MAX), now);
            }
            Verdict::Unreachable => self.not_reached(now),
        }
    }

    /// The target was not reached.
    pub(crate) fn not_reached(&mut self, now: Mono) {
        let pause = Duration::from_millis(250) * 2u32.saturating_pow(self.unreached.min(16));
        self.unreached = self.unreached.saturating_add(1);
        self.at_once = 1;
        self.be_quiet(pause.min(UNREACHABLE_PAUSE_MAX), now);
    }

    fn be_quiet(&mut self, pause: Duration, now: Mono) {
        self.quiet_until = self.quiet_until.max(now + pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn the_answer_decides() {
        let minute = Some(Duration::from_secs(60));
        assert_eq!(verdict(204, None), Verdict::Done);
        assert_eq!(verdict(429, None), Verdict::SlowDown(None));
        assert_eq!(verdict(503, minute), Verdict::SlowDown(minute));
        for failed in [100, 301, 400, 404, 500, 502, 503, 504] {
            assert_eq!(verdict(failed, None), Verdict::Failed, "{failed}");
        }
    }

    #[test]
    fn a_target_that_has_too_much_gets_less_and_slowly_more_again() {
        let mut pace = Pace::new(8);
        assert_eq!(pace.room(Mono(0)), 8);
        (0..8).for_each(|_| pace.begin());
        assert_eq!(pace.room(Mono(0)), 0);
        pace.end(Verdict::SlowDown(Some(Duration::from_secs(5))), Mono(0));
        (0..7).for_each(|_| pace.end(Verdict::Failed, Mono(0)));
        assert_eq!((pace.room(Mono(5 * SECOND - 1)), pace.room(Mono(5 * SECOND))), (0, 4));
        for _ in 0..10 {
            pace.begin();
            pace.end(Verdict::Done, Mono(6 * SECOND));
        }
        assert_eq!(pace.room(Mono(6 * SECOND)), 8);
    }

    #[test]
    fn nobody_puts_us_off_for_ever() {
        let mut pace = Pace::new(1);
        pace.begin();
        pace.end(Verdict::SlowDown(Some(Duration::MAX)), Mono(0));
        assert_eq!(pace.quiet_for(Mono(0)), SLOW_DOWN_MAX);
    }

    #[test]
    fn a_target_that_is_not_there_is_looked_for_ever_more_rarely() {
        let mut pace = Pace::new(8);
        let mut now = Mono(0);
        let mut pauses = Vec::new();
        for _ in 0..9 {
            pace.begin();
            pace.end(Verdict::Unreachable, now);
            pauses.push(pace.quiet_for(now).as_millis());
            now = now + pace.quiet_for(now);
        }
        assert_eq!(pauses, [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
        assert!(pace.is_unreached());
        assert_eq!(pace.room(now), 1);
        pace.begin();
        pace.end(Verdict::Done, now);
        assert!(!pace.is_unreached());
    }
}
