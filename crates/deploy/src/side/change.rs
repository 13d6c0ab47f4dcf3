//! A deploy, rollback or scale, from the request to the verdict. What to do is decided by [`Rollout`]; here it is done.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use control::error::ApiError;
use state::audit::AuditRow;
use state::releases::ReleaseState;
use stdx::clock::Mono;
use stdx::ids::{ProcessName, ReleaseNo};

use super::fleet::Fleet;
use super::{Side, WAITING_MAX};
use crate::errors::{busy, of_state, stopping};
use crate::progress::Reporter;
use crate::rollout::{Place, Rollout, Times};
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
    pub(super) rollout: Rollout,
    pub(super) progress: Reporter,
    pub(super) who: String,
    pub(super) begun: Mono,
}

/// What is different when the change has switched.
pub(super) enum Goal {
    /// Another release serves.
    Release(&'static str),
    /// The same release has other numbers of instances; these places go.
    Scale { counts: BTreeMap<ProcessName, u16>, removed: BTreeSet<Place> },
}

impl Goal {
    pub(super) fn verb(&self) -> &'static str {
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

    pub(super) fn target(&self) -> String {
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
        let times = Times { healthy_timeout: Duration::from_millis(self.node.config().healthy_timeout_ms.into()) };
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

    /// A change that has waited begins when the one before is over.
    pub(super) async fn begin_next(&mut self) {
        while self.change.is_none() && self.stopping.is_none() {
            let Some(request) = self.waiting.pop_front() else { return };
            self.begin(request).await;
        }
    }

    pub(super) async fn prune(&self) {
        let in_use = self.runs.values().map(|run| run.blueprint.release).collect();
        self.node.prune(&self.scope, in_use).await;
    }

    pub(super) async fn audit(&self, who: &str, what: &str, target: String, outcome: &str) {
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
