//! The queue without sockets and threads: commands in, answers out, records between them.
//!
//! The rule that everything here serves: a change is applied in memory when its record is appended, but nothing that
//! depends on it leaves before the record is on disk. So every answer carries the LSN it waits for ([`outbox`]), and
//! [`Broker::committed`] lets go of what has become durable.

mod answers;
mod batch;
mod bodies;
mod by_hand;
mod checkpoints;
mod clock;
mod commands;
mod commit;
mod compact;
mod damage;
mod dead;
mod disk;
mod events;
mod far;
mod fate;
mod holders;
mod jobs;
mod memory;
mod open;
mod outbox;
mod parked;
mod pause;
mod promise;
mod pulse;
mod put;
mod report;
mod room;
#[cfg(test)]
mod seen;
mod stats;
mod ticks;

use std::path::PathBuf;
use std::sync::Arc;

use stdx::io::Io;
use wal::Reader;

use bodies::Bodies;
pub(crate) use by_hand::{Terms, WhyNot};
use checkpoints::Checkpoints;
pub(crate) use commands::Flow;
use compact::Compaction;
use disk::DiskRoom;
use events::Events;
use holders::Holders;
pub(crate) use open::{BrokerError, Opened};
use outbox::Outbox;
use parked::ParkedPuts;
use promise::IdsAhead;
use pulse::Pulse;
pub(crate) use stats::Identity;
use stats::Ops;

use crate::config::Config;
use crate::engine::{ClientId, Engine, Limits, Now, Presence, PutTerms, SpaceIx, scoped_key};
use crate::event::TokenSource;
use crate::log::checkpoint::Far;
use crate::log::journal::Journal;
use crate::names::Namespace;
use crate::proto::put_with::PutWith;
use crate::proto::reply::Reply;
use stdx::trace::TraceContext;

/// Wrong tokens that a connection may send before it is closed.
const AUTH_TRIES_MAX: u8 = 3;

/// Whether the plane takes jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Intake {
    /// Asked by the operator: `put` is answered DRAINING.
    pub(crate) draining: bool,
    /// The disk has less free than `disk_reserve_bytes`: `put` is answered OUT_OF_MEMORY.
    pub(crate) disk_low: bool,
    /// The log has no room for its next batch.
    pub(crate) disk_full: bool,
    /// The log has spent what it keeps for deletes on a full disk.
    pub(crate) reserve_spent: bool,
}

impl Intake {
    /// Whether a job that came now could not be stored, or only at the cost of deletes.
    pub(crate) fn lacks_space(self) -> bool {
        self.disk_low || self.disk_full || self.reserve_spent
    }
}

/// What a connection has said beforehand of its next `put`.
#[derive(Default)]
struct Aside {
    /// The trace that the job belongs to.
    trace: Option<TraceContext>,
    /// The periodic job, and the tick, that it is put for.
    tick: Option<(String, u64)>,
    /// What it asks for beside the usual.
    terms: Option<Box<PutTerms>>,
}

/// A connection, as far as it is no matter of the engine. It has the engine's id.
#[derive(Default)]
struct Conn {
    outbox: Outbox,
    aside: Aside,
    /// How it is called where attempts at a job are told.
    worker: Box<str>,
    wrong_tokens: u8,
    is_authorized: bool,
    /// How many jobs it waits for; 0 when it waits for none, or asked for no batch.
    batch: u32,
    /// It stands in the list of connections with output.
    is_dirty: bool,
    /// It stands in the list of connections that wait for a commit.
    is_awaiting: bool,
    /// Somebody is at its other end.
    is_open: bool,
}

/// The queue's state and its log.
pub(crate) struct Broker<D: Io> {
    config: Config,
    engine: Engine,
    journal: Journal,
    reader: Reader<D>,
    bodies: Bodies,
    conns: Vec<Conn>,
    /// Connections with output that may be sent.
    dirty: Vec<ClientId>,
    /// Connections with output that waits for a commit.
    awaiting: Vec<ClientId>,
    /// Connections that waited for a job and got an answer: what they sent meanwhile can be read on.
    resumed: Vec<ClientId>,
    intake: Intake,
    disk_room: DiskRoom,
    /// What may be appended and not be on its way to the disk before connections are read no further.
    behind_bytes: usize,
    /// Of the log; the configured ones are the most.
    segment_bytes_max: u64,
    failed: Option<Arc<str>>,
    tokens: Arc<dyn TokenSource>,
    events: Events,
    compaction: Compaction,
    ids_ahead: IdsAhead,
    /// The turn of the last change to a job that is in memory only.
    volatile_turn: u64,
    checkpoints: Checkpoints,
    far: Far<D>,
    near: far::Near,
    io: D,
    identity: Identity,
    ops: Vec<Ops>,
    body_scratch: Vec<u8>,
    parked: ParkedPuts,
    /// Bytes of all answers that wait.
    output_bytes: usize,
    /// Bytes set aside for bodies that are arriving.
    input_bytes: usize,
    holders: Holders,
    pub(crate) pulse: Pulse,
    /// The log's folder, for whoever copies it; while somebody does, no segment goes.
    log_folder: PathBuf,
    copies: u32,
    /// Connections answered since somebody last took the number.
    answered: u64,
}

impl<D: Io> Broker<D> {
    /// A new connection, in the shared namespace.
    pub(crate) fn connect(&mut self) -> ClientId {
        self.connect_in(SpaceIx::SHARED, Presence::Connection)
    }

    fn connect_in(&mut self, space: SpaceIx, presence: Presence) -> ClientId {
        let id = self.engine.enter(space, presence);
        let ix = id.0 as usize;
        if self.conns.len() <= ix {
            self.conns.resize_with(ix + 1, Conn::default);
        }
        self.conns[ix] = Conn { is_open: true, ..Conn::default() };
        id
    }

    /// What the connection is called where attempts at a job are told.
    pub(crate) fn name_worker(&mut self, id: ClientId, name: &str) {
        self.conns[id.0 as usize].worker = name.into();
    }

    /// What a `put` of the connection into the tube that it uses now asks for beside the usual; its trace is kept as that of
    /// `trace` is.
    pub(crate) fn terms_of(&mut self, id: ClientId, with: &PutWith<'_>, now: Now) -> Option<Box<PutTerms>> {
        const WINDOW_S: u32 = 300;
        let tube = self.engine.client(id).used;
        let tube = self.engine.tube(tube).name.as_str();
        let window_ms = u64::from(with.window_s.unwrap_or(WINDOW_S)) * 1_000;
        let terms = PutTerms {
            key: with.key.map(|key| scoped_key(tube, key)),
            key_until_ms: if with.key.is_some() { now.wall.millis().saturating_add(window_ms) } else { 0 },
            unique: with.unique.map(|key| scoped_key(tube, key)),
            order: with.order.map(Into::into),
            attempts_max: with.attempts_max,
            retry_delay_ms: with.retry_delay_ms,
        };
        let conn = &mut self.conns[id.0 as usize];
        conn.aside.trace = with.trace.or(conn.aside.trace);
        (terms != PutTerms::default()).then(|| Box::new(terms))
    }

    /// The connection's next `put` asks for this.
    pub(crate) fn set_terms(&mut self, id: ClientId, terms: Option<Box<PutTerms>>) {
        self.conns[id.0 as usize].aside.terms = terms;
    }

    /// The connection is gone; its jobs are ready again.
    pub(crate) fn disconnect(&mut self, id: ClientId, now: Now) {
        self.engine.now = now;
        let conn = std::mem::take(&mut self.conns[id.0 as usize]);
        self.output_bytes -= conn.outbox.len();
        if conn.is_dirty {
            self.dirty.retain(|&other| other != id);
        }
        if conn.is_awaiting {
            self.awaiting.retain(|&other| other != id);
        }
        self.unpark(id);
        self.engine.leave(id);
        self.after_engine(now);
    }

    /// A waiting connection was closed in one direction: it gets TIMED_OUT, or OUT_OF_MEMORY when it waited for room. Says
    /// whether it waited.
    pub(crate) fn half_closed(&mut self, id: ClientId) -> bool {
        if self.refuse_parked(id) {
            return true;
        }
        let waited = self.engine.stop_waiting(id);
        if waited {
            self.take_batch(id);
            self.answer(id, Reply::TimedOut, self.journal.newest());
        }
        waited
    }

    /// Lets everything happen that is due. Says whether more is due at once.
    pub(crate) fn tick(&mut self, now: Now) -> bool {
        const STEPS_MAX: usize = 2_000;
        self.journal.want_due(now.mono);
        let more = self.failed.is_none() && self.engine.tick(now, STEPS_MAX);
        self.after_engine(now);
        if self.near.is_empty() {
            return more;
        }
        // What is due of them is so at the next call.
        self.bring_near();
        self.failed.is_none()
    }

    /// How long nothing will happen by itself.
    pub(crate) fn idle_for(&self, now: Now) -> Option<std::time::Duration> {
        if self.failed.is_some() {
            return None;
        }
        let due = self.journal.due().map(|by| by.since(now.mono));
        self.engine.idle_for(now).into_iter().chain(due).min()
    }

    /// Whether the connection waits for a job, or for room for one: nothing it sends is looked at until it has an answer.
    pub(crate) fn is_waiting(&self, id: ClientId) -> bool {
        self.engine.client(id).wait.is_some() || (!self.parked.is_empty() && self.parked.has(id))
    }

    /// Connections whose wait ended since the last call.
    pub(crate) fn take_resumed(&mut self) -> Vec<ClientId> {
        std::mem::take(&mut self.resumed)
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn intake_mut(&mut self) -> &mut Intake {
        &mut self.intake
    }

    /// Takes over the tubes of a namespace from its manifest.
    pub(crate) fn configure(
        &mut self,
        namespace: &Namespace,
        tubes: std::collections::BTreeMap<String, crate::config::TubeConfig>,
    ) {
        let space = self.engine.space_ix(namespace);
        self.engine.configure(space, tubes);
    }

    /// Takes over the limits of a configuration that was read again.
    pub(crate) fn set_limits(&mut self, config: &Config) {
        self.config.memory_bytes_max = config.memory_bytes_max;
        self.engine.set_limits(Limits::from(config));
    }
}
