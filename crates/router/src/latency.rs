//! How long a route's successful answers took of late, as percentiles. Pure.
//!
//! A histogram with eight buckets per doubling (so a percentile is at most an eighth too high), counted per five seconds:
//! what is older than fifteen is forgotten. An observation is one relaxed addition. A percentile is read from all buckets
//! at most ten times a second; in between the last one holds.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use stdx::clock::Mono;

use crate::ring::Ring;

/// Length of a span that is forgotten as a whole.
const SPAN_NANOS: u64 = 5_000_000_000;
const SPANS: usize = 3;
/// Buckets per doubling: 2 to this power.
const FINE_BITS: u32 = 3;
/// The first bucket ends here; below it nothing is told apart.
const LEAST_MICROS: u64 = 64;
/// Doublings from there on: the last bucket begins at about a minute.
const DOUBLINGS: usize = 20;
const BUCKETS: usize = DOUBLINGS << FINE_BITS;
/// Fewer answers than this say nothing about a percentile.
const KNOWN_MIN: u64 = 100;
/// For how long a percentile that was read holds.
const KEPT: Duration = Duration::from_millis(100);
/// A kept value that says that too little is known.
const UNKNOWN: u64 = u64::MAX;

/// The latency of one route over all workers.
#[derive(Debug)]
pub(crate) struct Latency {
    buckets: [Ring<SPANS>; BUCKETS],
    /// Nanoseconds of the percentile that was read last, and when that was; 0 is never.
    kept: AtomicU64,
    kept_at: AtomicU64,
}

impl Default for Latency {
    fn default() -> Latency {
        Latency {
            buckets: std::array::from_fn(|_| Ring::default()),
            kept: AtomicU64::new(UNKNOWN),
            kept_at: AtomicU64::new(0),
        }
    }
}

impl Latency {
    /// A successful answer took `latency` to its head.
    pub(crate) fn observe(&self, now: Mono, latency: Duration) {
        self.buckets[bucket(latency)].add(span(now));
    }

    /// The time within which `percent` of the answers had come; `None` while too few are known.
    pub(crate) fn percentile(&self, percent: u8, now: Mono) -> Option<Duration> {
        let kept_at = self.kept_at.load(Relaxed);
        if kept_at == 0 || now.since(Mono(kept_at)) >= KEPT {
            let read =
                self.read(percent, now).map_or(UNKNOWN, |time| u64::try_from(time.as_nanos()).unwrap_or(UNKNOWN));
            self.kept.store(read, Relaxed);
            self.kept_at.store(now.0.max(1), Relaxed);
        }
        match self.kept.load(Relaxed) {
            UNKNOWN => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    fn read(&self, percent: u8, now: Mono) -> Option<Duration> {
        let span = span(now);
        let spans = (span + 1).saturating_sub(SPANS as u64)..=span;
        let counts: Vec<u64> = self.buckets.iter().map(|bucket| bucket.sum(spans.clone())).collect();
        let known: u64 = counts.iter().sum();
        if known < KNOWN_MIN {
            return None;
        }
        let rank = (known * u64::from(percent)).div_ceil(100).max(1);
        let mut below = 0;
        let within = counts.iter().position(|count| {
            below += count;
            below >= rank
        });
        within.map(end)
    }
}

/// Counted from one, as a ring wants it.
fn span(now: Mono) -> u64 {
    now.0 / SPAN_NANOS + 1
}

/// The bucket of a latency: its doubling above the least, and its eighth of it.
fn bucket(latency: Duration) -> usize {
    let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).max(LEAST_MICROS);
    let doubling = (micros / LEAST_MICROS).ilog2();
    let fine = (micros >> (LEAST_MICROS.ilog2() + doubling - FINE_BITS)) as usize & ((1 << FINE_BITS) - 1);
    (((doubling as usize) << FINE_BITS) | fine).min(BUCKETS - 1)
}

/// The first latency above a bucket.
fn end(bucket: usize) -> Duration {
    let next = bucket as u64 + 1;
    let (doubling, fine) = (next >> FINE_BITS, next & ((1 << FINE_BITS) - 1));
    Duration::from_micros((LEAST_MICROS << doubling) + ((fine * LEAST_MICROS) << doubling >> FINE_BITS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop, prop_assert, proptest};

    fn at(ms: u64) -> Mono {
        Mono(ms * 1_000_000)
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn nothing_is_said_of_too_few() {
        let latency = Latency::default();
        for _ in 0..KNOWN_MIN - 1 {
            latency.observe(at(1), ms(10));
        }
        assert_eq!(latency.percentile(90, at(1)), None);
        latency.observe(at(1), ms(10));
        assert_eq!(latency.percentile(90, at(50)), None, "it was read a moment ago");
        assert!(latency.percentile(90, at(101)).is_some());
    }

    #[test]
    fn a_percentile_is_between_the_fast_and_the_slow() {
        let latency = Latency::default();
        for n in 0..1_000 {
            latency.observe(at(n), if n % 10 == 0 { ms(200) } else { ms(2) });
        }
        let (p90, p95) = (latency.read(90, at(1_000)).unwrap(), latency.read(95, at(1_000)).unwrap());
        assert!(p90 >= ms(2) && p90 <= Duration::from_micros(2_250), "{p90:?}");
        assert!(p95 >= ms(200) && p95 <= ms(225), "{p95:?}");
    }

    #[test]
    fn what_is_long_ago_is_forgotten() {
        let latency = Latency::default();
        for _ in 0..1_000 {
            latency.observe(at(1_000), ms(500));
        }
        for _ in 0..200 {
            latency.observe(at(16_000), ms(1));
        }
        assert!(latency.percentile(99, at(16_000)).unwrap() < ms(2));
        assert_eq!(latency.percentile(99, at(40_000)), None);
    }

    #[test]
    fn the_shortest_and_the_longest_have_a_bucket() {
        assert_eq!(bucket(Duration::ZERO), 0);
        assert_eq!(bucket(Duration::MAX), BUCKETS - 1);
        assert_eq!(end(0), Duration::from_micros(72));
    }

    proptest! {
        #[test]
        fn a_latency_lies_below_the_end_of_its_bucket_and_not_an_eighth_below(micros in 64_u64..60_000_000) {
            let latency = Duration::from_micros(micros);
            let end = end(bucket(latency));
            prop_assert!(latency < end && end <= latency.mul_f64(1.126), "{latency:?} {end:?}");
        }

        #[test]
        fn a_percentile_has_its_share_of_the_answers_below_it(
            micros in prop::collection::vec(1_u64..10_000_000, 100..400),
            percent in 1_u8..100,
        ) {
            let latency = Latency::default();
            for one in &micros {
                latency.observe(at(7), Duration::from_micros(*one));
            }
            let found = latency.percentile(percent, at(8)).unwrap();
            let below = micros.iter().filter(|one| Duration::from_micros(**one) <= found).count();
            prop_assert!(below * 100 >= micros.len() * usize::from(percent));
            let far_below = micros.iter().filter(|one| Duration::from_micros(**one).mul_f64(1.126) < found && **one >= 64).count();
            prop_assert!(far_below * 100 <= micros.len() * usize::from(percent) + 100);
        }
    }
}
