//! A deploy, rollback or scale, from the request to the verdict. What to do is decided by [`Rollout`]; here it is done.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use control::error::ApiError;
use state::audit::AuditRow;
use state::releases::ReleaseState;
use stdx::clock::Mono;
use stdx::ids::{ProcessName, ReleaseNo};

use super::fleet::{Fleet, Seat};
use super::{Side, WAITING_MAX};
use crate::errors::{busy, of_state, stopping};
use crate::progress::Reporter;
use crate::rollout::{Command, Event, Failure, Outcome, Place, Rollout, Serial, Times};
use crate::seams::Plan;
use crate::spec::Blueprint;
use crate::staging::Staged;

/// What somebody wants changed.
#[derive(Debug)]
pub(crate) enum Want {
    /// This source, as a new release.
    Deploy(Box<(Staged, Plan)>),
    /// An earlier release's content, as a new release; absent: the one before.
    Rollback(Option<ReleaseNo>),
    /// Other numbers of instances.
    Scale(BTreeMap<ProcessName, u16>),
}

impl Want {
    fn verb(&self) -> &'static str {
        match self {
            Want::Deploy(_) => "deploy",
            Want::Rollback(_) => "rollback",
            Want::Scale(_) => "scale",
        }
    }
}

/// A change that is asked for.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) want: Want,
    pub(crate) progress: Reporter,
    /// Who asks.
    pub(crate) who: String,
    /// Whether to wait for a change that is under way, instead of being refused.
    pub(crate) wait: bool,
}

/// A change that is under way.
pub(super) struct Change {
    pub(super) number: u64,
    pub(super) goal: Goal,
    /// The places that are started.
    pub(super) fleet: Fleet,
    rollout: Rollout,
    progress: Reporter,
    who: String,
    begun: Mono,
}

/// What is different when the change has switched.
pub(super) enum Goal {
    /// Another release serves.
    Release(&'static str),
    /// The same release has other numbers of instances; these places go.
    Scale { counts: BTreeMap<ProcessName, u16>, removed: BTreeSet<Place> },
}

impl Goal {
    fn verb(&self) -> &'static str {
        match self {
            Goal::Release(verb) => verb,
            Goal::Scale { .. } => "scale",
        }
    }
}

impl Change {
    /// Whether the new instances have the traffic.
    pub(super) fn has_switched(&self) -> bool {
        self.rollout.has_switched()
    }

    pub(super) fn deadline(&self) -> Option<Mono> {
        self.rollout.deadline()
    }

    fn target(&self) -> String {
        match &self.goal {
            Goal::Release(_) => self.fleet.blueprint.release.to_string(),
            Goal::Scale { counts, .. } => scale_text(counts),
        }
    }
}

fn scale_text(counts: &BTreeMap<ProcessName, u16>) -> String {
    counts.iter().map(|(process, n)| format!("{process}={n}")).collect::<Vec<_>>().join(" ")
}

impl Side {
    /// Begins a change, lets it wait, or refuses it.
    pub(super) async fn on_request(&mut self, request: Request) {
        if self.stopping.is_some() {
            request.progress.failed(stopping());
            return;
        }
        match &self.change {
            Some(_) if request.wait && self.waiting.len() < WAITING_MAX => self.waiting.push_back(request),
            Some(change) => {
                let error = busy(&self.scope, change.goal.verb());
                self.audit(&request.who, request.want.verb(), String::new(), &error.code).await;
                request.progress.failed(error);
            }
            None => self.begin(request).await,
        }
    }

    async fn begin(&mut self, request: Request) {
        let Request { want, progress, who, .. } = request;
        let verb = want.verb();
        let planned = match want {
            Want::Deploy(parts) => {
                let (staged, plan) = *parts;
                self.begin_release(verb, self.plan_deploy(staged, plan).await).await
            }
            Want::Rollback(to) => {
                progress.phase(1, "find the release");
                self.begin_release(verb, self.plan_rollback(to).await).await
            }
            Want::Scale(counts) => self.plan_scale(counts),
        };
        match planned {
            Ok((goal, blueprint, places)) => self.roll_out(goal, blueprint, places, progress, who).await,
            Err(error) => {
                self.audit(&who, verb, String::new(), &error.code).await;
                progress.failed(error);
            }
        }
    }

    async fn begin_release(
        &self,
        verb: &'static str,
        planned: Result<Arc<Blueprint>, ApiError>,
    ) -> Result<(Goal, Arc<Blueprint>, BTreeSet<Place>), ApiError> {
        let blueprint = planned?;
        let starting = async {
            let places = self.wanted(&blueprint.plan).await?;
            self.check_count(places.len())?;
            let marked =
                self.node.store.release_mark(self.scope.clone(), blueprint.release, ReleaseState::Starting, None);
            marked.await.map_err(|e| of_state(&e))?;
            Ok(places)
        };
        match starting.await {
            Ok(places) => Ok((Goal::Release(verb), blueprint, places)),
            Err(error) => {
                let error: ApiError = error;
                self.give_up(blueprint.release, error.message.clone()).await;
                Err(error)
            }
        }
    }

    fn plan_scale(
        &self,
        counts: BTreeMap<ProcessName, u16>,
    ) -> Result<(Goal, Arc<Blueprint>, BTreeSet<Place>), ApiError> {
        let fleet = self.check_scale(&counts)?;
        let is_counted = |place: &&Place| counts.contains_key(&place.process);
        let wanted: BTreeSet<Place> = counts
            .iter()
            .flat_map(|(process, n)| (0..*n).map(|index| Place { process: process.clone(), index }))
            .collect();
        let present: BTreeSet<Place> = fleet.seats.keys().filter(is_counted).cloned().collect();
        let added: BTreeSet<Place> = wanted.difference(&present).cloned().collect();
        self.check_count(fleet.seats.len() + added.len())?;
        let removed = present.difference(&wanted).cloned().collect();
        Ok((Goal::Scale { counts, removed }, fleet.blueprint.clone(), added))
    }

    async fn roll_out(
        &mut self,
        goal: Goal,
        blueprint: Arc<Blueprint>,
        places: BTreeSet<Place>,
        progress: Reporter,
        who: String,
    ) {
        let now = self.node.clock.mono();
        let times = Times { healthy_timeout: Duration::from_millis(self.node.config.healthy_timeout_ms.into()) };
        progress.phase(3, format!("start {} of {}", count_text(&places), blueprint.release));
        let (rollout, commands) = Rollout::begin(places, times, now);
        self.changes += 1;
        let number = self.changes;
        self.change = Some(Change { number, goal, fleet: Fleet::new(blueprint), rollout, progress, who, begun: now });
        self.carry_out(commands).await;
        if let Some(change) = self.change.as_ref().filter(|change| !change.has_switched()) {
            change.progress.phase(4, "wait until they are healthy");
        }
    }

    /// Tells the rollout what has happened and does what it says.
    pub(super) async fn on_event(&mut self, event: Event) {
        let now = self.node.clock.mono();
        let Some(change) = &mut self.change else { return };
        let commands = change.rollout.on(now, event);
        self.carry_out(commands).await;
    }

    async fn carry_out(&mut self, commands: Vec<Command>) {
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

    /// A change that has waited begins when the one before is over.
    pub(super) async fn begin_next(&mut self) {
        while self.change.is_none() && self.stopping.is_none() {
            let Some(request) = self.waiting.pop_front() else { return };
            self.begin(request).await;
        }
    }

    async fn prune(&self) {
        let in_use = self.runs.values().map(|run| run.blueprint.release).collect();
        self.node.prune(&self.scope, in_use).await;
    }

    async fn audit(&self, who: &str, what: &str, target: String, outcome: &str) {
        let row = AuditRow {
            time: self.node.clock.wall(),
            who: who.into(),
            what: what.into(),
            scope: Some(self.scope.clone()),
            target,
            outcome: outcome.into(),
        };
        if let Err(error) = self.node.store.audit(row).await {
            tracing::error!(scope = %self.scope, what, %error, "the audit row is not written");
        }
    }
}

/// `2 web, 1 worker`
fn count_text(places: &BTreeSet<Place>) -> String {
    let mut counts: BTreeMap<&ProcessName, u16> = BTreeMap::new();
    for place in places {
        *counts.entry(&place.process).or_default() += 1;
    }
    match counts.len() {
        0 => "nothing".into(),
        _ => counts.iter().map(|(process, n)| format!("{n} {process}")).collect::<Vec<_>>().join(", "),
    }
}
