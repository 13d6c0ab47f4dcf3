//! Fail static: when too many endpoints look dead at once, it is more likely that the checking is wrong than that all of
//! them died, and sending nothing anywhere is the worst answer. Pure.

use crate::checker::Health;

/// Whether all endpoints stay in rotation: more than `percent` per hundred of those that something is known of look dead.
/// Endpoints that were never judged count on neither side; with 100 this is never so.
pub fn fails_static(endpoints: impl IntoIterator<Item = Health>, percent: u8) -> bool {
    let (mut dead, mut judged) = (0u64, 0u64);
    for health in endpoints {
        judged += u64::from(health != Health::Unknown);
        dead += u64::from(health == Health::Unhealthy);
    }
    dead * 100 > judged * u64::from(percent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Health::{Healthy as Up, Unhealthy as Dead, Unknown};
    use proptest::prelude::{prop, prop_assert, prop_assert_eq, proptest};

    #[test]
    fn more_than_the_share_must_look_dead() {
        assert!(!fails_static([], 50));
        assert!(!fails_static([Up, Dead], 50));
        assert!(fails_static([Up, Dead, Dead], 50));
        assert!(fails_static([Dead], 50));
        assert!(!fails_static([Dead, Dead], 100));
        assert!(fails_static([Up, Dead], 0) && !fails_static([Up], 0));
    }

    #[test]
    fn those_that_were_never_judged_do_not_count() {
        assert!(fails_static([Dead, Unknown, Unknown], 50));
        assert!(!fails_static([Unknown, Unknown], 0));
    }

    proptest! {
        #[test]
        fn one_more_dead_never_ends_it(kinds in prop::collection::vec(0u8..3, 0..20), percent in 0u8..=100) {
            let healths: Vec<Health> = kinds.iter().map(|kind| [Up, Dead, Unknown][usize::from(*kind)]).collect();
            let dead = healths.iter().filter(|one| **one == Dead).count();
            let judged = healths.iter().filter(|one| **one != Unknown).count();
            let now = fails_static(healths.iter().copied(), percent);
            prop_assert_eq!(now, judged > 0 && dead as f64 / judged as f64 > f64::from(percent) / 100.0);
            if let Some(first_up) = healths.iter().position(|one| *one == Up) {
                let mut worse = healths.clone();
                worse[first_up] = Dead;
                prop_assert!(fails_static(worse, percent) >= now);
            }
        }
    }
}
