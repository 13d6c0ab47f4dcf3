//! When to check an endpoint, and what its answers mean: rise, fall, and an interval with jitter. Pure.

use std::fmt;
use std::time::Duration;

use stdx::clock::Mono;
use stdx::rng::Rng;

use crate::probe::Failure;

/// Between two checks of an endpoint that has not been healthy yet: a start is noticed quickly.
const STARTING_INTERVAL: Duration = Duration::from_millis(100);

/// How one endpoint is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// From one check's answer to the next check, jittered by a tenth both ways.
    pub interval: Duration,
    /// Good answers in a row that make an endpoint healthy; 0 counts as 1.
    pub rise: u16,
    /// Bad answers in a row that make it unhealthy; 0 counts as 1.
    pub fall: u16,
}

/// What is believed about an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Health {
    /// Not enough answers yet.
    Unknown,
    /// It can take requests.
    Healthy,
    /// It cannot.
    Unhealthy,
}

impl fmt::Display for Health {
    /// `unknown`, `healthy`, `unhealthy`: the words of `forebay ps`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Health::Unknown => "unknown",
            Health::Healthy => "healthy",
            Health::Unhealthy => "unhealthy",
        })
    }
}

/// A change of what is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// What was believed until now.
    pub from: Health,
    /// What is believed from now on, never the same as `from`.
    pub to: Health,
    /// The last bad answer, when `to` is unhealthy.
    pub reason: Option<Failure>,
}

/// The checker of one endpoint.
///
/// Its owner asks [`due`](Checker::due), calls [`begin`](Checker::begin), probes, and hands the result to
/// [`on_answer`](Checker::on_answer); one check is under way at a time.
#[derive(Clone, Debug)]
pub struct Checker {
    settings: Settings,
    health: Health,
    /// What the latest answers say, and how many of them in a row.
    streak: (Health, u16),
    starting: bool,
    under_way: bool,
    next: Mono,
}

impl Checker {
    /// A checker of an endpoint that nothing is known about; its first check is due at once.
    pub fn new(settings: Settings, now: Mono) -> Checker {
        Checker {
            settings,
            health: Health::Unknown,
            streak: (Health::Unknown, 0),
            starting: true,
            under_way: false,
            next: now,
        }
    }

    /// A checker of an endpoint whose health is remembered from before a restart. Its first check falls anywhere within
    /// one interval, so that a restarted node does not ask everybody at once.
    pub fn resume(settings: Settings, health: Health, now: Mono, rng: &mut Rng) -> Checker {
        let next = now + settings.interval.mul_f64(rng.f64());
        let starting = health == Health::Unknown;
        Checker { settings, health, streak: (health, 0), starting, under_way: false, next }
    }

    /// What is believed now.
    pub fn health(&self) -> Health {
        self.health
    }

    /// Whether a check should begin now.
    pub fn due(&self, now: Mono) -> bool {
        !self.under_way && now >= self.next
    }

    /// When the next check is due; `None` while one is under way.
    pub fn due_at(&self) -> Option<Mono> {
        (!self.under_way).then_some(self.next)
    }

    /// Notes that a check has begun; nothing is due until its answer is in.
    pub fn begin(&mut self) {
        self.under_way = true;
    }

    /// Takes a check's answer, arranges the next check, and tells when the belief changes.
    pub fn on_answer(&mut self, now: Mono, answer: Result<(), Failure>, rng: &mut Rng) -> Option<Transition> {
        self.under_way = false;
        let transition = self.judge(answer);
        let interval =
            if self.starting { self.settings.interval.min(STARTING_INTERVAL) } else { self.settings.interval };
        self.next = now + interval.mul_f64(0.9 + 0.2 * rng.f64());
        transition
    }

    fn judge(&mut self, answer: Result<(), Failure>) -> Option<Transition> {
        let (to, needed, reason) = match answer {
            Ok(()) => (Health::Healthy, self.settings.rise, None),
            Err(failure) => (Health::Unhealthy, self.settings.fall, Some(failure)),
        };
        let in_a_row = if self.streak.0 == to { self.streak.1.saturating_add(1) } else { 1 };
        self.streak = (to, in_a_row);
        if to == self.health || in_a_row < needed.max(1) {
            return None;
        }
        let from = std::mem::replace(&mut self.health, to);
        self.starting &= to != Health::Healthy;
        Some(Transition { from, to, reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert, proptest};

    const SECOND: Duration = Duration::from_secs(1);

    fn checker(rise: u16, fall: u16) -> Checker {
        Checker::new(Settings { interval: SECOND, rise, fall }, Mono(0))
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
    fn a_start_is_checked_often_until_the_endpoint_is_healthy_once() {
        let mut rng = Rng::with_seed(3);
        let mut it = checker(1, 2);
        it.on_answer(Mono(0), Err(Failure::Refused), &mut rng);
        assert!(it.due_at().unwrap() <= Mono(0) + Duration::from_millis(110));
        it.on_answer(Mono(0), Ok(()), &mut rng);
        assert!(it.due_at().unwrap() >= Mono(0) + Duration::from_millis(900));
    }

    proptest! {
        #[test]
        fn the_jitter_is_a_tenth_and_a_resumed_check_is_due_within_one_interval(seed in any::<u64>()) {
            let mut rng = Rng::with_seed(seed);
            let settings = Settings { interval: SECOND, rise: 1, fall: 1 };
            let mut it = Checker::resume(settings, Health::Healthy, Mono(0), &mut rng);
            prop_assert!(it.due_at().unwrap() <= Mono(0) + SECOND);
            it.on_answer(Mono(0), Ok(()), &mut rng);
            let next = it.due_at().unwrap();
            prop_assert!(next >= Mono(0) + SECOND.mul_f64(0.9) && next <= Mono(0) + SECOND.mul_f64(1.1));
        }
    }
}
