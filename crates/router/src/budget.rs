//! How many tries an upstream may get beyond the first of each request. Pure.
//!
//! A share of the requests of the last ten seconds, or a floor for upstreams with little traffic, whichever is more:
//! counting what is in flight instead would allow nothing where little is. The floor counts over the same ten seconds, so
//! that it is there at once for what dies together, and is nothing on top where there is traffic. A try is charged when
//! it is decided on.

use stdx::clock::Mono;

use crate::config::BudgetConfig;
use crate::ring::Ring;

/// Seconds that are looked back on.
const WINDOW_S: u64 = 10;
/// Places in the ring: the window and the second that is under way.
const PLACES: usize = 11;

/// The budget of one upstream, over all workers. A request costs one relaxed addition.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    requests: Ring<PLACES>,
    spent: Ring<PLACES>,
}

impl Budget {
    /// A request came in.
    pub(crate) fn earn(&self, now: Mono) {
        self.requests.add(second(now));
    }

    /// Tries that were paid for in the window.
    pub(crate) fn spent(&self, now: Mono) -> u64 {
        self.spent.sum(window(second(now)))
    }

    /// Tries that the requests of the window allow.
    pub(crate) fn earned(&self, config: &BudgetConfig, now: Mono) -> u64 {
        self.requests.sum(window(second(now))) * u64::from(config.percent) / 100
    }

    /// Whether one more try is allowed; if so it is charged.
    ///
    /// Two workers may read the same sum at once and both be allowed the last one: off by one per worker at the most.
    pub(crate) fn spend(&self, config: &BudgetConfig, now: Mono) -> bool {
        let second = second(now);
        let share = self.requests.sum(window(second)) * u64::from(config.percent);
        let floor = u64::from(config.floor_per_s) * WINDOW_S * 100;
        let allowed = (self.spent.sum(window(second)) + 1) * 100 <= share.max(floor);
        if allowed {
            self.spent.add(second);
        }
        allowed
    }
}

fn window(second: u64) -> std::ops::RangeInclusive<u64> {
    second.saturating_sub(WINDOW_S)..=second
}

/// Counted from one, so that a place that was never used is of no second.
fn second(now: Mono) -> u64 {
    now.0 / 1_000_000_000 + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{Strategy, prop, prop_assert, proptest};

    const CONFIG: BudgetConfig = BudgetConfig { percent: 10, floor_per_s: 2 };

    fn at(ms: u64) -> Mono {
        Mono(ms * 1_000_000)
    }

    #[test]
    fn the_floor_is_there_without_any_traffic_and_anew_when_ten_seconds_have_passed() {
        let budget = Budget::default();
        let granted = |ms| (0..50).filter(|_| budget.spend(&CONFIG, at(ms))).count();
        assert_eq!(granted(0), 20);
        assert_eq!(granted(9_900), 0);
        assert_eq!(granted(11_000), 20);
    }

    #[test]
    fn a_share_of_the_last_ten_seconds_is_there_at_once() {
        let budget = Budget::default();
        for ms in 0..1_000 {
            budget.earn(at(ms));
        }
        assert_eq!((0..200).filter(|_| budget.spend(&CONFIG, at(5_000))).count(), 100);
        assert_eq!((0..200).filter(|_| budget.spend(&CONFIG, at(11_500))).count(), 0, "spent a moment ago");
        assert_eq!((0..200).filter(|_| budget.spend(&CONFIG, at(16_000))).count(), 20, "long ago is no reason");
    }

    #[test]
    fn where_there_is_traffic_the_floor_adds_nothing() {
        let budget = Budget::default();
        let spent = (0..60_000).filter(|ms| {
            budget.earn(at(*ms));
            budget.spend(&CONFIG, at(*ms))
        });
        assert!((5_000..=6_000).contains(&spent.count()));
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
                prop_assert!(spent <= requests / 10 + 20 * (ms / 11_000 + 1));
            }
        }

        /// Every request fails and would be tried ten times more.
        #[test]
        fn a_storm_of_ten_requests_a_second_or_more_is_never_a_fifth_worse(
            seconds in prop::collection::vec(10_u64..100, 1..40),
            config in (0_u8..=20).prop_map(|percent| BudgetConfig { percent, floor_per_s: 2 }),
        ) {
            let (budget, mut requests, mut spent) = (Budget::default(), 0_u64, 0_u64);
            for (second, arrivals) in seconds.into_iter().enumerate() {
                for n in 0..arrivals {
                    let now = at(second as u64 * 1_000 + n * 1_000 / arrivals);
                    budget.earn(now);
                    requests += 1;
                    spent += (0..10).take_while(|_| budget.spend(&config, now)).count() as u64;
                    // The floor of ten seconds is there before their requests are, once.
                    prop_assert!(spent <= requests / 5 + 20, "{spent} for {requests}");
                }
            }
        }
    }
}
