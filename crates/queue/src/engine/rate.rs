//! How many a second, of late: a sum in which each event weighs less the longer ago it was. No sampling, no loop over tubes.

use std::time::Duration;

use stdx::clock::Mono;

/// After so long an event weighs 1/e of what it did.
const WINDOW_S: f64 = 60.0;

/// A rate never claims to know less than so much time: the first job does not make an infinite one.
const KNOWN_LEAST_S: f64 = 1.0;

/// An exponentially decaying rate.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Rate {
    /// The events, each weighed by its age at `at`.
    weight: f64,
    at: Mono,
    /// Since when it counts: before it has seen a whole window it is as sure of less.
    since: Option<Mono>,
}

impl Rate {
    /// So many more events, now.
    pub(crate) fn add(&mut self, now: Mono, events: u64) {
        self.since.get_or_insert(now);
        self.weight = self.weight_at(now) + events as f64;
        self.at = self.at.max(now);
    }

    /// Events per second.
    pub(crate) fn per_second(&self, now: Mono) -> f64 {
        let Some(since) = self.since else { return 0.0 };
        let known = now.since(since).as_secs_f64().max(KNOWN_LEAST_S);
        self.weight_at(now) / (WINDOW_S * (1.0 - (-known / WINDOW_S).exp()))
    }

    fn weight_at(&self, now: Mono) -> f64 {
        self.weight * (-now.since(self.at).as_secs_f64() / WINDOW_S).exp()
    }
}

/// When `jobs` are gone if so many come and go per second; `None` when they grow, or nothing moves.
pub(crate) fn time_to_drain(jobs: u64, arrivals_per_s: f64, services_per_s: f64) -> Option<Duration> {
    /// Ten years; a slower tube does not drain.
    const SECONDS_MAX: f64 = 315_360_000.0;
    if jobs == 0 {
        return Some(Duration::ZERO);
    }
    let seconds = jobs as f64 / (services_per_s - arrivals_per_s);
    (seconds > 0.0 && seconds <= SECONDS_MAX).then(|| Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn steady(per_second: u64, seconds: u64) -> Rate {
        let mut rate = Rate::default();
        for tick in 0..seconds * 10 {
            rate.add(Mono(tick * SECOND / 10), per_second / 10);
        }
        rate
    }

    #[test]
    fn a_steady_stream_is_told_as_it_is_from_the_first_seconds_on() {
        for seconds in [5, 60, 600] {
            let told = steady(50, seconds).per_second(Mono(seconds * SECOND));
            assert!((48.0..=52.0).contains(&told), "{told} after {seconds} s");
        }
    }

    #[test]
    fn a_stream_that_ended_fades() {
        let rate = steady(100, 600);
        let told = rate.per_second(Mono(660 * SECOND));
        assert!((35.0..=39.0).contains(&told), "a window later 1/e of it is left, not {told}");
        assert!(rate.per_second(Mono(1800 * SECOND)) < 0.01);
    }

    #[test]
    fn one_job_is_no_flood_and_none_is_none() {
        let mut rate = Rate::default();
        assert_eq!(rate.per_second(Mono(5 * SECOND)), 0.0);
        rate.add(Mono(5 * SECOND), 1);
        assert!(rate.per_second(Mono(5 * SECOND)) <= 1.01);
    }

    #[test]
    fn a_tube_drains_when_more_goes_than_comes() {
        assert_eq!(time_to_drain(0, 5.0, 0.0), Some(Duration::ZERO));
        assert_eq!(time_to_drain(100, 5.0, 15.0), Some(Duration::from_secs(10)));
        assert_eq!(time_to_drain(100, 15.0, 15.0), None);
        assert_eq!(time_to_drain(100, 15.0, 5.0), None);
        assert_eq!(time_to_drain(100, 0.0, 0.0), None);
    }
}
