//! Which endpoint: the better of two random ones (P2C), by latency times requests in flight. Pure.
//!
//! Source: Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing"; the cost is Finagle's peak EWMA.

use stdx::clock::Mono;
use stdx::rng::Rng;

use crate::snapshot::Target;

/// What to do next for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pick {
    /// Try the target with this index.
    Target(usize),
    /// Nobody is up. `until`: when the first of those that refused lately may be tried again.
    NobodyUp { until: Option<Mono> },
}

/// Picks among `targets` those that are in rotation, did not refuse lately and are not in `tried`; when all that are up
/// have been tried, one of those again.
pub(crate) fn pick(targets: &[Target], tried: impl Fn(&Target) -> bool, now: Mono, rng: &mut Rng) -> Pick {
    let up = |target: &&Target| target.in_rotation && target.endpoint.down(now).is_none();
    let fresh = |target: &&Target| up(target) && !tried(target);
    match better_of_two(targets, fresh, now, rng).or_else(|| better_of_two(targets, up, now, rng)) {
        Some(index) => Pick::Target(index),
        None => Pick::NobodyUp {
            until: targets.iter().filter(|t| t.in_rotation).filter_map(|t| t.endpoint.down(now)).min(),
        },
    }
}

/// Whether any target but those tried could be picked now.
pub(crate) fn another(targets: &[Target], tried: impl Fn(&Target) -> bool, now: Mono) -> bool {
    targets.iter().any(|t| t.in_rotation && t.endpoint.down(now).is_none() && !tried(t))
}

fn better_of_two(targets: &[Target], eligible: impl Fn(&&Target) -> bool, now: Mono, rng: &mut Rng) -> Option<usize> {
    let count = targets.iter().filter(|t| eligible(t)).count();
    let nth = |n: usize| targets.iter().enumerate().filter(|(_, t)| eligible(t)).nth(n).map(|(index, _)| index);
    if count < 2 {
        return if count == 0 { None } else { nth(0) };
    }
    let first = rng.usize(..count);
    // Any other than the first, all equally likely.
    let second = (first + 1 + rng.usize(..count - 1)) % count;
    let (first, second) = (nth(first)?, nth(second)?);
    let cheaper = targets[second].endpoint.load(now) < targets[first].endpoint.load(now);
    Some(if cheaper { second } else { first })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::{Endpoint, EndpointKey, InFlight};
    use crate::snapshot::TargetFacts;
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};
    use std::sync::Arc;
    use std::time::Duration;

    const NOW: Mono = Mono(1_000_000_000);

    fn target(port: u16, in_rotation: bool) -> Target {
        let addr = ([127, 0, 0, 1], port).into();
        let endpoint = Arc::new(Endpoint::new(EndpointKey { addr, release: None }, NOW));
        endpoint.answered(NOW, Duration::from_millis(1));
        Target { endpoint, facts: Arc::new(TargetFacts { addr, instance: None, release: None }), in_rotation }
    }

    fn shares(targets: &[Target], tried: impl Fn(&Target) -> bool + Copy) -> Vec<u32> {
        let mut rng = Rng::with_seed(11);
        let mut shares = vec![0; targets.len()];
        for _ in 0..3_000 {
            match pick(targets, tried, NOW, &mut rng) {
                Pick::Target(index) => shares[index] += 1,
                Pick::NobodyUp { .. } => panic!("somebody is up"),
            }
        }
        shares
    }

    #[test]
    fn equals_are_picked_alike() {
        let targets: Vec<Target> = (1..4).map(|port| target(port, true)).collect();
        assert!(shares(&targets, |_| false).iter().all(|share| (800..1_200).contains(share)));
    }

    #[test]
    fn the_slowest_and_the_busiest_are_picked_by_nobody_who_sees_another() {
        let targets: Vec<Target> = (1..4).map(|port| target(port, true)).collect();
        targets[0].endpoint.answered(NOW, Duration::from_millis(200));
        assert_eq!(shares(&targets, |_| false)[0], 0);
        let _busy: Vec<InFlight> = (0..500).map(|_| InFlight::begin(&targets[1].endpoint)).collect();
        assert_eq!(shares(&targets, |_| false)[1], 0);
    }

    #[test]
    fn one_that_fails_fast_does_not_look_fast() {
        let targets = [target(1, true), target(2, true)];
        targets[0].endpoint.failed(NOW);
        assert_eq!(shares(&targets, |_| false), [0, 3_000]);
    }

    #[test]
    fn a_new_one_is_tried_soon_and_with_one_request_at_a_time() {
        let targets = [target(1, true), target(2, true)];
        let unknown = Arc::new(Endpoint::new(EndpointKey { addr: ([127, 0, 0, 1], 3).into(), release: None }, NOW));
        let facts = Arc::clone(&targets[0].facts);
        let new = Target { endpoint: Arc::clone(&unknown), facts, in_rotation: true };
        let targets: Vec<Target> = targets.into_iter().chain([new]).collect();
        assert!(shares(&targets, |_| false)[2] > 1_500);
        let _first = InFlight::begin(&unknown);
        assert_eq!(shares(&targets, |_| false)[2], 0);
    }

    #[test]
    fn one_that_refused_is_passed_over_until_its_time_is_up() {
        let targets = [target(1, true), target(2, true)];
        let mut rng = Rng::with_seed(1);
        targets[0].endpoint.refused(NOW, &mut rng);
        assert_eq!(shares(&targets, |_| false), [0, 3_000]);
        targets[1].endpoint.refused(NOW, &mut rng);
        let Pick::NobodyUp { until: Some(until) } = pick(&targets, |_| false, NOW, &mut rng) else { panic!() };
        assert!(until >= NOW + Duration::from_millis(75) && until <= NOW + Duration::from_millis(125));
        assert!(matches!(pick(&targets, |_| false, until, &mut rng), Pick::Target(_)));
    }

    #[test]
    fn refusals_in_a_row_last_longer_and_an_answer_ends_them() {
        let one = target(1, true).endpoint;
        let mut rng = Rng::with_seed(1);
        for _ in 0..20 {
            one.refused(NOW, &mut rng);
        }
        let until = one.down(NOW).unwrap();
        assert!(until >= NOW + Duration::from_millis(1_500) && until <= NOW + Duration::from_millis(2_500));
        one.answered(NOW, Duration::from_millis(1));
        assert_eq!(one.down(NOW), None);
    }

    proptest! {
        #[test]
        fn what_is_picked_is_up_and_untried_where_that_can_be(
            kinds in prop::collection::vec((any::<bool>(), any::<bool>(), any::<bool>()), 0..6),
            seed in any::<u64>(),
        ) {
            let mut rng = Rng::with_seed(seed);
            let targets: Vec<Target> = kinds.iter().zip(1..).map(|((rotation, _, _), port)| target(port, *rotation)).collect();
            for (target, (_, refused, _)) in targets.iter().zip(&kinds) {
                if *refused {
                    target.endpoint.refused(NOW, &mut rng);
                }
            }
            let tried = |one: &Target| kinds[usize::from(one.facts.addr.port()) - 1].2;
            let up = |(rotation, refused, _): &(bool, bool, bool)| *rotation && !refused;
            match pick(&targets, tried, NOW, &mut rng) {
                Pick::Target(index) => {
                    prop_assert!(up(&kinds[index]));
                    prop_assert!(!kinds[index].2 || kinds.iter().filter(|kind| up(kind)).all(|kind| kind.2));
                }
                Pick::NobodyUp { until } => {
                    prop_assert!(!kinds.iter().any(up));
                    prop_assert_eq!(until.is_some(), kinds.iter().any(|(rotation, _, _)| *rotation));
                }
            }
        }
    }
}
