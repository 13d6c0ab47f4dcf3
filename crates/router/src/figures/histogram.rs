//! Latency as counts between fixed bounds. An observation is two relaxed additions; nothing is locked or allocated.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use control::wire::figures::HistogramRow;

/// Upper bounds in microseconds: six to the decade, from 100 µs to a minute.
pub(crate) const BOUNDS_US: [u64; 35] = [
    100, 150, 200, 300, 500, 700, 1_000, 1_500, 2_000, 3_000, 5_000, 7_000, 10_000, 15_000, 20_000, 30_000, 50_000,
    70_000, 100_000, 150_000, 200_000, 300_000, 500_000, 700_000, 1_000_000, 1_500_000, 2_000_000, 3_000_000,
    5_000_000, 7_000_000, 10_000_000, 15_000_000, 20_000_000, 30_000_000, 60_000_000,
];
/// One more than the bounds: the last counts all beyond.
const PLACES: usize = BOUNDS_US.len() + 1;

/// Counts of durations.
#[derive(Debug)]
pub(crate) struct Histogram {
    counts: [AtomicU64; PLACES],
    sum_us: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { counts: std::array::from_fn(|_| AtomicU64::new(0)), sum_us: AtomicU64::new(0) }
    }
}

impl Histogram {
    /// Counts one.
    pub(crate) fn observe(&self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.counts[place(us)].fetch_add(1, Relaxed);
        self.sum_us.fetch_add(us, Relaxed);
    }

    /// What was counted. While others count, the sum may be of a moment later than the counts.
    pub(crate) fn read(&self) -> HistogramRow {
        HistogramRow {
            bounds_us: BOUNDS_US.to_vec(),
            counts: self.counts.iter().map(|count| count.load(Relaxed)).collect(),
            sum_us: self.sum_us.load(Relaxed),
        }
    }
}

/// The first bound that is not below `us`.
fn place(us: u64) -> usize {
    BOUNDS_US.partition_point(|bound| *bound < us)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

    #[test]
    fn a_bound_counts_what_is_just_as_long() {
        assert_eq!([0, 100, 101, 60_000_000, 60_000_001, u64::MAX].map(place), [0, 0, 1, 34, 35, 35]);
    }

    proptest! {
        #[test]
        fn everything_is_counted_once_and_between_its_bounds(times_us in prop::collection::vec(any::<u32>(), 0..50)) {
            let histogram = Histogram::default();
            for us in &times_us {
                histogram.observe(Duration::from_micros(u64::from(*us)));
            }
            let row = histogram.read();
            prop_assert_eq!(row.sum_us, times_us.iter().map(|us| u64::from(*us)).sum::<u64>());
            let mut below = 0;
            for (bound, count) in BOUNDS_US.iter().zip(&row.counts) {
                below += count;
                prop_assert_eq!(below, times_us.iter().filter(|us| u64::from(**us) <= *bound).count() as u64);
            }
            prop_assert_eq!(row.counts.iter().sum::<u64>(), times_us.len() as u64);
            if let Some(p50) = row.quantile_us(0.5) {
                let mut sorted = times_us.clone();
                sorted.sort_unstable();
                let true_place = place(u64::from(sorted[(sorted.len() - 1) / 2]));
                prop_assert!(place(p50).abs_diff(true_place) <= 1, "{} for {:?}", p50, sorted);
            }
        }
    }
}
