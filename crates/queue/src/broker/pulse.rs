//! How the plane does as a whole: syncs, and how long answers wait for them.

use std::time::Duration;

use control::wire::LatencyRow;
use stdx::clock::Mono;

use crate::engine::Rate;
use crate::metrics::Measured;

/// Upper bounds of the buckets in microseconds; what is longer is counted beyond them.
pub(crate) const BOUNDS_US: [u64; 15] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    10_000_000,
];

/// How often which time was measured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Histogram {
    /// One more than there are bounds: the last is for what is beyond them.
    pub(crate) buckets: [u64; BOUNDS_US.len() + 1],
    pub(crate) sum_us: u64,
}

impl Histogram {
    /// So many took this long.
    pub(crate) fn record(&mut self, took: Duration, times: u64) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.iter().position(|&bound| us <= bound).unwrap_or(BOUNDS_US.len());
        self.buckets[bucket] += times;
        self.sum_us = self.sum_us.saturating_add(us.saturating_mul(times));
    }

    /// How many were measured.
    pub(crate) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The upper bound in milliseconds of the bucket in which a quantile lies.
    fn quantile_ms(&self, quantile: f64) -> f64 {
        let rank = (self.count() as f64 * quantile).ceil() as u64;
        let mut seen = 0;
        for (bucket, &times) in self.buckets.iter().enumerate() {
            seen += times;
            if seen >= rank && times > 0 {
                return BOUNDS_US[bucket.min(BOUNDS_US.len() - 1)] as f64 / 1_000.0;
            }
        }
        0.0
    }

    /// As metrics tell it.
    pub(crate) fn measured(&self) -> Measured {
        let bounds_s = BOUNDS_US.iter().map(|bound| *bound as f64 / 1e6).collect();
        Measured { bounds_s, counts: self.buckets.to_vec(), sum_s: self.sum_us as f64 / 1e6 }
    }

    /// The row that is shown.
    pub(crate) fn row(&self) -> LatencyRow {
        LatencyRow { count: self.count(), p50: self.quantile_ms(0.5), p99: self.quantile_ms(0.99) }
    }
}

/// Syncs, and answers that waited for them. All answers of a batch are counted at what the first of them waited.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pulse {
    pub(crate) syncs: u64,
    pub(crate) sync_rate: Rate,
    pub(crate) sync_time: Histogram,
    pub(crate) ack_time: Histogram,
    /// Since when somebody waits for the batch that is not on its way yet.
    forming: Option<Mono>,
    /// The batch that is on its way: since when somebody waits for it, and when it left.
    under_way: Option<(Option<Mono>, Mono)>,
}

impl Pulse {
    /// An answer waits for a record that is not on disk.
    pub(crate) fn waits(&mut self, now: Mono) {
        self.forming.get_or_insert(now);
    }

    /// A batch is on its way to the disk.
    pub(crate) fn leaves(&mut self, now: Mono) {
        self.under_way = Some((self.forming.take(), now));
    }

    /// It is on disk, and so many answers with it.
    pub(crate) fn arrives(&mut self, now: Mono, answers: u64) {
        self.syncs += 1;
        self.sync_rate.add(now, 1);
        let Some((awaited, left)) = self.under_way.take() else { return };
        self.sync_time.record(now.since(left), 1);
        if let Some(since) = awaited.filter(|_| answers > 0) {
            self.ack_time.record(now.since(since), answers);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_wait_from_the_first_question_to_the_sync() {
        let ms = |ms: u64| Mono(ms * 1_000_000);
        let mut pulse = Pulse::default();
        pulse.waits(ms(10));
        pulse.waits(ms(12));
        pulse.leaves(ms(13));
        pulse.waits(ms(14));
        pulse.arrives(ms(17), 2);
        assert_eq!(pulse.sync_time.row(), LatencyRow { count: 1, p50: 5.0, p99: 5.0 });
        assert_eq!(pulse.ack_time.row(), LatencyRow { count: 2, p50: 10.0, p99: 10.0 });
        pulse.leaves(ms(17));
        pulse.arrives(ms(20), 1);
        assert_eq!(pulse.ack_time.sum_us, 7_000 * 2 + 6_000);
        assert_eq!(pulse.syncs, 2);
    }

    #[test]
    fn quantiles_are_the_bounds_of_their_buckets() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.row(), LatencyRow::default());
        histogram.record(Duration::from_micros(80), 98);
        histogram.record(Duration::from_millis(7), 1);
        histogram.record(Duration::from_secs(60), 1);
        assert_eq!(histogram.row(), LatencyRow { count: 100, p50: 0.1, p99: 10.0 });
    }
}
