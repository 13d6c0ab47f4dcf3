//! The checkers of many endpoints: whose check is due, and what an answer changes. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use stdx::clock::Mono;
use stdx::rng::Rng;

use crate::cache::Verdict;
use crate::checker::{Checker, Health, Settings, Transition};
use crate::position;
use crate::probe::{Answer, Failure};

/// Checkers by a key of the owner's choice.
#[derive(Debug)]
pub struct Board<K> {
    entries: BTreeMap<K, Entry>,
    rng: Rng,
}

#[derive(Debug)]
struct Entry {
    checker: Checker,
    verdict: Verdict,
}

impl<K: Ord + Clone> Board<K> {
    /// A board without endpoints.
    pub fn new(rng: Rng) -> Board<K> {
        Board { entries: BTreeMap::new(), rng }
    }

    /// Takes up an endpoint, with what is remembered of it and how old that is, or changes how one is checked.
    pub fn put(&mut self, now: Mono, key: K, settings: Settings, known: Option<(Health, Duration)>) {
        if let Some(entry) = self.entries.get_mut(&key) {
            if *entry.checker.settings() != settings {
                entry.verdict.silence_max = settings.silence_max();
                entry.checker.reconfigure(settings, now);
            }
            return;
        }
        let (health, before) = known.unwrap_or_default();
        let verdict = Verdict {
            health,
            failure: None,
            checked: now,
            before,
            silence_max: settings.silence_max(),
            positions: Default::default(),
        };
        let checker = Checker::resume(settings, health, now, &mut self.rng);
        self.entries.insert(key, Entry { checker, verdict });
    }

    /// Forgets the endpoints that `keep` says no to.
    pub fn retain(&mut self, mut keep: impl FnMut(&K) -> bool) {
        self.entries.retain(|key, _| keep(key));
    }

    /// The endpoints that should be asked now; each has its check begun, and its answer must follow.
    pub fn due(&mut self, now: Mono) -> Vec<K> {
        let due = self.entries.iter_mut().filter(|(_, entry)| entry.checker.due(now));
        due.map(|(key, entry)| {
            entry.checker.begin();
            key.clone()
        })
        .collect()
    }

    /// When to look again: a check is due.
    pub fn due_at(&self) -> Option<Mono> {
        self.entries.values().filter_map(|entry| entry.checker.due_at()).min()
    }

    /// Somebody else had trouble with an endpoint.
    pub fn suspect(&mut self, now: Mono, key: &K) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.checker.suspect(now, &mut self.rng);
        }
    }

    /// Takes an answer; tells what changed. An endpoint that is gone meanwhile changes nothing.
    pub fn on_answer(&mut self, now: Mono, key: &K, answer: Result<Answer, Failure>) -> Changed {
        let Some(entry) = self.entries.get_mut(key) else { return Changed::default() };
        let verdict = &mut entry.verdict;
        let (outcome, positions) = match answer {
            Ok(answer) => (Ok(()), position::newest(&mut verdict.positions, answer.positions)),
            Err(failure) => (Err(failure), false),
        };
        verdict.failure = outcome.clone().err();
        verdict.checked = now;
        verdict.before = Duration::ZERO;
        let health = entry.checker.on_answer(now, outcome, &mut self.rng);
        verdict.health = entry.checker.health();
        Changed { health, positions }
    }

    /// The verdict about an endpoint.
    pub fn verdict(&self, key: &K) -> Option<&Verdict> {
        self.entries.get(key).map(|entry| &entry.verdict)
    }

    /// All verdicts, in the order of their keys.
    pub fn verdicts(&self) -> impl Iterator<Item = (&K, &Verdict)> {
        self.entries.iter().map(|(key, entry)| (key, &entry.verdict))
    }
}

/// What an answer changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// The belief.
    pub health: Option<Transition>,
    /// How far its databases have come.
    pub positions: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop, prop_assert, proptest};

    fn settings() -> Settings {
        let second = Duration::from_secs(1);
        Settings { interval: second, timeout: second, rise: 1, fall: 2 }
    }

    fn at(ms: u64) -> Mono {
        Mono(0) + Duration::from_millis(ms)
    }

    fn board(endpoints: u32) -> Board<u32> {
        let mut board = Board::new(Rng::with_seed(7));
        (0..endpoints).for_each(|key| board.put(at(0), key, settings(), Some((Health::Healthy, Duration::ZERO))));
        board
    }

    #[test]
    fn what_is_remembered_holds_until_answers_say_otherwise() {
        let mut board = board(1);
        board.put(at(0), 1, settings(), None);
        assert_eq!(board.verdict(&0).unwrap().health, Health::Healthy);
        assert_eq!(board.verdict(&1).unwrap().health, Health::Unknown);
        assert_eq!(board.on_answer(at(1), &0, Err(Failure::Refused)), Changed::default());
        let changed = board.on_answer(at(2), &0, Err(Failure::Refused)).health.unwrap();
        assert_eq!((changed.from, changed.to), (Health::Healthy, Health::Unhealthy));
        assert_eq!(board.verdict(&0).unwrap().failure, Some(Failure::Refused));
    }

    #[test]
    fn positions_are_kept_from_answer_to_answer() {
        let mut board = board(1);
        let says = |text: &str| Ok(Answer { positions: vec![text.parse().unwrap()] });
        assert!(board.on_answer(at(0), &0, says("shop@5")).positions);
        assert!(!board.on_answer(at(0), &0, says("shop@5")).positions);
        assert!(!board.on_answer(at(0), &0, Err(Failure::Refused)).positions);
        assert_eq!(*board.verdict(&0).unwrap().positions, ["shop@5".parse().unwrap()]);
        assert!(board.on_answer(at(0), &0, Ok(Answer::default())).positions, "a reply without one withdraws it");
    }

    #[test]
    fn other_settings_change_the_pace_and_forget_nothing() {
        let mut board = board(1);
        let fast = Settings { interval: Duration::from_millis(10), ..settings() };
        board.put(at(0), 0, fast, None);
        assert_eq!(board.verdict(&0).unwrap().health, Health::Healthy);
        assert!(board.due_at().unwrap() <= at(10));
    }

    proptest! {
        #[test]
        fn every_endpoint_is_asked_in_every_interval_and_never_twice_at_once(
            seed in any::<u64>(),
            steps in prop::collection::vec((0u64..400, any::<bool>(), 0u32..5), 20..80),
        ) {
            let mut board = Board::new(Rng::with_seed(seed));
            (0..5u32).for_each(|key| board.put(at(0), key, settings(), None));
            let (mut now, mut asked) = (at(0), [at(0); 5]);
            for (step, good, suspect) in steps {
                now = now + Duration::from_millis(step);
                board.suspect(now, &suspect);
                for key in board.due(now) {
                    prop_assert!(!board.due(now).contains(&key));
                    asked[key as usize] = now;
                    board.on_answer(now, &key, if good { Ok(Answer::default()) } else { Err(Failure::Closed) });
                }
                // Looked at every 400 ms at the latest, checked every 1.1 s at the latest.
                prop_assert!(asked.iter().all(|last| now.since(*last) <= Duration::from_millis(1_500)));
                prop_assert!(board.verdicts().all(|(_, verdict)| !verdict.is_unchecked(now)));
            }
        }
    }
}
