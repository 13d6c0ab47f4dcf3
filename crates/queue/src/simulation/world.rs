//! Disk, broker, committer and clients, one step after the other.

mod choose;
mod crash;
mod faults;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use stdx::clock::Clock;
use stdx::io::Io;
use stdx::rng::Rng;
use testkit::{FakeClock, FakeDisk};
use wal::{Batch, CommitError, Committed, Committer, Reserve};

use super::bugs::Bug;
use super::client::{DEAD, SimClient, TRIES, TUBES};
use super::memory::{Class, Memory};
use crate::broker::{Broker, Opened};
use crate::config::{Config, TubeConfig};
use crate::dead::DeadFilter;
use crate::durability::Durability;
use crate::engine::Now;
use crate::event::{NoSink, NoTokens};
use crate::names::Namespace;
use crate::serve::session::Budget;

const FOLDER: &str = "/queue";
const CLIENTS: usize = 5;
const STEPS: usize = 3000;
/// Leases last longer than any run, unless time is advanced by as much.
const TTR_S: u64 = 10_000;

/// What goes wrong in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Faults {
    PowerCuts,
    Errors,
    FullDisk,
}

pub(super) struct World<D: Io> {
    rng: Rng,
    faults: Faults,
    disk: FakeDisk,
    /// The same, perhaps with a bug in front of it.
    io: D,
    /// A bug that is not the disk's.
    bug: Option<Bug>,
    clock: FakeClock,
    queue: Queue<D>,
    clients: Vec<SimClient>,
    memory: Memory,
    puts: u64,
    /// Jobs come faster than they go, or the other way round.
    fills: bool,
    moved: u64,
    sent_far: u64,
    /// How often the disk was filled to its last byte.
    filled: u64,
    /// The power may be off already, so that bodies cannot be read.
    may_be_dark: bool,
}

/// What a run came to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Done {
    /// Jobs that compaction has moved.
    pub(super) moved: u64,
    /// Jobs that have left memory.
    pub(super) sent_far: u64,
    /// Times that the disk was filled to its last byte, and deletes went on.
    pub(super) filled: u64,
}

/// One life of the queue.
struct Queue<D: Io> {
    broker: Broker<D>,
    committer: Committer<D>,
    in_flight: Option<Batch>,
    is_over: bool,
}

/// As much as is wanted.
struct Boundless;

impl Budget for Boundless {
    fn take(&self, _bytes: usize) -> bool {
        true
    }

    fn give_back(&self, _bytes: usize) {}

    fn taken(&self) -> usize {
        0
    }
}

impl World<FakeDisk> {
    pub(super) fn new(seed: u64, faults: Faults) -> World<FakeDisk> {
        let disk = FakeDisk::new(seed);
        World::on(disk.clone(), disk, seed, faults)
    }
}

impl<D: Io> World<D> {
    pub(super) fn on(io: D, disk: FakeDisk, seed: u64, faults: Faults) -> World<D> {
        let mut queue = Queue::open(&io);
        let clients = (0..CLIENTS).map(|who| SimClient::new(queue.broker.connect(), who)).collect();
        let (rng, clock) = (Rng::with_seed(seed ^ 0x5eed), FakeClock::new());
        World {
            rng,
            faults,
            disk,
            io,
            bug: None,
            clock,
            queue,
            clients,
            memory: Memory::default(),
            puts: 0,
            fills: true,
            moved: 0,
            sent_far: 0,
            filled: 0,
            may_be_dark: false,
        }
    }

    pub(super) fn with(self, bug: Bug) -> World<D> {
        World { bug: Some(bug), ..self }
    }

    /// Returns what it came to.
    pub(super) fn run(mut self) -> Done {
        for step in 0..STEPS {
            self.fills = step / 200 % 2 == 0;
            match self.rng.u32(..100) {
                0..=59 => self.speak(),
                60..=92 => self.commit(),
                93..=94 => self.pass_time(),
                96 if self.rng.bool() => self.reconnect(),
                96 if self.rng.u32(..4) == 0 => self.replay_the_dead(),
                97 => self.plan_a_fault(),
                95 | 99 => self.checkpoint(),
                98 if self.faults == Faults::PowerCuts && self.rng.u32(..4) == 0 => self.crash(),
                98 if self.faults == Faults::FullDisk && self.rng.u32(..4) == 0 => self.fill_to_the_last_byte(),
                98 if self.faults == Faults::FullDisk => self.keep_house(),
                _ => {}
            }
            self.listen();
            if self.queue.is_over {
                self.crash();
            }
        }
        self.crash();
        Done { moved: self.moved, sent_far: self.sent_far, filled: self.filled }
    }

    fn now(&self) -> Now {
        Now { mono: self.clock.mono(), wall: self.clock.wall() }
    }

    /// An idle client says something.
    fn speak(&mut self) {
        let who = self.rng.usize(..CLIENTS);
        if self.clients[who].sent.is_some() {
            return;
        }
        let Some((asked, line)) = self.choose(who) else { return };
        let now = self.now();
        let sent = self.memory.sent(asked, now.wall.millis());
        let client = &mut self.clients[who];
        client.sent = Some(sent);
        client.session.input.push(line.as_bytes());
        client.session.advance(&mut self.queue.broker, &Boundless, now);
    }

    /// Somebody brings the dead back.
    fn replay_the_dead(&mut self) {
        let now = self.now();
        let filter = DeadFilter::default();
        self.queue.broker.replay(&Namespace::SHARED, &filter, 5, false, now);
        self.memory.anybody_may_have_moved();
    }

    /// The committer gets a batch, or is done with one.
    fn commit(&mut self) {
        let Queue { broker, committer, in_flight, is_over } = &mut self.queue;
        let Some(batch) = in_flight.take() else {
            *in_flight = if self.rng.u32(..10) == 0 { broker.next_batch_now() } else { broker.next_batch() };
            return;
        };
        if self.bug == Some(Bug::AcknowledgedBeforeCommit) {
            let (durable, records, bytes) = (batch.last_lsn(), batch.records(), batch.len_bytes());
            broker.committed(Committed { durable, records, bytes, reserve: Reserve::None, buffer: Vec::new() });
        }
        match committer.commit(batch) {
            Ok(committed) => {
                broker.committed(committed);
                *in_flight = broker.next_batch();
                if in_flight.is_none() && broker.is_drained() {
                    self.memory.all_on_disk();
                }
            }
            Err(CommitError::DiskFull { batch, .. }) => {
                broker.intake_mut().disk_full = true;
                *in_flight = Some(batch);
                // Somebody makes room.
                if self.rng.u32(..4) == 0 {
                    self.disk.set_capacity(None);
                }
            }
            Err(CommitError::Poisoned(cause)) => {
                broker.fail(&cause.to_string());
                *is_over = true;
            }
        }
    }

    /// A checkpoint that is due is written, or what came of the last one goes on.
    fn checkpoint(&mut self) {
        if self.rng.bool() && self.queue.broker.send_far() {
            return;
        }
        if let Some(mut due) = self.queue.broker.due_checkpoint() {
            match self.bug {
                Some(Bug::CheckpointAheadOfLog) => due.checkpoint.lsn.0 += 2,
                Some(Bug::KeysNotInCheckpoint) => due.checkpoint.keys.clear(),
                Some(Bug::FarJobsLeftOut) => due.checkpoint.leave_out_far_jobs(),
                Some(Bug::ChangedJobsGoFar) => self.queue.broker.forget_what_came_back(),
                _ => {}
            }
            self.queue.broker.checkpoint_written(due.write());
        }
    }

    fn pass_time(&mut self) {
        let by = [0, 1, 10, 100, 60_000][self.rng.usize(..5)];
        self.clock.advance(Duration::from_millis(by));
        if self.rng.u32(..40) == 0 {
            self.clock.advance(Duration::from_secs(TTR_S + 1));
            self.memory.leases_ran_out();
        }
        let now = self.now();
        while self.queue.broker.tick(now) {}
    }

    /// A client closes its connection and comes again.
    fn reconnect(&mut self) {
        let who = self.rng.usize(..CLIENTS);
        let now = self.now();
        self.queue.broker.disconnect(self.clients[who].session.client, now);
        for job in self.memory.jobs.values_mut().filter(|job| job.holder == Some(who)) {
            job.holder = None;
        }
        self.clients[who] = SimClient::new(self.queue.broker.connect(), who);
    }

    /// Clients take what may leave, and remember it.
    fn listen(&mut self) {
        let now = self.now();
        let fails = self.queue.is_over || self.may_be_dark;
        for who in 0..CLIENTS {
            let client = &mut self.clients[who];
            client.session.advance(&mut self.queue.broker, &Boundless, now);
            let id = client.session.client;
            let output = self.queue.broker.output(id).to_vec();
            self.queue.broker.sent(id, output.len());
            client.heard.extend_from_slice(&output);
            while let Some((head, body)) = client.next_answer() {
                let sent = client.sent.take().unwrap_or_else(|| panic!("{head:?} answers nothing"));
                self.memory.heard(who, &sent, &head, body.as_deref(), fails);
            }
        }
    }
}

impl<D: Io> Queue<D> {
    fn open(io: &D) -> Queue<D> {
        let config = Config {
            segment_bytes_max: 8192,
            job_bytes_max: 600,
            disk_reserve_bytes: 64 << 10,
            checkpoint_log_bytes: 12 << 10,
            // Delayed jobs are due in 50 seconds.
            horizon_ms: 20_000,
            ..Config::default()
        };
        let opened = Broker::open(io.clone(), config, Path::new(FOLDER), Arc::new(NoTokens), Arc::new(NoSink));
        let Opened { mut broker, committer, report } = opened.unwrap_or_else(|e| panic!("cannot open: {e}"));
        assert!(report.is_clean(), "{report:?}");
        let durability = |class| match class {
            Class::Disk => Durability::Disk,
            Class::Soon => Durability::Interval { ms: 50 },
            Class::Memory => Durability::Memory,
        };
        let mut tubes = BTreeMap::new();
        for (name, class) in TUBES {
            let mut config = TubeConfig { durability: durability(class), ..TubeConfig::default() };
            if name == TRIES {
                config = TubeConfig { attempts_max: 2, dead_letter: Some(DEAD.into()), ..config };
            }
            tubes.insert(name.into(), config);
        }
        broker.configure(&Namespace::SHARED, tubes);
        Queue { broker, committer, in_flight: None, is_over: false }
    }

    /// All that it knows, once what is due has happened.
    fn dump(&mut self, now: Now) -> Vec<String> {
        while self.broker.tick(now) {}
        self.broker.dump(now)
    }
}
