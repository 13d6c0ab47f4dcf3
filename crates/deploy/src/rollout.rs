//! One change of what an application runs, from the first start to the last stop. Pure: it takes events and `now` and
//! gives commands; `side.rs` carries them out.
//!
//! ```text
//! Starting ──all healthy──> Switching ──published──> Draining ──drained──> Stopping ──all gone──> Done
//!     └──────crash, timeout, refusal: stop the new ones, Failed; the old ones were never touched
//! ```
//! A deploy and a rollback bring new places for all processes and take all old instances away; scaling up brings some
//! places, scaling down takes some instances. All go the same way.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use stdx::clock::Mono;
use stdx::ids::ProcessName;

/// One of the places that a release has for a process: `web` 0, `web` 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The process type.
    pub process: ProcessName,
    /// Counts from 0.
    pub index: u16,
}

/// The serial of an instance that ran before.
pub type Serial = u64;

/// How a rollout's time is bounded.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// For all new instances to become healthy.
    pub healthy_timeout: Duration,
}

/// What has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The new instance of a place can take traffic.
    Healthy(Place),
    /// It could, and now it cannot; it may yet again.
    Unhealthy(Place),
    /// The new instance of a place ended or could not be started.
    Down(Place, Failure),
    /// The switch is on disk and published; these ran before and are to go.
    Switched(Vec<Old>),
    /// The switch could not be written.
    NotSwitched(Failure),
    /// Nothing is in flight to the old instances any more, or the time for it is up.
    Drained,
    /// An old instance is gone.
    Gone(Serial),
    /// Somebody stops the node, or the rollout.
    Cancel(Failure),
    /// The clock may have passed [`Rollout::deadline`].
    Tick,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Start an instance for this place.
    Start(Place),
    /// Make the new instances and only them the ones that serve: on disk, then in one published table.
    Switch,
    /// Wait until the published table holds everywhere and nothing is in flight to these.
    Drain(Vec<Serial>),
    /// Stop these old instances.
    StopOld(Vec<Serial>),
    /// Stop all instances that this rollout has started.
    StopNew,
    /// It is over.
    Finish(Outcome),
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The new instances serve and the old ones are gone.
    Done,
    /// The old ones serve as before.
    Failed(Failure),
}

/// The rule that a rollout broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// A stable word for machines.
    pub code: &'static str,
    /// A sentence.
    pub rule: String,
    /// The place that it is about, where it is about one.
    pub place: Option<Place>,
}

/// An instance that the rollout takes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Old {
    /// Its serial.
    pub serial: Serial,
    /// Whether requests go to it, so that it is drained first.
    pub routed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Starting { healthy: BTreeSet<Place>, deadline: Mono },
    Switching,
    Draining,
    Stopping,
    Over,
}

/// One change of what an application runs.
#[derive(Clone, Debug)]
pub struct Rollout {
    places: BTreeSet<Place>,
    old: BTreeMap<Serial, Old>,
    times: Times,
    state: State,
}

impl Rollout {
    /// A rollout that starts `places`, and its first commands.
    pub fn begin(places: BTreeSet<Place>, times: Times, now: Mono) -> (Rollout, Vec<Command>) {
        let starts = places.iter().cloned().map(Command::Start).collect();
        let state = State::Starting { healthy: BTreeSet::new(), deadline: now + times.healthy_timeout };
        let mut rollout = Rollout { places, old: BTreeMap::new(), times, state };
        let mut commands: Vec<Command> = starts;
        commands.extend(rollout.switch_when_healthy());
        (rollout, commands)
    }

    /// When a [`Event::Tick`] is due at the latest.
    pub fn deadline(&self) -> Option<Mono> {
        match self.state {
            State::Starting { deadline, .. } => Some(deadline),
            _ => None,
        }
    }

    /// Whether the new instances have the traffic: from then on a crash of one is nothing but a restart.
    pub fn has_switched(&self) -> bool {
        matches!(self.state, State::Draining | State::Stopping | State::Over)
    }

    /// Takes an event and says what is to be done.
    pub fn on(&mut self, now: Mono, event: Event) -> Vec<Command> {
        if let Event::Gone(serial) = event {
            self.old.remove(&serial);
        }
        match (&mut self.state, event) {
            (State::Starting { healthy, .. }, Event::Healthy(place)) => {
                if self.places.contains(&place) {
                    healthy.insert(place);
                }
                self.switch_when_healthy()
            }
            (State::Starting { healthy, .. }, Event::Unhealthy(place)) => {
                healthy.remove(&place);
                Vec::new()
            }
            (State::Starting { .. } | State::Switching, Event::Down(place, failure))
                if self.places.contains(&place) =>
            {
                self.fail(failure)
            }
            (State::Starting { .. } | State::Switching, Event::Cancel(failure)) => self.fail(failure),
            (State::Starting { deadline, .. }, Event::Tick) if now >= *deadline => self.too_late(),
            (State::Switching, Event::NotSwitched(failure)) => self.fail(failure),
            (State::Switching, Event::Switched(old)) => self.drain(old),
            (State::Draining, Event::Drained) => self.stop_old(),
            (State::Stopping, Event::Gone(_)) => self.finish_when_gone(),
            _ => Vec::new(),
        }
    }

    fn switch_when_healthy(&mut self) -> Vec<Command> {
        match &self.state {
            State::Starting { healthy, .. } if healthy.len() == self.places.len() => {
                self.state = State::Switching;
                vec![Command::Switch]
            }
            _ => Vec::new(),
        }
    }

    /// Workers have no requests in flight: they are told to stop at once, beside the drain of the others.
    fn drain(&mut self, old: Vec<Old>) -> Vec<Command> {
        self.old = old.into_iter().map(|old| (old.serial, old)).collect();
        let (routed, workers): (Vec<Old>, Vec<Old>) = self.old.values().partition(|old| old.routed);
        if routed.is_empty() {
            return self.stop_old();
        }
        self.state = State::Draining;
        let mut commands = vec![Command::Drain(serials(&routed))];
        if !workers.is_empty() {
            commands.push(Command::StopOld(serials(&workers)));
        }
        commands
    }

    /// Stopping one that is being stopped already does nothing, so all that are left are named.
    fn stop_old(&mut self) -> Vec<Command> {
        self.state = State::Stopping;
        if self.old.is_empty() {
            return self.finish_when_gone();
        }
        vec![Command::StopOld(self.old.keys().copied().collect())]
    }

    fn finish_when_gone(&mut self) -> Vec<Command> {
        if !self.old.is_empty() {
            return Vec::new();
        }
        self.state = State::Over;
        vec![Command::Finish(Outcome::Done)]
    }

    fn too_late(&mut self) -> Vec<Command> {
        let State::Starting { healthy, .. } = &self.state else { return Vec::new() };
        let late = self.places.iter().find(|place| !healthy.contains(place)).cloned();
        let seconds = self.times.healthy_timeout.as_secs_f64();
        self.fail(Failure { code: "release_unhealthy", rule: format!("not healthy within {seconds} s"), place: late })
    }

    fn fail(&mut self, failure: Failure) -> Vec<Command> {
        self.state = State::Over;
        vec![Command::StopNew, Command::Finish(Outcome::Failed(failure))]
    }
}

fn serials(old: &[Old]) -> Vec<Serial> {
    old.iter().map(|old| old.serial).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const TIMES: Times = Times { healthy_timeout: Duration::from_secs(30) };

    fn web(index: u16) -> Place {
        Place { process: ProcessName::new("web").unwrap(), index }
    }

    fn crash() -> Failure {
        Failure { code: "release_crashed", rule: "exit code 1".into(), place: Some(web(0)) }
    }

    fn old() -> Vec<Old> {
        vec![Old { serial: 1, routed: true }, Old { serial: 2, routed: false }]
    }

    fn two() -> Rollout {
        let (rollout, commands) = Rollout::begin([web(0), web(1)].into(), TIMES, Mono(0));
        assert_eq!(commands, [Command::Start(web(0)), Command::Start(web(1))]);
        rollout
    }

    #[test]
    fn the_switch_waits_for_all_and_the_old_stop_after_the_drain() {
        let mut it = two();
        assert_eq!(it.on(Mono(1), Event::Healthy(web(0))), []);
        assert_eq!(it.on(Mono(2), Event::Healthy(web(0))), [], "one place is healthy once");
        assert_eq!(it.on(Mono(3), Event::Healthy(web(1))), [Command::Switch]);
        assert!(!it.has_switched());
        assert_eq!(it.on(Mono(4), Event::Switched(old())), [Command::Drain(vec![1]), Command::StopOld(vec![2])]);
        assert!(it.has_switched());
        assert_eq!(it.on(Mono(5), Event::Gone(2)), []);
        assert_eq!(it.on(Mono(6), Event::Drained), [Command::StopOld(vec![1])]);
        assert_eq!(it.on(Mono(7), Event::Gone(1)), [Command::Finish(Outcome::Done)]);
    }

    #[test]
    fn one_that_turns_unhealthy_before_the_switch_holds_it_back() {
        let mut it = two();
        it.on(Mono(1), Event::Healthy(web(0)));
        it.on(Mono(2), Event::Unhealthy(web(0)));
        assert_eq!(it.on(Mono(3), Event::Healthy(web(1))), []);
        assert_eq!(it.on(Mono(4), Event::Healthy(web(0))), [Command::Switch]);
    }

    #[test]
    fn a_crash_before_the_switch_fails_the_release_and_touches_no_old_instance() {
        let mut it = two();
        it.on(Mono(1), Event::Healthy(web(1)));
        let commands = it.on(Mono(2), Event::Down(web(0), crash()));
        assert_eq!(commands, [Command::StopNew, Command::Finish(Outcome::Failed(crash()))]);
        assert_eq!(it.on(Mono(3), Event::Healthy(web(0))), [], "what comes later changes nothing");
    }

    #[test]
    fn a_crash_after_the_switch_is_not_the_rollouts_business() {
        let mut it = two();
        it.on(Mono(1), Event::Healthy(web(0)));
        it.on(Mono(1), Event::Healthy(web(1)));
        it.on(Mono(2), Event::Switched(old()));
        assert_eq!(it.on(Mono(3), Event::Down(web(0), crash())), []);
        assert_eq!(it.on(Mono(4), Event::Cancel(crash())), []);
    }

    #[test]
    fn time_is_up_exactly_at_the_deadline_and_the_late_one_is_named() {
        let mut it = two();
        it.on(Mono(1), Event::Healthy(web(0)));
        assert_eq!(it.deadline(), Some(Mono(30 * SECOND)));
        assert_eq!(it.on(Mono(30 * SECOND - 1), Event::Tick), []);
        let commands = it.on(Mono(30 * SECOND), Event::Tick);
        let Command::Finish(Outcome::Failed(failure)) = &commands[1] else { panic!("{commands:?}") };
        assert_eq!((failure.code, failure.place.clone()), ("release_unhealthy", Some(web(1))));
        assert_eq!(failure.rule, "not healthy within 30 s");
    }

    #[test]
    fn a_switch_that_cannot_be_written_fails_the_release() {
        let (mut it, _) = Rollout::begin([web(0)].into(), TIMES, Mono(0));
        it.on(Mono(1), Event::Healthy(web(0)));
        let commands = it.on(Mono(2), Event::NotSwitched(crash()));
        assert_eq!(commands[0], Command::StopNew);
    }

    #[test]
    fn nothing_to_start_switches_at_once_and_nothing_old_is_done_at_once() {
        let (mut down, commands) = Rollout::begin(BTreeSet::new(), TIMES, Mono(0));
        assert_eq!(commands, [Command::Switch]);
        let old = vec![Old { serial: 9, routed: true }];
        assert_eq!(down.on(Mono(1), Event::Switched(old)), [Command::Drain(vec![9])]);
        let (mut first, _) = Rollout::begin([web(0)].into(), TIMES, Mono(0));
        first.on(Mono(1), Event::Healthy(web(0)));
        assert_eq!(first.on(Mono(2), Event::Switched(Vec::new())), [Command::Finish(Outcome::Done)]);
    }

    #[test]
    fn an_old_instance_that_dies_while_it_drains_is_not_waited_for() {
        let mut it = two();
        it.on(Mono(2), Event::Healthy(web(0)));
        it.on(Mono(2), Event::Healthy(web(1)));
        it.on(Mono(3), Event::Switched(old()));
        it.on(Mono(4), Event::Gone(1));
        it.on(Mono(4), Event::Gone(2));
        assert_eq!(it.on(Mono(5), Event::Drained), [Command::Finish(Outcome::Done)]);
    }
}
