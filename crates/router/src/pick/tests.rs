//! Who is picked, how often, and who is not.

use super::*;
use crate::capacity::{Ended, Verdict};
use crate::config::{BalanceConfig, BreakerConfig, Protocol};
use crate::endpoint::{Endpoint, EndpointKey, InFlight};
use crate::snapshot::TargetFacts;
use crate::way::Way;
use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};
use std::sync::Arc;
use std::time::Duration;

const NOW: Mono = Mono(1_000_000_000);

/// Picks by latency, as an upstream does that says nothing else.
fn pick(targets: &[Target], tried: impl Fn(&Target) -> bool, now: Mono, rng: &mut Rng) -> Pick {
    super::pick(among(targets, None, &AtomicU64::new(0)), tried, now, rng)
}

fn among<'a>(targets: &'a [Target], balance: Option<&'a Balance>, turn: &'a AtomicU64) -> Among<'a> {
    Among { targets, balance, ejected_percent: None, each_most: None, turn, choice: Choice::default() }
}

fn target(port: u16, in_rotation: bool) -> Target {
    let addr = ([127, 0, 0, 1], port).into();
    let endpoint = Arc::new(Endpoint::new(EndpointKey { addr, release: None }, NOW));
    endpoint.answered(NOW, Duration::from_millis(1));
    Target {
        endpoint,
        facts: Arc::new(TargetFacts { addr, instance: None, release: None }),
        in_rotation,
        protocol: Protocol::Http1,
        reach: None,
        weight: 1,
        priority: 0,
        id: u64::from(port),
        ejection: None,
    }
}

fn begin(endpoint: &Arc<Endpoint>) -> InFlight {
    InFlight::begin(endpoint, Way::new(endpoint.key, None, endpoint.key.addr))
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
    let _busy: Vec<InFlight> = (0..500).map(|_| begin(&targets[1].endpoint)).collect();
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
    let new = Target {
        endpoint: Arc::clone(&unknown),
        facts,
        in_rotation: true,
        protocol: Protocol::Http1,
        reach: None,
        weight: 1,
        priority: 0,
        id: 3,
        ejection: None,
    };
    let targets: Vec<Target> = targets.into_iter().chain([new]).collect();
    assert!(shares(&targets, |_| false)[2] > 1_500);
    let _first = begin(&unknown);
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

fn balance(config: &BalanceConfig) -> Balance {
    Balance::of(config, false)
}

/// How often each of three is picked of a thousand times, with these keys.
fn counts(targets: &[Target], balance: &Balance, key: impl Fn(u64) -> u64) -> Vec<u32> {
    let (turn, mut rng, mut counts) = (AtomicU64::new(0), Rng::with_seed(7), vec![0; targets.len()]);
    for n in 0..1_000 {
        let choice = Choice { key: key(n), ..Choice::default() };
        let among = Among { choice, ..among(targets, Some(balance), &turn) };
        match super::pick(among, |_| false, NOW, &mut rng) {
            Pick::Target(index) => counts[index] += 1,
            Pick::NobodyUp { .. } => panic!("somebody is up"),
        }
    }
    counts
}

#[test]
fn one_after_the_other_by_weight() {
    let mut targets: Vec<Target> = (1..4).map(|port| target(port, true)).collect();
    let by_turn = BalanceConfig { method: BalanceMethod::RoundRobin, ..BalanceConfig::default() };
    let counts_of = |targets: &[Target]| counts(targets, &balance(&by_turn), |_| 0);
    assert_eq!(counts_of(&targets), [334, 333, 333]);
    targets[1].weight = 3;
    assert_eq!(counts_of(&targets), [200, 600, 200]);
    targets[1].in_rotation = false;
    assert_eq!(counts_of(&targets), [500, 0, 500]);
}

#[test]
fn the_same_key_goes_to_the_same_one_until_that_has_too_much() {
    let targets: Vec<Target> = (1..4).map(|port| target(port, true)).collect();
    let hashed = balance(&BalanceConfig { method: BalanceMethod::Hash, ..BalanceConfig::default() });
    let mut one_key = counts(&targets, &hashed, |_| 77);
    let chosen = one_key.iter().position(|count| *count == 1_000).expect("one gets them all");
    assert!(
        counts(&targets, &hashed, |n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15))
            .iter()
            .all(|count| (270..400).contains(count))
    );
    let _busy: Vec<InFlight> = (0..4).map(|_| begin(&targets[chosen].endpoint)).collect();
    one_key = counts(&targets, &hashed, |_| 77);
    assert_eq!(one_key[chosen], 0);
    assert!(one_key.contains(&1_000), "the next one gets them all");
}

#[test]
fn a_cookie_keeps_a_client_where_it_is_for_as_long_as_that_is_up() {
    let mut targets: Vec<Target> = (1..4).map(|port| target(port, true)).collect();
    targets[2].endpoint.answered(NOW, Duration::from_secs(9));
    let sticky = balance(&BalanceConfig { sticky_cookie: Some("at".into()), ..BalanceConfig::default() });
    let turn = AtomicU64::new(0);
    let choice = Choice { sticky: Some(3), ..Choice::default() };
    let picked = |targets: &[Target], tried: fn(&Target) -> bool| {
        super::pick(Among { choice, ..among(targets, Some(&sticky), &turn) }, tried, NOW, &mut Rng::with_seed(1))
    };
    assert_eq!(picked(&targets, |_| false), Pick::Target(2), "slow as it is");
    assert_ne!(picked(&targets, |one| one.id == 3), Pick::Target(2));
    targets[2].in_rotation = false;
    assert_ne!(picked(&targets, |_| false), Pick::Target(2));
}

#[test]
fn weights_shift_load_and_a_new_one_starts_slowly() {
    let mut targets: Vec<Target> = (1..3).map(|port| target(port, true)).collect();
    targets[0].weight = 9;
    let weighted = balance(&BalanceConfig { weights: [("x".into(), 9)].into(), ..BalanceConfig::default() });
    let shares = counts(&targets, &weighted, |_| 0);
    assert!(shares[0] > 800, "{shares:?}");
    let targets: Vec<Target> = (1..4).map(|port| target(port, true)).collect();
    let slow = balance(&BalanceConfig { slow_start_ms: 10_000, ..BalanceConfig::default() });
    for old in &targets[..2] {
        old.endpoint.is_up(true, Mono(0));
        old.endpoint.is_up(false, Mono(0));
        old.endpoint.is_up(true, Mono(0));
    }
    assert!((slow.weight(&targets[2], NOW) - 0.1).abs() < 1e-9, "it came just now");
    assert!((slow.weight(&targets[2], NOW + Duration::from_secs(5)) - 0.5).abs() < 1e-9);
    assert!((slow.weight(&targets[2], NOW + Duration::from_secs(50)) - 1.0).abs() < 1e-9);
    let shares = counts(&targets, &slow, |_| 0);
    assert!(shares[2] < 550, "{shares:?}");
}

/// Lets an endpoint fail until its breaker opens.
fn fails(target: &Target, config: &BreakerConfig) {
    for _ in 0..config.failures_in_a_row {
        let pass = target.endpoint.breaker.admit(Some(config), NOW).unwrap();
        let ended = Ended { now: NOW, verdict: Some(Verdict::Bad), retry_after: None, jitter: 0.5 };
        target.endpoint.breaker.settle(config, pass, ended);
    }
}

#[test]
fn those_that_fail_are_left_alone_while_they_are_few_and_get_a_probe_when_it_is_time() {
    let targets: Vec<Target> = (1..5).map(|port| target(port, true)).collect();
    let config = BreakerConfig::default();
    let turn = AtomicU64::new(0);
    let picked = |now: Mono, may_probe: bool| {
        let choice = Choice { may_probe, ..Choice::default() };
        let among = Among { ejected_percent: Some(50), choice, ..among(&targets, None, &turn) };
        let mut rng = Rng::with_seed(3);
        let mut seen = [0; 4];
        for _ in 0..400 {
            if let Pick::Target(index) = super::pick(among, |_| false, now, &mut rng) {
                seen[index] += 1;
            }
        }
        seen
    };
    fails(&targets[0], &config);
    fails(&targets[1], &config);
    assert_eq!(picked(NOW, true)[..2], [0, 0]);
    let due = NOW + Duration::from_secs(2);
    assert_eq!(picked(due, true)[0], 400, "each asks for the probe; the first to come is it");
    assert!(picked(due, false)[0] < 400);
    fails(&targets[2], &config);
    assert!(picked(NOW, true).iter().all(|count| *count > 0), "three of four: not their fault");
}

#[test]
fn who_stands_by_is_picked_when_nobody_before_it_is_up_and_a_retry_does_not_go_there_sooner() {
    let mut targets: Vec<Target> = (1..5).map(|port| target(port, true)).collect();
    targets[2].priority = 10;
    targets[3].priority = 20;
    let shared = shares(&targets, |_| false);
    assert!(shared[0] > 1_000 && shared[1] > 1_000 && shared[2..] == [0, 0], "{shared:?}");
    let (first, second) = (targets[0].facts.addr, targets[1].facts.addr);
    assert_eq!(shares(&targets, |one| one.facts.addr == first), [0, 3_000, 0, 0]);
    assert!(another(&targets, |one| one.facts.addr == first, NOW));
    let both = |one: &Target| one.facts.addr == first || one.facts.addr == second;
    assert!(!another(&targets, both, NOW), "those that stand by are not for speed");
    let mut rng = Rng::with_seed(3);
    targets[0].endpoint.refused(NOW, &mut rng);
    targets[1].in_rotation = false;
    assert_eq!(shares(&targets, |_| false), [0, 0, 3_000, 0]);
    targets[2].endpoint.refused(NOW, &mut rng);
    assert_eq!(shares(&targets, |_| false), [0, 0, 0, 3_000]);
}
