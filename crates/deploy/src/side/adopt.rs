//! The start of a node that finds instances of an earlier one: the same processes serve again, nothing is started twice,
//! what is missing is started, what has no place is stopped.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::join_all;
use health::Health;
use runtime::Ticket;
use state::StateError;
use state::apps::App;
use state::instances::{Desired, InstanceRecord, Known};
use state::releases::ReleaseState;
use stdx::ids::ReleaseNo;
use tokio::sync::oneshot;

use super::Side;
use super::fleet::{Fleet, Phase, Run, Seat};
use super::plan::places;
use crate::regain::{self, Trail};
use crate::rollout::{Place, Serial};
use crate::run::{self, Desk};
use crate::seams::{Plan, Speaker};
use crate::spec::Blueprint;
use crate::supervise::{Crashes, Illness};

/// What the store knows of an application when the node starts.
pub(crate) struct Found {
    pub(crate) app: App,
    pub(crate) instances: Vec<InstanceRecord>,
    /// Told when all have been adopted and the table is published.
    pub(crate) ready: oneshot::Sender<()>,
}

const UNHEALTHY_BEFORE: &str = "it was unhealthy before the node restarted";
const INTERRUPTED: &str = "the node stopped while it was being deployed";

impl Side {
    /// Takes up what an earlier node has left.
    pub(super) async fn recover(&mut self, found: Found) {
        if let Err(error) = self.try_recover(found.app, found.instances).await {
            self.node.status.fail(format!("{}: {error}; its instances run on, unwatched", self.scope));
        }
        // Nobody waits any more when the node has given up its start.
        found.ready.send(()).ok();
    }

    async fn try_recover(&mut self, app: App, records: Vec<InstanceRecord>) -> Result<(), StateError> {
        let node = self.node.clone();
        self.fail_interrupted().await?;
        let (releases, scope) = (node.releases.clone(), self.scope.clone());
        if let Err(error) = tokio::task::spawn_blocking(move || releases.sweep_uploads(&scope)).await {
            tracing::error!(%error, "the sweep of old uploads panicked");
        }
        if let Some(no) = app.current {
            self.serving = self.serving_fleet(no).await?;
        }
        for (record, trail, found) in join_all(records.into_iter().map(find)).await {
            match found {
                regain::Found::Running(instance) => {
                    if record.ticket.is_none() {
                        node.store.instance_started(record.id.serial, ticket_text(&instance.ticket)?).await?;
                    }
                    let desk = self.take_up(record, Some(&instance.ticket)).await?;
                    self.tasks.spawn(run::adopted(desk, *instance));
                }
                regain::Found::Silent(_) | regain::Found::Orphaned => {
                    let serial = record.id.serial;
                    let desk = self.take_up(record, trail.ticket.as_ref()).await?;
                    self.runs.entry(serial).and_modify(Run::doubt);
                    self.tasks.spawn(run::lost(desk, trail));
                }
                regain::Found::Gone(_) => {
                    record.port.into_iter().for_each(|port| node.ports.give_back(port));
                    node.store.instance_gone(record.id.serial).await?;
                }
            }
        }
        self.watch_dependencies().await;
        self.stop_without_place().await;
        self.fill_places();
        self.restart_due().await;
        self.publish();
        Ok(())
    }

    async fn fail_interrupted(&self) -> Result<(), StateError> {
        for release in self.node.store.releases(self.scope.clone()).await? {
            if matches!(release.state, ReleaseState::Preparing | ReleaseState::Starting) {
                let reason = Some(INTERRUPTED.to_string());
                self.node.store.release_mark(self.scope.clone(), release.no, ReleaseState::Failed, reason).await?;
            }
        }
        Ok(())
    }

    /// The serving release with its places, still empty.
    async fn serving_fleet(&self, no: ReleaseNo) -> Result<Option<Fleet>, StateError> {
        let Some(release) = self.node.store.release(self.scope.clone(), no).await? else {
            return Err(StateError::NotFound(format!("serving release {no}")));
        };
        let plan = self.restore(release.content.manifest.clone()).await;
        let plan = plan.map_err(|error| StateError::Malformed { what: "resolved manifest", found: error.message })?;
        let scale = self.node.store.scale(self.scope.clone()).await?;
        let wanted = places(&plan, &scale);
        let mut fleet = Fleet::new(self.blueprint(release, plan));
        fleet.seats.extend(wanted.into_iter().map(|place| (place, Seat::default())));
        Ok(Some(fleet))
    }

    /// Takes up one instance, in a place where it has one. Without a connection it has its place all the same.
    async fn take_up(&mut self, record: InstanceRecord, ticket: Option<&Ticket>) -> Result<Desk, StateError> {
        let serial = record.id.serial;
        let place = self.free_place(&record);
        let Some(blueprint) = self.blueprint_of(&record).await? else {
            return Err(StateError::NotFound(format!("release {} of instance {}", record.release, record.id)));
        };
        if let (Some(place), Some(fleet)) = (&place, &mut self.serving) {
            let crashes = Crashes::remembered(record.restarts);
            fleet.seats.insert(place.clone(), Seat { run: Some(serial), crashes, ..Seat::default() });
        }
        // One whose application has died meanwhile is still there to say how; it gets no requests until then.
        let lives = |ticket: &Ticket| runtime::procs::lives(ticket.child_pid, ticket.child_start);
        let health = match record.health {
            _ if !ticket.is_some_and(lives) => Health::Unknown,
            Known::Unknown => Health::Unknown,
            Known::Healthy => Health::Healthy,
            Known::Unhealthy => Health::Unhealthy,
        };
        let mut illness = Illness::default();
        if health == Health::Unhealthy {
            illness.unhealthy(self.node.clock.mono());
        }
        let speaker = Speaker { scope: self.scope.clone(), instance: record.id.clone(), release: record.release };
        let (orders, desk) = self.desk(speaker);
        let run = Run {
            id: record.id,
            blueprint,
            port: record.port,
            phase: if health == Health::Unknown { Phase::Starting } else { Phase::Running },
            health,
            reason: (health == Health::Unhealthy).then(|| UNHEALTHY_BEFORE.into()),
            started: record.started,
            since: self.node.clock.mono(),
            restarts: record.restarts,
            ticket: ticket.cloned(),
            words: desk.words.clone(),
            orders,
            prober: None,
            illness,
            unkillable: false,
        };
        tracing::info!(scope = %self.scope, instance = %run.id, pid = ticket.map(|ticket| ticket.child_pid), "adopted");
        self.runs.insert(serial, run);
        Ok(desk)
    }

    /// A place for an instance of the serving release that is meant to run.
    fn free_place(&self, record: &InstanceRecord) -> Option<Place> {
        let fleet = self.serving.as_ref()?;
        if record.release != fleet.blueprint.release || record.desired == Desired::Stop {
            return None;
        }
        let mut free = fleet.seats.iter().filter(|(_, seat)| seat.run.is_none());
        free.find(|(place, _)| place.process == record.id.process).map(|(place, _)| place.clone())
    }

    async fn blueprint_of(&self, record: &InstanceRecord) -> Result<Option<Arc<Blueprint>>, StateError> {
        if let Some(fleet) = self.serving.as_ref().filter(|fleet| fleet.blueprint.release == record.release) {
            return Ok(Some(fleet.blueprint.clone()));
        }
        let release = self.node.store.release(self.scope.clone(), record.release).await?;
        let Some(release) = release else { return Ok(None) };
        let plan = self.restore(release.content.manifest.clone()).await;
        let plan = plan.unwrap_or_else(|_| self.nothing_known());
        Ok(Some(self.blueprint(release, plan)))
    }

    /// The plan of an instance that is only to be stopped and whose manifest cannot be read: the usual times hold.
    fn nothing_known(&self) -> Plan {
        Plan {
            app: self.scope.app.clone(),
            owner: None,
            processes: Default::default(),
            http2: Default::default(),
            dependencies: Default::default(),
            routed: BTreeSet::new(),
            env: Default::default(),
            secrets: BTreeSet::new(),
            resolved_schema: 0,
            resolved: String::new(),
        }
    }

    async fn stop_without_place(&mut self) {
        let has_place = |serial: &Serial| self.serving.as_ref().is_some_and(|fleet| fleet.has(*serial));
        let homeless: Vec<Serial> = self.runs.keys().filter(|serial| !has_place(serial)).copied().collect();
        for serial in homeless {
            self.stop_run(serial).await;
        }
    }

    /// Places without an instance are filled at once.
    fn fill_places(&mut self) {
        let now = self.node.clock.mono();
        let seats = self.serving.iter_mut().flat_map(|fleet| fleet.seats.values_mut());
        seats.filter(|seat| seat.run.is_none()).for_each(|seat| seat.restart_at = Some(now));
    }
}

async fn find(record: InstanceRecord) -> (InstanceRecord, Trail, regain::Found) {
    let ticket = record.ticket.as_deref().and_then(|json| serde_json::from_str::<Ticket>(json).ok());
    let trail = Trail { socket: record.socket.clone(), ticket };
    let found = trail.look().await;
    (record, trail, found)
}

fn ticket_text(ticket: &Ticket) -> Result<String, StateError> {
    serde_json::to_string(ticket).map_err(|e| StateError::Malformed { what: "ticket", found: e.to_string() })
}
