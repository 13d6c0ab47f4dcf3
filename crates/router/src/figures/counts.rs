//! What became of tries and requests, counted by all workers together.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::Histogram;
use crate::access::{Outcome, TryKind, What};

/// How tries end, in the words of the metrics.
const OUTCOMES: [&str; 12] = [
    "1xx",
    "2xx",
    "3xx",
    "4xx",
    "5xx",
    "refused",
    "connect_timeout",
    "died",
    "timed_out",
    "malformed",
    "abandoned",
    "cancelled",
];

fn place(outcome: Outcome) -> usize {
    match outcome {
        Outcome::Answered(status) => usize::from((status / 100).clamp(1, 5)) - 1,
        Outcome::Refused => 5,
        Outcome::ConnectTimeout => 6,
        Outcome::Died => 7,
        Outcome::TimedOut => 8,
        Outcome::Malformed => 9,
        Outcome::Abandoned => 10,
        Outcome::Cancelled => 11,
    }
}

/// The tries at one endpoint.
#[derive(Debug, Default)]
pub(crate) struct EndpointFigures {
    outcomes: [AtomicU64; OUTCOMES.len()],
    /// Of the tries that were answered.
    pub(crate) latency: Histogram,
}

impl EndpointFigures {
    /// A try has ended.
    pub(crate) fn tried(&self, outcome: Outcome, took: Duration) {
        self.outcomes[place(outcome)].fetch_add(1, Relaxed);
        if matches!(outcome, Outcome::Answered(_)) {
            self.latency.observe(took);
        }
    }

    /// How many tries ended how.
    pub(crate) fn outcomes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        OUTCOMES.into_iter().zip(self.outcomes.iter().map(|count| count.load(Relaxed)))
    }
}

/// The requests of one route.
#[derive(Debug, Default)]
pub(crate) struct RouteFigures {
    /// From a request's head to its reply's.
    pub(crate) latency: Histogram,
    retries: AtomicU64,
    hedges: AtomicU64,
    events: [AtomicU64; What::WORDS.len()],
}

impl RouteFigures {
    /// A try was made.
    pub(crate) fn tried(&self, kind: TryKind) {
        match kind {
            TryKind::First => return,
            TryKind::Retry => &self.retries,
            TryKind::Hedge => &self.hedges,
        }
        .fetch_add(1, Relaxed);
    }

    /// Something else decided.
    pub(crate) fn noted(&self, what: &What) {
        self.events[what.place()].fetch_add(1, Relaxed);
    }

    /// Tries after a failed one.
    pub(crate) fn retries(&self) -> u64 {
        self.retries.load(Relaxed)
    }

    /// Tries beside a slow one.
    pub(crate) fn hedges(&self) -> u64 {
        self.hedges.load(Relaxed)
    }

    /// How often each thing decided.
    pub(crate) fn events(&self) -> impl Iterator<Item = (&'static str, u64)> {
        What::WORDS.into_iter().zip(self.events.iter().map(|count| count.load(Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_a_place_of_its_own() {
        let figures = EndpointFigures::default();
        let all = [
            Outcome::Answered(101),
            Outcome::Answered(204),
            Outcome::Answered(304),
            Outcome::Answered(404),
            Outcome::Answered(599),
            Outcome::Refused,
            Outcome::ConnectTimeout,
            Outcome::Died,
            Outcome::TimedOut,
            Outcome::Malformed,
            Outcome::Abandoned,
            Outcome::Cancelled,
        ];
        all.into_iter().for_each(|outcome| figures.tried(outcome, Duration::ZERO));
        assert!(figures.outcomes().all(|(_, count)| count == 1));
        assert_eq!(figures.latency.read().counts[0], 5);
    }
}
