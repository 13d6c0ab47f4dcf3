//! How many tries an upstream may get beyond the first of each request. Pure.
//!
//! A share of the requests of the last ten seconds, and a floor per second for upstreams with little traffic: counting
//! what is in flight instead would allow nothing where little is. A try is charged when it is decided on.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use stdx::clock::Mono;

use crate::config::BudgetConfig;

/// Seconds that are looked back on.
const WINDOW_S: u64 = 10;
/// Places in the ring: the window and the second that is under way.
const PLACES: usize = 11;

/// The budget of one upstream, over all workers. A request costs one relaxed addition.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    requests: Ring,
    spent: Ring,
}

/// Counts per second; each place says which second it is of: second in the upper half, count in the lower.
#[derive(Debug, Default)]
struct Ring([AtomicU64; PLACES]);

impl Budget {
    /// A request came in.
    pub(crate) fn earn(&self, now: Mono) {
        self.requests.add(second(now));
    }

    /// Whether one more try is allowed; if so it is charged.
    ///
    /// Two workers may read the same sum at once and both be allowed the last one: off by one per worker at the most.
    pub(crate) fn spend(&self, config: &BudgetConfig, now: Mono) -> bool {
        let second = second(now);
        let share = self.requests.sum(second) * u64::from(config.percent);
        let allowed =
            self.spent.at(second) < u64::from(config.floor_per_s) || (self.spent.sum(second) + 1) * 100 <= share;
        if allowed {
            self.spent.add(second);
        }
        allowed
    }
}

/// Counted from one, so that a place that was never used is of no second.
fn second(now: Mono) -> u64 {
    now.0 / 1_000_000_000 + 1
}

impl Ring {
    fn place(&self, second: u64) -> &AtomicU64 {
        &self.0[usize::try_from(second % PLACES as u64).unwrap_or_default()]
    }

    fn add(&self, second: u64) {
        let place = self.place(second);
        if place.load(Relaxed) >> 32 == second {
            place.fetch_add(1, Relaxed);
        } else {
            // Whoever comes second finds the new second in place and loses nothing but this once.
            let old = place.load(Relaxed);
            if old >> 32 == second || place.compare_exchange(old, second << 32 | 1, Relaxed, Relaxed).is_err() {
                place.fetch_add(1, Relaxed);
            }
        }
    }

    fn at(&self, second: u64) -> u64 {
        let value = self.place(second).load(Relaxed);
        if value >> 32 == second { value & 0xffff_ffff } else { 0 }
    }

    fn sum(&self, second: u64) -> u64 {
        (second.saturating_sub(WINDOW_S)..=second).map(|one| self.at(one)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop, prop_assert, proptest};

    const CONFIG: BudgetConfig = BudgetConfig { percent: 10, floor_per_s: 2 };

    fn at(ms: u64) -> Mono {
        Mono(ms * 1_000_000)
    }

    #[test]
    fn the_floor_is_there_without_any_traffic_and_anew_each_second() {
        let budget = Budget::default();
        let granted = |ms| (0..5).filter(|_| budget.spend(&CONFIG, at(ms))).count();
        assert_eq!(granted(0), 2);
        assert_eq!(granted(900), 0);
        assert_eq!(granted(1_000), 2);
    }

    #[test]
    fn a_share_of_the_last_ten_seconds_is_there_at_once() {
        let budget = Budget::default();
        for ms in 0..1_000 {
            budget.earn(at(ms));
        }
        assert_eq!((0..200).filter(|_| budget.spend(&CONFIG, at(5_000))).count(), 100);
        assert_eq!((0..200).filter(|_| budget.spend(&CONFIG, at(11_500))).count(), 2, "long ago is no reason");
    }

    proptest! {
        #[test]
        fn never_more_than_the_share_and_the_floor(steps in prop::collection::vec((0_u64..400, 0_u32..30), 1..200)) {
            let (budget, mut ms, mut requests, mut spent) = (Budget::default(), 0, 0_u64, 0_u64);
            for (later, wanted) in steps {
                ms += later;
                for _ in 0..wanted {
                    budget.earn(at(ms));
                    requests += 1;
                    spent += u64::from(budget.spend(&CONFIG, at(ms)));
                }
                prop_assert!(spent <= requests / 10 + 2 * (ms / 1_000 + 1));
            }
        }
    }
}
