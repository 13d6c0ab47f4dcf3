//! The breaker against a model of itself, and what it promises one by one.

use super::*;
use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};

const CONFIG: BreakerConfig = BreakerConfig {
    failures_in_a_row: 3,
    success_percent: 50,
    requests_min: 10,
    window_ms: 1_000,
    pause_ms: 100,
    pause_longest_ms: 1_000,
};

fn at(ms: u64) -> Mono {
    Mono((5_000 + ms) * 1_000_000)
}

fn ended(ms: u64, verdict: Verdict) -> Ended {
    Ended { now: at(ms), verdict: Some(verdict), retry_after: None, jitter: 0.5 }
}

/// One request at `ms` that ends at once.
fn request(breaker: &Breaker, ms: u64, verdict: Verdict) -> Result<Pass, Closure> {
    let pass = breaker.admit(Some(&CONFIG), at(ms))?;
    breaker.settle(&CONFIG, pass, ended(ms, verdict));
    Ok(pass)
}

#[test]
fn failures_in_a_row_open_it_and_a_success_between_them_does_not_let_it_come_to_that() {
    let breaker = Breaker::default();
    for verdict in [Verdict::Bad, Verdict::Bad, Verdict::Good, Verdict::Bad, Verdict::Bad] {
        assert_eq!(request(&breaker, 0, verdict), Ok(Pass::Plain));
    }
    assert!(breaker.at_rest());
    assert_eq!(request(&breaker, 0, Verdict::Bad), Ok(Pass::Plain));
    assert_eq!(request(&breaker, 0, Verdict::Good), Err(Closure::Open { until: Some(at(100)) }));
    assert_eq!(breaker.state(at(40)), BreakerState::Open(Duration::from_millis(60)));
}

#[test]
fn being_throttled_counts_for_the_share_only_and_only_with_enough_requests() {
    let breaker = Breaker::default();
    for _ in 0..9 {
        assert_eq!(request(&breaker, 0, Verdict::Throttled), Ok(Pass::Plain));
    }
    assert_eq!(breaker.state(at(0)), BreakerState::Closed);
    assert_eq!(request(&breaker, 0, Verdict::Throttled), Ok(Pass::Plain));
    assert_ne!(breaker.state(at(0)), BreakerState::Closed);
}

#[test]
fn what_the_window_has_passed_is_forgotten() {
    let breaker = Breaker::default();
    for _ in 0..9 {
        assert_eq!(request(&breaker, 0, Verdict::Throttled), Ok(Pass::Plain));
    }
    for _ in 0..9 {
        assert_eq!(request(&breaker, 1_100, Verdict::Throttled), Ok(Pass::Plain));
    }
    assert_eq!(breaker.state(at(1_100)), BreakerState::Closed);
}

#[test]
fn one_probe_at_a_time_and_each_failed_one_doubles_the_pause() {
    let breaker = Breaker::default();
    for _ in 0..3 {
        assert_eq!(request(&breaker, 0, Verdict::Bad), Ok(Pass::Plain));
    }
    let mut ms = 100;
    for pause in [200, 400, 800, 1_000, 1_000] {
        assert_eq!(breaker.admit(Some(&CONFIG), at(ms)), Ok(Pass::Probe));
        assert_eq!(breaker.admit(Some(&CONFIG), at(ms)), Err(Closure::Open { until: None }));
        breaker.settle(&CONFIG, Pass::Probe, ended(ms, Verdict::Throttled));
        ms += pause;
        assert_eq!(breaker.admit(Some(&CONFIG), at(ms - 1)), Err(Closure::Open { until: Some(at(ms)) }));
    }
    assert_eq!(request(&breaker, ms, Verdict::Good), Ok(Pass::Probe));
    assert_eq!(request(&breaker, ms, Verdict::Good), Ok(Pass::Plain));
    // Relapsing at once continues where it was; after a good time it begins anew.
    for (later, pause) in [(10, 1_000), (20_000, 100)] {
        ms += later;
        for _ in 0..3 {
            assert_eq!(request(&breaker, ms, Verdict::Bad), Ok(Pass::Plain));
        }
        assert_eq!(breaker.admit(Some(&CONFIG), at(ms)), Err(Closure::Open { until: Some(at(ms + pause)) }));
        ms += pause;
        assert_eq!(request(&breaker, ms, Verdict::Good), Ok(Pass::Probe));
    }
}

#[test]
fn a_probe_that_says_nothing_gives_its_turn_back() {
    let breaker = Breaker::default();
    for _ in 0..3 {
        assert_eq!(request(&breaker, 0, Verdict::Bad), Ok(Pass::Plain));
    }
    assert_eq!(breaker.admit(Some(&CONFIG), at(100)), Ok(Pass::Probe));
    breaker.give_back(at(150));
    assert_eq!(request(&breaker, 150, Verdict::Good), Ok(Pass::Probe));
    assert!(breaker.at_rest());
}

#[test]
fn a_retry_after_lengthens_the_pause_up_to_the_longest() {
    for (asked, pause) in [(50, 100), (700, 700), (90_000, 1_000)] {
        let breaker = Breaker::default();
        for _ in 0..3 {
            let pass = breaker.admit(Some(&CONFIG), at(0)).unwrap();
            let retry_after = Some(Duration::from_millis(asked));
            breaker.settle(&CONFIG, pass, Ended { retry_after, ..ended(0, Verdict::Bad) });
        }
        assert_eq!(breaker.admit(Some(&CONFIG), at(0)), Err(Closure::Open { until: Some(at(pause)) }));
    }
}

#[test]
fn by_hand_goes_before_everything_with_and_without_a_configuration() {
    let breaker = Breaker::default();
    breaker.by_hand().set(Manual::Tripped, Some(at(50)));
    assert!(!breaker.at_rest());
    for config in [Some(&CONFIG), None] {
        assert_eq!(breaker.admit(config, at(49)), Err(Closure::Tripped));
        assert_eq!(breaker.admit(config, at(50)), Ok(Pass::Plain));
    }
    breaker.by_hand().set(Manual::Closed, None);
    for _ in 0..50 {
        assert_eq!(request(&breaker, 60, Verdict::Bad), Ok(Pass::Plain));
    }
    assert_eq!(breaker.state(at(60)), BreakerState::Closed);
}

/// What the breaker is said to be, in the plainest words.
#[derive(Debug, Default)]
struct Model {
    /// Ticks and verdicts since it was last closed.
    seen: Vec<(u64, Verdict)>,
    open_until: Option<u64>,
    probing: bool,
    openings: u32,
    closed_ms: u64,
    closed_tick: u64,
}

impl Model {
    fn admit(&mut self, ms: u64) -> Option<Pass> {
        match self.open_until {
            None => Some(Pass::Plain),
            Some(until) if !self.probing && until <= ms => {
                self.probing = true;
                Some(Pass::Probe)
            }
            Some(_) => None,
        }
    }

    fn settle(&mut self, pass: Pass, ms: u64, verdict: Option<Verdict>) {
        match (pass, verdict) {
            (Pass::Probe, verdict) => {
                self.probing = false;
                match verdict {
                    None => self.open_until = Some(ms),
                    Some(Verdict::Good) => {
                        let closed_tick = (5_000 + ms) / 100 + 1;
                        *self = Model { openings: self.openings, closed_ms: ms, closed_tick, ..Model::default() };
                    }
                    Some(_) => self.open(ms),
                }
            }
            (Pass::Plain, Some(verdict)) if self.open_until.is_none() => {
                let tick = (5_000 + ms) / 100 + 1;
                self.seen.push((tick, verdict));
                let in_window: Vec<Verdict> = self
                    .seen
                    .iter()
                    .filter(|(of, _)| of + 9 >= tick && *of > self.closed_tick)
                    .map(|(_, verdict)| *verdict)
                    .collect();
                let good = in_window.iter().filter(|one| **one == Verdict::Good).count();
                let relevant = self.seen.iter().rev().filter(|(_, one)| *one != Verdict::Throttled);
                let in_a_row = relevant.take_while(|(_, one)| *one == Verdict::Bad).count();
                let few = in_window.len() >= 10 && good * 2 < in_window.len();
                if verdict != Verdict::Good && (verdict == Verdict::Bad && in_a_row >= 3 || few) {
                    if self.closed_ms == 0 || ms - self.closed_ms > 1_000 {
                        self.openings = 0;
                    }
                    self.open(ms);
                }
            }
            (Pass::Plain, _) => {}
        }
    }

    fn open(&mut self, ms: u64) {
        self.open_until = Some(ms + (100 << self.openings).min(1_000));
        self.openings = (self.openings + 1).min(17);
    }
}

fn verdicts() -> impl Strategy<Value = Option<Verdict>> {
    prop_oneof![
        4 => Just(Some(Verdict::Good)),
        3 => Just(Some(Verdict::Bad)),
        2 => Just(Some(Verdict::Throttled)),
        1 => Just(None),
    ]
}

proptest! {
    #[test]
    fn it_does_what_the_model_does(
        steps in prop::collection::vec((0_u64..120, any::<bool>(), any::<u8>(), verdicts()), 1..300),
    ) {
        let (breaker, mut model) = (Breaker::default(), Model::default());
        let mut under_way: Vec<Pass> = Vec::new();
        let mut ms = 1;
        for (later, begins, which, verdict) in steps {
            ms += later;
            if begins || under_way.is_empty() {
                let pass = breaker.admit(Some(&CONFIG), at(ms)).ok();
                prop_assert_eq!(pass, model.admit(ms));
                under_way.extend(pass);
            } else {
                let pass = under_way.swap_remove(usize::from(which) % under_way.len());
                breaker.settle(&CONFIG, pass, Ended { verdict, ..ended(ms, Verdict::Good) });
                model.settle(pass, ms, verdict);
            }
            prop_assert!(under_way.iter().filter(|pass| **pass == Pass::Probe).count() <= 1);
            prop_assert_eq!(breaker.state(at(ms)) == BreakerState::Probing, model.probing);
        }
    }
}
