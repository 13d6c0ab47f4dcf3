//! The steps of a change: [`crate::rollout::Rollout`] decides, here it is done.

use std::collections::VecDeque;

use super::Side;
use super::change::Goal;
use super::fleet::{Fleet, Seat};
use crate::rollout::{Command, Event, Failure, Outcome, Place, Serial};

impl Side {
    /// Tells the rollout what has happened and does what it says.
    pub(super) async fn on_event(&mut self, event: Event) {
        let now = self.node.clock.mono();
        let Some(change) = &mut self.change else { return };
        let commands = change.rollout.on(now, event);
        self.carry_out(commands).await;
    }

    pub(super) async fn carry_out(&mut self, commands: Vec<Command>) {
        let mut left = VecDeque::from(commands);
        while let Some(command) = left.pop_front() {
            let Some(event) = self.command(command).await else { continue };
            let now = self.node.clock.mono();
            if let Some(change) = &mut self.change {
                left.extend(change.rollout.on(now, event));
            }
        }
    }

    /// Does one thing; what comes of it at once is returned.
    async fn command(&mut self, command: Command) -> Option<Event> {
        match command {
            Command::Start(place) => self.start_new(place).await,
            Command::Switch => {
                self.progress(5, "switch");
                Some(match self.switch().await {
                    Ok(old) => Event::Switched(old),
                    Err(failure) => Event::NotSwitched(failure),
                })
            }
            Command::Drain(old) => {
                self.progress(6, "drain and stop what served before");
                self.drain(&old);
                None
            }
            Command::StopOld(old) => {
                for serial in old {
                    self.stop_run(serial).await;
                }
                None
            }
            Command::StopNew => {
                self.stop_new().await;
                None
            }
            Command::Finish(outcome) => {
                self.finish(outcome).await;
                None
            }
        }
    }

    fn progress(&self, step: u8, what: &str) {
        if let Some(change) = &self.change {
            change.progress.phase(step, what);
        }
    }

    async fn start_new(&mut self, place: Place) -> Option<Event> {
        let blueprint = self.change.as_ref()?.fleet.blueprint.clone();
        match self.start_run(&place, blueprint, 0).await {
            Ok(serial) => {
                let seat = Seat { run: Some(serial), ..Seat::default() };
                self.change.as_mut()?.fleet.seats.insert(place, seat);
                None
            }
            Err(failure) => Some(Event::Down(place.clone(), Failure { place: Some(place), ..failure })),
        }
    }

    async fn stop_new(&mut self) {
        let new: Vec<Serial> = match &self.change {
            Some(change) => change.fleet.seats.values().filter_map(|seat| seat.run).collect(),
            None => return,
        };
        for serial in new {
            self.stop_run(serial).await;
        }
    }

    async fn finish(&mut self, outcome: Outcome) {
        let Some(change) = self.change.take() else { return };
        let release = change.fleet.blueprint.release;
        match outcome {
            Outcome::Done => {
                self.audit(&change.who, change.goal.verb(), change.target(), "ok").await;
                let took = self.node.clock.mono().since(change.begun);
                change.progress.done(release, u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
            }
            Outcome::Failed(failure) => {
                let words = self.words_of(&change.fleet, failure.place.as_ref());
                let failure = self.explained(&change.fleet, failure);
                let error = self.rejection(release, &failure, words);
                if let Goal::Release(_) = change.goal {
                    self.give_up(release, failure.rule.clone()).await;
                }
                self.audit(&change.who, change.goal.verb(), change.target(), &error.code).await;
                change.progress.failed(error);
            }
        }
        self.prune().await;
    }

    /// Adds to "not healthy within 30 s" what the last check said.
    fn explained(&self, fleet: &Fleet, failure: Failure) -> Failure {
        let run = failure.place.as_ref().and_then(|place| self.runs.get(&fleet.seats.get(place)?.run?));
        let Some(place) = &failure.place else { return failure };
        let rule = match run.filter(|_| failure.code == "release_unhealthy") {
            Some(run) => match self.last_answer(run) {
                Some(answer) => format!("{} is {}: {answer}", run.id, failure.rule),
                None => format!("{} is {}", run.id, failure.rule),
            },
            None => format!("{}: {}", place.process, failure.rule),
        };
        Failure { rule, ..failure }
    }

    /// The last lines of the instance that a failure is about.
    fn words_of(&self, fleet: &Fleet, place: Option<&Place>) -> Vec<String> {
        let seat = place.and_then(|place| fleet.seats.get(place));
        let run = seat.and_then(|seat| self.runs.get(&seat.run?));
        run.map(|run| run.words.lines()).unwrap_or_default()
    }
}
