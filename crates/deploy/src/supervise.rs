//! What follows a crash: a restart after a wait that doubles, and the verdict `crash-loop`. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use stdx::clock::Mono;
use stdx::rng::Rng;

use crate::config::Config;

/// Crashes are counted over this time for the verdict.
const WINDOW: Duration = Duration::from_secs(600);

/// How patient supervision is.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// The first wait.
    pub backoff: Duration,
    /// The longest wait.
    pub backoff_max: Duration,
    /// Crashes within ten minutes that make a loop.
    pub loop_after: u16,
    /// A run this long makes the next wait the first one again.
    pub forgiven_after: Duration,
}

impl From<&Config> for Patience {
    fn from(config: &Config) -> Patience {
        Patience {
            backoff: Duration::from_millis(config.restart_backoff_ms.into()),
            backoff_max: Duration::from_millis(config.restart_backoff_max_ms.into()),
            loop_after: config.crash_loop_after,
            forgiven_after: Duration::from_millis(config.forgiven_after_ms.into()),
        }
    }
}

/// The crashes of one place of a release.
#[derive(Clone, Debug, Default)]
pub struct Crashes {
    recent: VecDeque<Mono>,
    in_a_row: u32,
    total: u32,
}

impl Crashes {
    /// Crashes that were counted before the node was restarted; when they were is not known any more.
    pub fn remembered(total: u32) -> Crashes {
        Crashes { total, ..Crashes::default() }
    }

    /// Counts a crash at `now` of a run that began at `started`, and says when to start again: the back-off doubles
    /// with each crash in a row, up to its maximum, jittered by a fifth both ways.
    pub fn crashed(&mut self, started: Mono, now: Mono, patience: &Patience, rng: &mut Rng) -> Mono {
        if now.since(started) >= patience.forgiven_after {
            self.in_a_row = 0;
            self.recent.clear();
        }
        let doubled = patience.backoff.saturating_mul(1 << self.in_a_row.min(20));
        self.in_a_row += 1;
        self.total = self.total.saturating_add(1);
        self.recent.push_back(now);
        while self.recent.len() > usize::from(patience.loop_after).max(1) {
            self.recent.pop_front();
        }
        now + doubled.min(patience.backoff_max).mul_f64(0.8 + 0.4 * rng.f64())
    }

    /// Crashes since the release started.
    pub fn total(&self) -> u32 {
        self.total
    }

    /// Whether it crashes over and over: `loop_after` crashes within ten minutes, and none forgiven since.
    pub fn is_loop(&self, now: Mono, patience: &Patience) -> bool {
        let enough = self.recent.len() >= usize::from(patience.loop_after).max(1);
        enough && self.recent.front().is_some_and(|first| now.since(*first) <= WINDOW)
    }

    /// Forgives what happened before a run that began at `started` and has lasted long enough.
    pub fn forgive(&mut self, started: Mono, now: Mono, patience: &Patience) {
        if now.since(started) >= patience.forgiven_after {
            self.in_a_row = 0;
            self.recent.clear();
        }
    }
}

/// How long an instance has been unhealthy without a break.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Illness {
    since: Option<Mono>,
}

impl Illness {
    /// It is unhealthy; only the first time in a row counts.
    pub fn unhealthy(&mut self, now: Mono) {
        self.since.get_or_insert(now);
    }

    /// It is healthy.
    pub fn healthy(&mut self) {
        self.since = None;
    }

    /// When it is restarted, unless it gets well before; `after`: the time it is given, `None` for ever.
    pub fn restart_at(&self, after: Option<Duration>) -> Option<Mono> {
        Some(self.since? + after?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience {
        backoff: Duration::from_millis(200),
        backoff_max: Duration::from_secs(30),
        loop_after: 5,
        forgiven_after: Duration::from_secs(60),
    };

    fn at(ms: u64) -> Mono {
        Mono(ms * 1_000_000)
    }

    #[test]
    fn the_wait_doubles_up_to_its_maximum_with_a_fifth_of_jitter() {
        let mut rng = Rng::with_seed(7);
        let mut crashes = Crashes::default();
        for expected in [200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000] {
            let wait = crashes.crashed(at(0), at(0), &PATIENCE, &mut rng).since(at(0)).as_secs_f64() * 1_000.0;
            let expected = f64::from(expected);
            assert!((expected * 0.8..=expected * 1.2).contains(&wait), "{wait} ms instead of {expected}");
        }
        assert_eq!(crashes.total(), 10);
    }

    #[test]
    fn a_long_run_makes_the_next_wait_short_again() {
        let mut rng = Rng::with_seed(7);
        let mut crashes = Crashes::default();
        for _ in 0..6 {
            crashes.crashed(at(0), at(10), &PATIENCE, &mut rng);
        }
        assert!(crashes.is_loop(at(10), &PATIENCE));
        let next = crashes.crashed(at(1_000), at(61_000), &PATIENCE, &mut rng);
        assert!(next <= at(61_240), "the first wait again");
        assert!(!crashes.is_loop(at(61_000), &PATIENCE));
        assert_eq!(crashes.total(), 7);
    }

    #[test]
    fn only_an_illness_without_a_break_ends_in_a_restart() {
        let minute = Some(Duration::from_secs(60));
        let mut illness = Illness::default();
        assert_eq!(illness.restart_at(minute), None);
        illness.unhealthy(at(1_000));
        illness.unhealthy(at(30_000));
        assert_eq!(illness.restart_at(minute), Some(at(61_000)), "a minute from the first bad word on");
        assert_eq!(illness.restart_at(None), None, "it may be ill for ever");
        illness.healthy();
        assert_eq!(illness.restart_at(minute), None);
        illness.unhealthy(at(90_000));
        assert_eq!(illness.restart_at(minute), Some(at(150_000)));
    }

    #[test]
    fn five_crashes_within_ten_minutes_are_a_loop_until_a_run_lasts() {
        let mut rng = Rng::with_seed(7);
        let mut crashes = Crashes::default();
        for n in 0..4 {
            crashes.crashed(at(n), at(n), &PATIENCE, &mut rng);
            assert!(!crashes.is_loop(at(n), &PATIENCE));
        }
        crashes.crashed(at(5_000), at(5_000), &PATIENCE, &mut rng);
        assert!(crashes.is_loop(at(5_000), &PATIENCE));
        assert!(!crashes.is_loop(at(700_000), &PATIENCE), "ten minutes later they are no loop");
        crashes.forgive(at(6_000), at(66_000), &PATIENCE);
        assert!(!crashes.is_loop(at(66_000), &PATIENCE));
    }
}
