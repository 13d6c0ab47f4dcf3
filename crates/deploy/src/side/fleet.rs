//! The values of a side: a fleet is a release's places, a place has a crash history and at most one run.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use health::Health;
use runtime::Ticket;
use stdx::clock::{Mono, Wall};
use stdx::ids::InstanceId;
use tokio::sync::mpsc;

use crate::prober::Prober;
use crate::ring::LastWords;
use crate::rollout::{Place, Serial};
use crate::run::Order;
use crate::spec::Blueprint;
use crate::supervise::{Crashes, Illness};

/// A release with its places.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) blueprint: Arc<Blueprint>,
    pub(crate) seats: BTreeMap<Place, Seat>,
}

impl Fleet {
    pub(crate) fn new(blueprint: Arc<Blueprint>) -> Fleet {
        Fleet { blueprint, seats: BTreeMap::new() }
    }

    /// The place that this run has.
    pub(crate) fn seat_of(&mut self, serial: Serial) -> Option<(&Place, &mut Seat)> {
        self.seats.iter_mut().find(|(_, seat)| seat.run == Some(serial))
    }

    pub(crate) fn has(&self, serial: Serial) -> bool {
        self.seats.values().any(|seat| seat.run == Some(serial))
    }
}

/// One place of a release.
#[derive(Debug, Default)]
pub(crate) struct Seat {
    /// What runs there.
    pub(crate) run: Option<Serial>,
    pub(crate) crashes: Crashes,
    /// When to start again, while nothing runs there.
    pub(crate) restart_at: Option<Mono>,
    /// The run that crashed last and why, for `ps`.
    pub(crate) crashed: Option<Crashed>,
}

/// A run that has crashed.
#[derive(Clone, Debug)]
pub(crate) struct Crashed {
    pub(crate) id: InstanceId,
    pub(crate) started: Wall,
    pub(crate) reason: String,
}

/// Where a run is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It has not been healthy yet.
    Starting,
    /// It has.
    Running,
    /// It finishes what it has and gets no more.
    Draining,
    /// It was told to end.
    Stopping,
}

/// One instance with its processes.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) id: InstanceId,
    pub(crate) blueprint: Arc<Blueprint>,
    pub(crate) port: Option<u16>,
    pub(crate) phase: Phase,
    pub(crate) health: Health,
    /// Why it is not healthy, in words.
    pub(crate) reason: Option<String>,
    pub(crate) started: Wall,
    pub(crate) since: Mono,
    pub(crate) restarts: u32,
    pub(crate) ticket: Option<Ticket>,
    pub(crate) words: LastWords,
    pub(crate) orders: mpsc::Sender<Order>,
    pub(crate) prober: Option<Prober>,
    /// Since when it cannot take requests.
    pub(crate) illness: Illness,
    /// It does not die of SIGKILL: it keeps its place, and nobody waits for it.
    pub(crate) unkillable: bool,
}

impl Run {
    pub(crate) fn is_stopping(&self) -> bool {
        self.phase == Phase::Stopping
    }

    /// Whether it is on its way out, so that its end is no crash.
    pub(crate) fn is_leaving(&self) -> bool {
        matches!(self.phase, Phase::Draining | Phase::Stopping)
    }

    /// Whether the application's first process is there.
    pub(crate) fn lives(&self) -> bool {
        self.ticket.as_ref().is_some_and(|ticket| runtime::procs::lives(ticket.child_pid, ticket.child_start))
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> Option<SocketAddr> {
        self.port.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    pub(crate) fn is_routed(&self) -> bool {
        self.port.is_some() && self.blueprint.is_routed(&self.id.process)
    }

    /// Its init does not answer (yet): it gets no requests until it does.
    pub(crate) fn doubt(&mut self) {
        self.phase = Phase::Starting;
        self.health = Health::Unknown;
        self.reason = Some("its init does not answer".into());
    }

    /// SIGTERM now, SIGKILL later; it gets no requests from the next table on.
    pub(crate) fn tell_to_stop(&mut self) {
        self.phase = Phase::Stopping;
        self.prober = None;
        if self.orders.try_send(Order::Stop(self.stop_timeout())).is_err() {
            tracing::debug!(instance = %self.id, "an instance that was to be stopped has ended by itself");
        }
    }

    /// When it is restarted unless it gets well.
    pub(crate) fn restart_at(&self) -> Option<Mono> {
        let process = self.blueprint.process(&self.id.process);
        let health = process.and_then(|process| process.health.clone()).unwrap_or_default();
        let after = Duration::from_millis(health.unhealthy_restart_after_ms.into());
        self.illness.restart_at((!after.is_zero()).then_some(after)).filter(|_| !self.is_leaving())
    }

    /// From SIGTERM to SIGKILL.
    pub(crate) fn stop_timeout(&self) -> Duration {
        let process = self.blueprint.process(&self.id.process);
        Duration::from_millis(process.map_or(10_000, |process| process.stop_timeout_ms).into())
    }
}
