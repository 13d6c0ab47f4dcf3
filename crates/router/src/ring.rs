//! Counts of the last few spans of time, over all workers and without a lock.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A count per span; each place says which span it is of: the span's number in the upper half, the count in the lower. A
/// place that was never used is of span 0, so callers count their spans from one.
#[derive(Debug)]
pub(crate) struct Ring<const PLACES: usize>([AtomicU64; PLACES]);

impl<const PLACES: usize> Default for Ring<PLACES> {
    fn default() -> Ring<PLACES> {
        Ring(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl<const PLACES: usize> Ring<PLACES> {
    fn place(&self, span: u64) -> &AtomicU64 {
        &self.0[usize::try_from(span % PLACES as u64).unwrap_or_default()]
    }

    /// Counts one more in `span`: a relaxed load and a relaxed addition.
    pub(crate) fn add(&self, span: u64) {
        let place = self.place(span);
        let old = place.load(Relaxed);
        // Whoever comes second finds the new span in place and loses nothing but this once.
        if old >> 32 == span || place.compare_exchange(old, span << 32 | 1, Relaxed, Relaxed).is_err() {
            place.fetch_add(1, Relaxed);
        }
    }

    /// What was counted in `span`.
    pub(crate) fn at(&self, span: u64) -> u64 {
        let value = self.place(span).load(Relaxed);
        if value >> 32 == span { value & 0xffff_ffff } else { 0 }
    }

    /// What was counted in all of `spans`.
    pub(crate) fn sum(&self, spans: RangeInclusive<u64>) -> u64 {
        spans.map(|span| self.at(span)).sum()
    }
}
