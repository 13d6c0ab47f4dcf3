//! How many requests at once are good for those who answer them, found from latency. Pure.
//!
//! The idea is TCP Vegas' (and Netflix's concurrency-limits'): what a request takes longer than in quiet times is spent
//! waiting behind others, so `used x (1 - quiet / latency)` of those under way only wait. The limit rises while few do and
//! falls when many do. There is no probing phase that would lower the limit to measure the quiet latency: when the limit
//! had to fall by a quarter and latency has not fallen with it, then the waiting was not our doing, and the latency as it
//! is now is the quiet one.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, TryLockError};
use std::time::Duration;

use stdx::clock::Mono;

/// The shortest time that one step looks at.
const WINDOW: Duration = Duration::from_millis(100);
/// A window with fewer answers than this goes on, up to ten times as long.
const ANSWERS_MIN: u32 = 10;
/// The share of those under way that may only wait; beyond it the limit falls.
const WAITING_SHARE: f64 = 0.25;
/// The share below which it rises.
const GROWTH_SHARE: f64 = 0.125;
/// How far the limit falls before it is asked whether that helped.
const LESSON: f64 = 0.75;

/// Finds a limit; all workers tell it what they see.
#[derive(Debug, Default)]
pub(crate) struct Sizer {
    ends: AtomicU64,
    answers: AtomicU32,
    failures: AtomicU32,
    most: AtomicU32,
    nanos: AtomicU64,
    estimate: Mutex<Estimate>,
}

/// Between what the limit may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) least: u32,
    pub(crate) most: u32,
}

/// What a window showed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) answers: u32,
    /// Requests that were not answered in time.
    pub(crate) failures: u32,
    /// The most that were under way at once.
    pub(crate) most: u32,
    /// Seconds, on average.
    pub(crate) latency: f64,
}

/// What has been learned.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Estimate {
    limit: f64,
    /// Seconds that a request takes in quiet times.
    quiet: f64,
    /// Where the limit and the latency were when it began to fall.
    lesson: Option<(f64, f64)>,
}

impl Sizer {
    /// A request was answered, or not in time. Returns a new limit when it is time for one.
    pub(crate) fn observe(
        &self,
        now: Mono,
        latency: Option<Duration>,
        in_flight: u32,
        limit: u32,
        bounds: Bounds,
    ) -> Option<u32> {
        match latency {
            Some(latency) => {
                self.answers.fetch_add(1, Relaxed);
                self.nanos.fetch_add(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX >> 16), Relaxed);
            }
            None => {
                self.failures.fetch_add(1, Relaxed);
            }
        }
        self.most.fetch_max(in_flight, Relaxed);
        let ends = self.ends.load(Relaxed);
        let few = self.answers.load(Relaxed) + self.failures.load(Relaxed) < ANSWERS_MIN;
        if now.0 < ends || (few && now.since(Mono(ends)) < WINDOW * 9) {
            return None;
        }
        // Whoever comes second leaves the step to the first.
        let mut estimate = match self.estimate.try_lock() {
            Ok(estimate) => estimate,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        if self.ends.swap((now + WINDOW).0, Relaxed) != ends || ends == 0 {
            return None;
        }
        let answers = self.answers.swap(0, Relaxed);
        let nanos = self.nanos.swap(0, Relaxed);
        let window = Window {
            answers,
            failures: self.failures.swap(0, Relaxed),
            most: self.most.swap(0, Relaxed),
            latency: nanos as f64 / f64::from(answers.max(1)) / 1e9,
        };
        Some(estimate.step(window, limit, bounds))
    }
}

impl Estimate {
    /// The limit after a window in which it was `limit`.
    pub(crate) fn step(&mut self, window: Window, limit: u32, bounds: Bounds) -> u32 {
        // What somebody else has set counts: the bounds may have changed.
        if self.limit.round() as u32 != limit {
            self.limit = f64::from(limit);
        }
        if window.failures * 4 > window.answers {
            self.limit *= 0.8;
        } else if window.answers > 0 && window.latency > 0.0 {
            self.learn(window);
        }
        self.limit = self.limit.clamp(f64::from(bounds.least), f64::from(bounds.most.max(bounds.least)));
        self.limit.round() as u32
    }

    fn learn(&mut self, window: Window) {
        if self.quiet == 0.0 || window.latency < self.quiet {
            self.quiet = window.latency;
        }
        let used = f64::from(window.most).min(self.limit);
        let only_wait = used * (1.0 - self.quiet / window.latency);
        if only_wait > (used * WAITING_SHARE).max(3.0) {
            self.fall(window.latency);
            return;
        }
        self.lesson = None;
        if only_wait < (used * GROWTH_SHARE).max(1.5) && used * 2.0 > self.limit {
            self.limit += self.limit.sqrt().max(1.0);
        }
    }

    fn fall(&mut self, latency: f64) {
        let (from, latency_then) = *self.lesson.get_or_insert((self.limit, latency));
        if self.limit <= from * LESSON {
            if latency > latency_then * 0.9 {
                self.quiet = latency;
                self.lesson = None;
                return;
            }
            self.lesson = Some((self.limit, latency));
        }
        self.limit -= (self.limit * 0.1).max(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop, prop_assert, proptest};

    const BOUNDS: Bounds = Bounds { least: 4, most: 1_000 };

    /// An application that answers `at_once` requests at a time, each in `seconds`; offered more than it can take.
    fn saturated(at_once: u32, seconds: f64, limit: u32) -> Window {
        let behind = f64::from(limit) / f64::from(at_once);
        Window { answers: 100, failures: 0, most: limit, latency: seconds * behind.max(1.0) }
    }

    fn settle(estimate: &mut Estimate, mut limit: u32, steps: u32, window: impl Fn(u32) -> Window) -> u32 {
        for _ in 0..steps {
            limit = estimate.step(window(limit), limit, BOUNDS);
        }
        limit
    }

    #[test]
    fn it_finds_what_an_application_can_do_at_once_from_both_sides() {
        for (at_once, first) in [(16, 4), (16, 500), (1, 20), (64, 20), (300, 20)] {
            let mut estimate = Estimate::default();
            // It was quiet once.
            estimate.step(Window { answers: 20, failures: 0, most: 1, latency: 0.010 }, first, BOUNDS);
            let limit = settle(&mut estimate, first, 200, |limit| saturated(at_once, 0.010, limit));
            let (least, most) = (at_once, (f64::from(at_once) * 1.4) as u32 + 5);
            assert!((least..=most).contains(&limit), "{at_once} at once, from {first}: {limit}");
        }
    }

    #[test]
    fn it_stays_there_through_a_long_overload() {
        let mut estimate = Estimate::default();
        let limit = settle(&mut estimate, 20, 200, |limit| saturated(16, 0.010, limit));
        let later = settle(&mut estimate, limit, 36_000, |limit| saturated(16, 0.010, limit));
        assert!(later <= 26, "{later}");
    }

    #[test]
    fn an_application_that_is_slower_for_its_own_reasons_keeps_its_limit() {
        let mut estimate = Estimate::default();
        let fast = |limit| Window { answers: 100, failures: 0, most: limit, latency: 0.010 };
        let slow = |limit| Window { answers: 100, failures: 0, most: limit, latency: 0.030 };
        let limit = settle(&mut estimate, 20, 100, fast);
        assert_eq!(limit, BOUNDS.most);
        assert_eq!(settle(&mut estimate, limit, 100, slow), BOUNDS.most);
    }

    #[test]
    fn a_limit_that_nobody_needs_does_not_rise_and_noise_does_not_lower_it() {
        let mut estimate = Estimate::default();
        for step in 0..100 {
            let latency = if step % 3 == 0 { 0.030 } else { 0.010 };
            let limit = estimate.step(Window { answers: 20, failures: 0, most: 3, latency }, 40, BOUNDS);
            assert_eq!(limit, 40);
        }
    }

    #[test]
    fn what_is_not_answered_in_time_lowers_it() {
        let mut estimate = Estimate::default();
        let limit = settle(&mut estimate, 100, 5, |most| Window { answers: 10, failures: 10, most, latency: 0.0 });
        assert_eq!(limit, 33);
    }

    #[test]
    fn windows_end_by_time_and_wait_for_enough_answers() {
        let (sizer, ms) = (Sizer::default(), |ms: u64| Mono((1_000 + ms) * 1_000_000));
        let tell = |at: u64| sizer.observe(ms(at), Some(Duration::from_millis(5)), 4, 4, BOUNDS);
        assert_eq!(tell(0), None, "the first window begins");
        for at in 1..10 {
            assert_eq!(tell(at), None);
        }
        assert_eq!(tell(101), Some(6), "ten answers, all places used");
        assert_eq!(tell(300), None, "too few");
        assert!(tell(1_200).is_some(), "few, but long enough");
    }

    proptest! {
        #[test]
        fn it_keeps_its_bounds(
            windows in prop::collection::vec((0_u32..200, 0_u32..200, 0_u32..2_000, 0.0_f64..10.0), 1..200),
            least in 1_u32..50,
        ) {
            let bounds = Bounds { least, most: least * 3 };
            let (mut estimate, mut limit) = (Estimate::default(), least);
            for (answers, failures, most, latency) in windows {
                limit = estimate.step(Window { answers, failures, most, latency }, limit, bounds);
                prop_assert!((bounds.least..=bounds.most).contains(&limit));
            }
        }
    }
}
