//! The checker by a turned clock: rise, fall, pace, suspicion and silence.

use super::*;
use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

const SECOND: Duration = Duration::from_secs(1);

fn settings(rise: u16, fall: u16) -> Settings {
    Settings { interval: SECOND, timeout: SECOND, rise, fall }
}

fn checker(rise: u16, fall: u16) -> Checker {
    Checker::new(settings(rise, fall), Mono(0))
}

/// One that has been healthy since the beginning of time.
fn healthy(rise: u16, fall: u16) -> Checker {
    let mut it = checker(1, fall);
    it.on_answer(Mono(0), Ok(()), &mut Rng::with_seed(1));
    it.reconfigure(settings(rise, fall), Mono(0));
    it
}

fn says(checker: &mut Checker, answers: &[Result<(), Failure>]) -> Vec<Health> {
    let mut rng = Rng::with_seed(1);
    let mut said = Vec::new();
    for answer in answers {
        checker.begin();
        said.extend(checker.on_answer(Mono(0), answer.clone(), &mut rng).map(|t| t.to));
    }
    said
}

fn after(ms: u64) -> Mono {
    Mono(0) + Duration::from_millis(ms)
}

#[test]
fn an_endpoint_rises_after_good_answers_in_a_row_and_falls_after_bad_ones() {
    let bad = || Err(Failure::Refused);
    let mut it = checker(2, 3);
    assert_eq!(says(&mut it, &[Ok(()), bad(), Ok(())]), []);
    assert_eq!(says(&mut it, &[Ok(())]), [Health::Healthy]);
    assert_eq!(says(&mut it, &[bad(), bad(), Ok(()), bad(), bad()]), []);
    assert_eq!(says(&mut it, &[bad()]), [Health::Unhealthy]);
    assert_eq!(says(&mut it, &[Ok(()), Ok(())]), [Health::Healthy]);
}

#[test]
fn a_fall_says_why() {
    let mut it = checker(1, 1);
    let mut rng = Rng::with_seed(1);
    let fell = it.on_answer(Mono(0), Err(Failure::Status(500)), &mut rng).unwrap();
    assert_eq!((fell.from, fell.to), (Health::Unknown, Health::Unhealthy));
    assert_eq!(fell.reason.unwrap().to_string(), "answered 500");
}

#[test]
fn one_check_is_under_way_at_a_time() {
    let mut it = checker(1, 1);
    assert!(it.due(Mono(0)));
    it.begin();
    assert!(!it.due(Mono(u64::MAX)));
    assert_eq!(it.due_at(), None);
}

#[test]
fn a_start_is_checked_often_at_first_and_rarely_when_it_takes_long() {
    let mut rng = Rng::with_seed(3);
    let mut it = checker(1, 2);
    it.on_answer(Mono(0), Err(Failure::Refused), &mut rng);
    assert!(it.due_at().unwrap() <= after(110));
    it.on_answer(after(5_000), Err(Failure::Refused), &mut rng);
    let next = it.due_at().unwrap();
    assert!(next >= after(5_450) && next <= after(5_550));
    it.on_answer(after(60_000), Err(Failure::Refused), &mut rng);
    assert!(it.due_at().unwrap() >= after(60_900));
    it.on_answer(after(70_000), Ok(()), &mut rng);
    assert!(it.due_at().unwrap() >= after(70_900));
}

#[test]
fn trouble_brings_the_next_check_forward_and_keeps_it_close_until_a_good_answer_or_a_fall() {
    let mut rng = Rng::with_seed(5);
    let mut it = healthy(1, 3);
    it.suspect(after(100), &mut rng);
    let early = it.due_at().unwrap();
    assert!(early >= after(180) && early <= after(220), "{early:?}");
    it.on_answer(after(200), Err(Failure::Refused), &mut rng);
    assert!(it.due_at().unwrap() <= after(420));
    it.on_answer(after(400), Ok(()), &mut rng);
    assert!(it.due_at().unwrap() >= after(1_300));
    it.suspect(after(1_000), &mut rng);
    assert_eq!(it.due_at().unwrap(), after(1_000), "it was quiet long enough to be asked at once");
    for at in [1_000, 1_200, 1_400] {
        it.on_answer(after(at), Err(Failure::Refused), &mut rng);
    }
    assert_eq!(it.health(), Health::Unhealthy);
    assert!(it.due_at().unwrap() >= after(2_300), "what is known to be down is asked at the usual pace");
}

#[test]
fn three_intervals_and_a_timeout_may_pass_without_an_answer() {
    assert_eq!(settings(1, 1).silence_max(), Duration::from_secs(4));
}

proptest! {
    #[test]
    fn the_jitter_is_a_tenth_and_a_resumed_check_is_due_within_one_interval(seed in any::<u64>()) {
        let mut rng = Rng::with_seed(seed);
        let mut it = Checker::resume(settings(1, 1), Health::Healthy, Mono(0), &mut rng);
        prop_assert!(it.due_at().unwrap() <= Mono(0) + SECOND);
        it.on_answer(Mono(0), Ok(()), &mut rng);
        let next = it.due_at().unwrap();
        prop_assert!(next >= Mono(0) + SECOND.mul_f64(0.9) && next <= Mono(0) + SECOND.mul_f64(1.1));
    }

    #[test]
    fn many_that_are_resumed_together_are_spread_over_the_interval(seed in any::<u64>()) {
        let mut rng = Rng::with_seed(seed);
        let mut tenths = [0u32; 10];
        for _ in 0..2_000 {
            let it = Checker::resume(settings(1, 1), Health::Healthy, Mono(0), &mut rng);
            tenths[usize::try_from(it.due_at().unwrap().0 / 100_000_000).unwrap().min(9)] += 1;
        }
        prop_assert!(tenths.iter().all(|share| (100..320).contains(share)), "{tenths:?}");
    }

    #[test]
    fn whatever_happens_checks_keep_their_distance_and_none_is_forgotten(
        seed in any::<u64>(),
        answers in prop::collection::vec((any::<bool>(), 0u8..4, 0u64..1_500), 1..60),
        rise in 0u16..4,
        fall in 0u16..4,
    ) {
        let mut rng = Rng::with_seed(seed);
        let mut it = healthy(rise, fall);
        let (mut now, mut last) = (Mono(0), Mono(0));
        let mut row = (true, 0u16);
        let mut believed = Health::Healthy;
        for (good, troubles, quiet) in answers {
            now = now + Duration::from_millis(quiet);
            (0..troubles).for_each(|_| it.suspect(now, &mut rng));
            let due = it.due_at().unwrap();
            prop_assert!(due.since(last) >= SECOND.mul_f64(0.18));
            now = now.max(due);
            last = now;
            it.begin();
            it.on_answer(now, if good { Ok(()) } else { Err(Failure::Refused) }, &mut rng);
            let wait = it.due_at().unwrap().since(now);
            prop_assert!(wait >= SECOND.mul_f64(0.18) && wait <= SECOND.mul_f64(1.1), "{wait:?}");
            prop_assert!(wait < it.settings().silence_max());
            row = if row.0 == good { (good, row.1 + 1) } else { (good, 1) };
            let needed = if good { rise } else { fall }.max(1);
            if row.1 >= needed {
                believed = if good { Health::Healthy } else { Health::Unhealthy };
            }
            prop_assert_eq!(it.health(), believed);
        }
    }
}
