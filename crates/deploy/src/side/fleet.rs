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
use crate::supervise::Crashes;

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
}

impl Run {
    pub(crate) fn is_stopping(&self) -> bool {
        self.phase == Phase::Stopping
    }

    /// Whether it is on its way out, so that its end is no crash.
    pub(crate) fn is_leaving(&self) -> bool {
        matches!(self.phase, Phase::Draining | Phase::Stopping)
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> Option<SocketAddr> {
        self.port.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    pub(crate) fn is_routed(&self) -> bool {
        self.port.is_some() && self.blueprint.is_routed(&self.id.process)
    }

    /// From SIGTERM to SIGKILL.
    pub(crate) fn stop_timeout(&self) -> Duration {
        let process = self.blueprint.process(&self.id.process);
        Duration::from_millis(process.map_or(10_000, |process| process.stop_timeout_ms).into())
    }
}
