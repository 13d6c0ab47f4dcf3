//! What happens to single instances: start, health, end, restart.

use std::sync::Arc;

use health::{Approach, Health};
use runtime::Ticket;
use state::instances::{Known, NewInstance};
use stdx::clock::Mono;

use super::Side;
use super::fleet::{Crashed, Phase, Run};
use crate::prober::{self, Check, Surroundings};
use crate::regain::Killing;
use crate::ring::LastWords;
use crate::rollout::{Event, Failure, Place, Serial};
use crate::run::{self, Desk, Ending, Order, Report};
use crate::seams::Speaker;
use crate::spec::{Blueprint, Wanted};
use crate::supervise::Illness;
use tokio::sync::mpsc;

impl Side {
    /// Writes the row of a new instance, then starts it in a task.
    pub(super) async fn start_run(
        &mut self,
        place: &Place,
        blueprint: Arc<Blueprint>,
        restarts: u32,
    ) -> Result<Serial, Failure> {
        let node = self.node.clone();
        let failed = |e: state::StateError| Failure { code: e.code(), rule: e.to_string(), place: None };
        let uid = node.uid(&self.scope).await.map_err(failed)?;
        let port = match blueprint.needs_port(&place.process) {
            true => Some(node.ports.take().ok_or_else(ports_exhausted)?),
            false => None,
        };
        let new = NewInstance {
            scope: self.scope.clone(),
            process: place.process.clone(),
            release: blueprint.release,
            port,
            uid,
            sockets: node.runtime_folder.clone(),
            restarts,
            started: node.clock.wall(),
        };
        let record = match node.store.instance_create(new).await {
            Ok(record) => record,
            Err(error) => {
                port.into_iter().for_each(|port| node.ports.give_back(port));
                return Err(failed(error));
            }
        };
        let (orders, desk) =
            self.desk(Speaker { scope: self.scope.clone(), instance: record.id.clone(), release: record.release });
        let words = desk.words.clone();
        let wanted = Wanted { blueprint: blueprint.clone(), port, uid, socket: record.socket };
        self.tasks.spawn(run::start(desk, wanted));
        let serial = record.id.serial;
        let run = Run {
            id: record.id,
            blueprint,
            port,
            phase: Phase::Starting,
            health: Health::Unknown,
            reason: None,
            started: record.started,
            since: node.clock.mono(),
            restarts,
            ticket: None,
            words,
            orders,
            prober: None,
            illness: Illness::default(),
            unkillable: false,
        };
        self.runs.insert(serial, run);
        Ok(serial)
    }

    pub(super) fn desk(&self, speaker: Speaker) -> (mpsc::Sender<Order>, Desk) {
        let (sender, orders) = mpsc::channel(1);
        let desk = Desk {
            node: self.node.clone(),
            speaker: Arc::new(speaker),
            words: LastWords::default(),
            orders,
            news: self.news.clone(),
        };
        (sender, desk)
    }

    /// Tells an instance to end; one that was told is not told again.
    pub(super) async fn stop_run(&mut self, serial: Serial) {
        let Some(run) = self.runs.get_mut(&serial) else { return };
        if run.is_stopping() {
            return;
        }
        run.tell_to_stop();
        self.desire_stop(serial).await;
        self.publish();
    }

    pub(super) async fn on_report(&mut self, serial: Serial, report: Report) {
        match report {
            Report::Started(ticket) => self.on_started(serial, *ticket),
            Report::Killed { reason, killing } => self.on_killed(serial, reason, killing).await,
            Report::Healthy => self.on_healthy(serial).await,
            Report::Unhealthy { reason } => self.on_unhealthy(serial, reason).await,
            Report::Ended(ending) => self.on_ended(serial, ending).await,
        }
    }

    fn on_started(&mut self, serial: Serial, ticket: Ticket) {
        let around = self.surroundings();
        let Some(run) = self.runs.get_mut(&serial) else { return };
        run.ticket = Some(ticket);
        if !run.is_leaving() {
            run.prober = Some(prober::spawn(serial, check_of(run), run.health, around));
        }
    }

    /// It keeps its place until nothing of it lives, so that nothing runs twice. A change does not wait for what cannot
    /// be killed.
    async fn on_killed(&mut self, serial: Serial, reason: String, killing: Killing) {
        let Some(run) = self.runs.get_mut(&serial) else { return };
        run.prober = None;
        run.health = Health::Unknown;
        run.phase = Phase::Stopping;
        run.unkillable = killing == Killing::InVain;
        run.reason = Some(if run.unkillable { format!("{reason}; it does not die of SIGKILL") } else { reason });
        self.publish();
        if killing == Killing::InVain {
            self.on_event(Event::Gone(serial)).await;
        }
    }

    fn surroundings(&self) -> Surroundings {
        Surroundings {
            clock: self.node.clock.clone(),
            cache: self.node.health.clone(),
            news: self.news.clone(),
            suspicions: self.node.suspicions.clone(),
            traffic: self.node.publisher.traffic(),
        }
    }

    async fn on_healthy(&mut self, serial: Serial) {
        let Some(run) = self.runs.get_mut(&serial).filter(|run| !run.is_leaving()) else { return };
        // One that only has to last may have gone to the background: its end is on its way.
        if check_of(run) == Check::Settled && !run.lives() {
            return;
        }
        run.health = Health::Healthy;
        run.phase = Phase::Running;
        run.reason = None;
        run.illness.healthy();
        self.remember_health(serial, Known::Healthy).await;
        match self.starting_place(serial) {
            Some(place) => self.on_event(Event::Healthy(place)).await,
            None => self.publish(),
        }
    }

    async fn on_unhealthy(&mut self, serial: Serial, reason: String) {
        let now = self.node.clock.mono();
        let Some(run) = self.runs.get_mut(&serial).filter(|run| !run.is_leaving()) else { return };
        run.illness.unhealthy(now);
        // One that has never been healthy is still unknown to a node that adopts it.
        let known = if run.phase == Phase::Running { Known::Unhealthy } else { Known::Unknown };
        if known == Known::Unhealthy {
            tracing::warn!(scope = %self.scope, instance = %run.id, reason, "unhealthy");
        }
        run.health = Health::Unhealthy;
        run.reason = Some(reason);
        self.publish();
        self.remember_health(serial, known).await;
        if let Some(place) = self.starting_place(serial) {
            self.on_event(Event::Unhealthy(place)).await;
        }
    }

    /// An adopted instance starts as what it was; where this cannot be written it starts as what it was before.
    async fn remember_health(&self, serial: Serial, known: Known) {
        if let Err(error) = self.node.store.instance_health(serial, known).await {
            tracing::debug!(serial, %error, "the health of an instance is not written");
        }
    }

    /// The place of an instance that a change has started and that has no traffic yet.
    fn starting_place(&mut self, serial: Serial) -> Option<Place> {
        let change = self.change.as_mut().filter(|change| !change.has_switched())?;
        change.fleet.seat_of(serial).map(|(place, _)| place.clone())
    }

    async fn on_ended(&mut self, serial: Serial, ending: Ending) {
        // A change that has failed is over, so what still has a place in it was not told to go.
        if let Some(place) = self.starting_place(serial) {
            // While its last words can still be looked up.
            let failure = Failure { place: Some(place.clone()), ..ending.clone().into() };
            self.on_event(Event::Down(place, failure)).await;
        }
        let Some(run) = self.runs.remove(&serial) else { return };
        self.crashed(&run, &ending);
        self.publish();
        self.forget(&run).await;
        self.on_event(Event::Gone(serial)).await;
    }

    async fn forget(&self, run: &Run) {
        let serial = run.id.serial;
        self.node.health.remove(&serial);
        if let Some(port) = run.port {
            self.node.ports.give_back(port);
        }
        if let Err(error) = self.node.store.instance_gone(serial).await {
            tracing::warn!(serial, %error, "the row of an instance that has ended stays; the next start removes it");
        }
    }

    /// An instance of a serving place that ends has crashed, whatever its code says: nobody took the place away from it.
    /// One that was killed or restarted for its health ended for that reason; one that stops because the node does has not
    /// crashed.
    fn crashed(&mut self, run: &Run, ending: &Ending) {
        let now = self.node.clock.mono();
        let Some(fleet) = &mut self.serving else { return };
        let Some((_, seat)) = fleet.seat_of(run.id.serial) else { return };
        seat.run = None;
        if self.stopping.is_some() && run.is_stopping() {
            return;
        }
        let reason = run.reason.as_ref().filter(|_| run.is_stopping()).unwrap_or(&ending.text);
        let at = seat.crashes.crashed(run.since, now, &self.node.patience(), &mut self.rng);
        let crash_loop = seat.crashes.is_loop(now, &self.node.patience());
        seat.restart_at = Some(at);
        seat.crashed = Some(Crashed { id: run.id.clone(), started: run.started, reason: reason.clone() });
        tracing::warn!(scope = %self.scope, instance = %run.id, reason, again_in_ms = at.since(now).as_millis(), crash_loop, "crashed");
    }

    /// When the clock is of interest next.
    pub(super) fn due(&self) -> Option<Mono> {
        let restarts = self.serving.iter().flat_map(|fleet| fleet.seats.values()).filter_map(|seat| seat.restart_at);
        let restarts = restarts.filter(|_| self.stopping.is_none());
        let deadline = self.change.as_ref().and_then(super::change::Change::deadline);
        restarts.chain(self.ill().map(|(_, at)| at)).chain(deadline).min()
    }

    /// The instances of serving places that are unhealthy, and when their time is up.
    fn ill(&self) -> impl Iterator<Item = (Serial, Mono)> {
        let seats = self.serving.iter().flat_map(|fleet| fleet.seats.values());
        let seats = seats.filter(|_| self.stopping.is_none());
        seats.filter_map(|seat| seat.run.and_then(|serial| Some((serial, self.runs.get(&serial)?.restart_at()?))))
    }

    /// Stops what has been unhealthy for too long; its end is a crash, and a restart follows.
    pub(super) fn stop_ill(&mut self) {
        let now = self.node.clock.mono();
        let due: Vec<Serial> = self.ill().filter(|(_, at)| *at <= now).map(|(serial, _)| serial).collect();
        for serial in due {
            let Some(run) = self.runs.get_mut(&serial) else { continue };
            let said = run.reason.take().unwrap_or_default();
            tracing::warn!(scope = %self.scope, instance = %run.id, reason = said, "unhealthy for too long; it is restarted");
            run.reason = Some(format!("unhealthy for too long: {said}"));
            run.tell_to_stop();
        }
    }

    /// Starts again what has waited long enough.
    pub(super) async fn restart_due(&mut self) {
        let now = self.node.clock.mono();
        if self.stopping.is_some() {
            return;
        }
        let Some(fleet) = &self.serving else { return };
        let blueprint = fleet.blueprint.clone();
        let is_due = |at: Option<Mono>| at.is_some_and(|at| at <= now);
        let due: Vec<(Place, u32)> = fleet
            .seats
            .iter()
            .filter(|(_, seat)| seat.run.is_none() && is_due(seat.restart_at))
            .map(|(place, seat)| (place.clone(), seat.crashes.total()))
            .collect();
        for (place, restarts) in due {
            let started = self.start_run(&place, blueprint.clone(), restarts).await;
            let patience = self.node.patience();
            let Some(seat) = self.serving.as_mut().and_then(|fleet| fleet.seats.get_mut(&place)) else { continue };
            match started {
                Ok(serial) => {
                    seat.run = Some(serial);
                    seat.restart_at = None;
                }
                Err(failure) => {
                    tracing::error!(scope = %self.scope, process = %place.process, code = failure.code, failure.rule, "not restarted");
                    seat.restart_at = Some(seat.crashes.crashed(now, now, &patience, &mut self.rng));
                }
            }
        }
        self.publish();
    }

    /// What the last check of an instance said, in words.
    pub(super) fn last_answer(&self, run: &Run) -> Option<String> {
        let failure = self.node.health.get(&run.id.serial)?.failure?;
        Some(check_of(run).describe(&failure))
    }
}

/// How the health of an instance is told.
pub(super) fn check_of(run: &Run) -> Check {
    let health = run.blueprint.process(&run.id.process).and_then(|process| process.health.clone());
    match (run.addr(), health) {
        (Some(addr), Some(health)) => Check::Http(
            addr,
            Approach { http2: run.blueprint.plan.http2.contains(&run.id.process), ..Approach::default() },
            health,
        ),
        (Some(addr), None) => Check::Connect(addr),
        (None, _) => Check::Settled,
    }
}

fn ports_exhausted() -> Failure {
    Failure { code: "ports_exhausted", rule: "no port of deploy.port_range is free".into(), place: None }
}
