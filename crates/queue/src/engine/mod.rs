//! The state of all tubes: no I/O, no clock, nothing of the wire.
//!
//! Time comes in as [`Now`]. What happens by itself (a client that waited gets a job, a lease runs out) is left in a list
//! that the caller empties with [`Engine::next_event`]. No operation looks at all tubes: a tube knows who waits for it,
//! and one alarm per tube, one lease per reserved job and one alarm per waiting client stand in ordered sets.

mod by_hand;
mod client;
mod death;
mod facts;
mod far;
mod flow;
mod groups;
mod hand_out;
mod job;
mod keys;
mod limits;
mod more;
mod rate;
mod retry;
mod row;
mod runs;
mod space;
mod table;
mod terms;
#[cfg(test)]
mod tests;
mod timers;
mod transitions;
mod tube;
mod whole;

use std::collections::{BTreeSet, HashMap, VecDeque};

use slab::Slab;
use stdx::clock::{Mono, Wall};
use wal::Lsn;

pub use by_hand::StateName;
use client::Client;
pub(crate) use client::{ClientId, Presence, WaitEnd};
use facts::FactsMut;
use groups::Groups;
pub(crate) use hand_out::Asked;
pub(crate) use job::{Counts, Facts, Job, JobState};
use keys::Keys;
pub(crate) use keys::{Window, scoped_key};
pub(crate) use limits::{Limits, Refused};
pub use more::{Attempt, AttemptEnd};
pub(crate) use more::{Dead, More, PutTerms, cut_reason};
pub(crate) use rate::{Rate, time_to_drain};
use space::Space;
pub(crate) use space::SpaceIx;
pub(crate) use table::Chunk;
use table::Jobs;
pub use tube::PauseNote;
pub(crate) use tube::Tube;
pub(crate) use tube::{Figures, Pause, ReadyKey, Totals, TubeIx};

use crate::names::{JobId, Namespace, TubeName};

/// Both clocks, read once per wake; the wall clock without its jumps ([`crate::steady`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Now {
    pub(crate) mono: Mono,
    pub(crate) wall: Wall,
}

/// What happened without the client in question asking for it just then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A waiting client got a job.
    Reserved { client: ClientId, job: JobId },
    /// A client's wait ended without one.
    WaitOver { client: ClientId, why: WaitEnd },
    /// A lease ran out.
    LeaseOver { job: JobId, by: ClientId, after: After },
    /// The next far jobs of a tube are wanted.
    Far { tube: TubeIx },
}

/// What became of a job whose lease ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// It is ready again.
    Ready,
    /// It waits first, as its tube's retry policy says.
    Delayed { until_ms: u64 },
    /// It was its last attempt.
    Buried,
}

/// The state.
pub(crate) struct Engine {
    pub(crate) limits: Limits,
    jobs: Jobs,
    tubes: Slab<Tube>,
    spaces: Vec<Space>,
    space_index: HashMap<Namespace, SpaceIx>,
    clients: Slab<Client>,
    /// Tubes that all clients together watch.
    watches: u64,
    /// Every reserved job by the end of its lease.
    leases: BTreeSet<(Mono, JobId)>,
    /// Every waiting client that does not wait for ever.
    wait_alarms: BTreeSet<(Mono, ClientId)>,
    /// Every tube that a delayed job or the end of a pause will change, in wall-clock milliseconds.
    tube_alarms: BTreeSet<(u64, TubeIx)>,
    /// Tubes whose rate lets the next job go then, where somebody waits for it.
    rate_alarms: BTreeSet<(Mono, TubeIx)>,
    /// Tubes with a limit of reservations, one of which has ended.
    freed: Vec<TubeIx>,
    keys: Keys,
    groups: Groups,
    dead: BTreeSet<JobId>,
    /// Jobs that are counted and not here.
    far: u64,
    events: VecDeque<Event>,
    /// The time of the wake that is being served: leases that begin by themselves count from it.
    pub(crate) now: Now,
    /// The wall clock is so much ahead of [`Now::wall`], since it was set.
    pub(crate) clock_ahead_ms: i64,
    bytes: u64,
    next_id: u64,
    next_turn: u64,
    /// While the log is read, a tube that falls empty is kept: its totals may be needed by what follows.
    keeps_empty_tubes: bool,
}

impl Engine {
    pub(crate) fn new(limits: Limits) -> Engine {
        let mut engine = Engine {
            limits,
            jobs: Jobs::default(),
            tubes: Slab::new(),
            spaces: Vec::new(),
            space_index: HashMap::new(),
            clients: Slab::new(),
            watches: 0,
            leases: BTreeSet::new(),
            wait_alarms: BTreeSet::new(),
            tube_alarms: BTreeSet::new(),
            rate_alarms: BTreeSet::new(),
            freed: Vec::new(),
            keys: Keys::default(),
            groups: Groups::default(),
            dead: BTreeSet::new(),
            far: 0,
            events: VecDeque::new(),
            now: Now::default(),
            clock_ahead_ms: 0,
            bytes: 0,
            next_id: 1,
            next_turn: 1,
            keeps_empty_tubes: true,
        };
        let shared = engine.space_ix(&Namespace::SHARED);
        assert_eq!(shared, SpaceIx::SHARED);
        engine
    }

    /// The next thing that happened by itself.
    pub(crate) fn next_event(&mut self) -> Option<Event> {
        self.offer_freed();
        self.events.pop_front()
    }

    /// The job as it is now.
    pub(crate) fn job(&self, id: JobId) -> Option<Job> {
        self.jobs.get(id)
    }

    /// What only some jobs have, if this one has any of it.
    pub(crate) fn facts(&self, id: JobId) -> Option<&Facts> {
        self.jobs.facts(id)
    }

    /// The same, to be changed; `None` when there is no such job.
    pub(crate) fn facts_mut(&mut self, id: JobId) -> Option<FactsMut<'_>> {
        self.jobs.facts_mut(id)
    }

    /// The job's counters.
    pub(crate) fn counts(&self, id: JobId) -> Counts {
        self.jobs.facts(id).map_or_else(Counts::default, |facts| facts.counts)
    }

    /// What must be on disk before the job may be handed out.
    pub(crate) fn delivery_lsn(&self, id: JobId) -> Lsn {
        let reserved = self.jobs.facts(id).map_or(Lsn(0), |facts| facts.reserved_lsn);
        self.jobs.get(id).map_or(reserved, |job| job.lsn.max(reserved))
    }

    /// Changes what is in none of the orders: where the body is, the newest record, the delay it was given.
    pub(crate) fn update(&mut self, id: JobId, change: impl FnOnce(&mut Job)) {
        self.jobs.update(id, |job| {
            let before = *job;
            change(job);
            let same = (job.tube, job.pri, job.state, job.body_len);
            assert_eq!(
                same,
                (before.tube, before.pri, before.state, before.body_len),
                "these have their own functions"
            );
        });
    }

    /// The job if a client of the namespace may see it.
    pub(crate) fn job_in(&self, space: SpaceIx, id: JobId) -> Option<Job> {
        self.jobs.get(id).filter(|job| self.tube(job.tube).space == space)
    }

    /// How many jobs there are in all tubes.
    pub(crate) fn jobs_len(&self) -> u64 {
        self.jobs.len() as u64 + self.far
    }

    /// The id that the next job gets.
    pub(crate) fn next_id(&self) -> JobId {
        JobId(self.next_id)
    }

    /// An id is used up by what never became a job, as beanstalkd does.
    pub(crate) fn skip_id(&mut self) {
        self.next_id += 1;
    }

    /// Ids up to this one have been given out.
    pub(crate) fn never_again(&mut self, id: JobId) {
        self.next_id = self.next_id.max(id.0 + 1);
    }

    pub(crate) fn tube(&self, ix: TubeIx) -> &Tube {
        &self.tubes[ix.0 as usize]
    }

    pub(crate) fn tube_mut(&mut self, ix: TubeIx) -> &mut Tube {
        &mut self.tubes[ix.0 as usize]
    }

    pub(crate) fn tubes(&self) -> impl Iterator<Item = &Tube> {
        self.tubes.iter().map(|(_, tube)| tube)
    }

    pub(crate) fn tubes_with_ix(&self) -> impl Iterator<Item = (TubeIx, &Tube)> {
        self.tubes.iter().map(|(ix, tube)| (TubeIx(ix as u32), tube))
    }

    pub(crate) fn tubes_len(&self) -> usize {
        self.tubes.len()
    }

    pub(crate) fn space(&self, ix: SpaceIx) -> &Space {
        &self.spaces[ix.0 as usize]
    }

    pub(crate) fn space_mut(&mut self, ix: SpaceIx) -> &mut Space {
        &mut self.spaces[ix.0 as usize]
    }

    pub(crate) fn spaces(&self) -> &[Space] {
        &self.spaces
    }

    pub(crate) fn client(&self, id: ClientId) -> &Client {
        &self.clients[id.0 as usize]
    }

    fn client_mut(&mut self, id: ClientId) -> &mut Client {
        &mut self.clients[id.0 as usize]
    }

    /// The namespace's place, new when it is met for the first time.
    pub(crate) fn space_ix(&mut self, name: &Namespace) -> SpaceIx {
        if let Some(&ix) = self.space_index.get(name) {
            return ix;
        }
        let ix = SpaceIx(u32::try_from(self.spaces.len()).expect("namespaces are few"));
        self.spaces.push(Space::new(name.clone()));
        self.space_index.insert(name.clone(), ix);
        self.tube_or_new(ix, TubeName::DEFAULT);
        ix
    }

    /// The namespace's place, if anybody was ever in it.
    pub(crate) fn find_space(&self, name: &Namespace) -> Option<SpaceIx> {
        self.space_index.get(name).copied()
    }

    pub(crate) fn find_tube(&self, space: SpaceIx, name: &str) -> Option<TubeIx> {
        self.space(space).tubes.get(name).copied()
    }

    /// The tube, made when it is missing.
    ///
    /// # Panics
    /// When the name is none: names are checked where they come in.
    pub(crate) fn tube_or_new(&mut self, space: SpaceIx, name: &str) -> TubeIx {
        if let Some(ix) = self.find_tube(space, name) {
            return ix;
        }
        let name = TubeName::new(name.as_bytes()).expect("the parser and the log let only names pass");
        let place = self.space(space).order.len() as u32;
        let config = self.space(space).configs.get(name.as_str()).unwrap_or(&self.limits.tube).clone();
        let ix = TubeIx(self.tubes.insert(Tube::new(space, name.clone(), place, config)) as u32);
        let space = self.space_mut(space);
        space.tubes.insert(name, ix);
        space.order.push(ix);
        ix
    }

    /// The tube, made when it is missing and there may be one more.
    pub(crate) fn tube_or_limit(&mut self, space: SpaceIx, name: &str) -> Result<TubeIx, Refused> {
        match self.find_tube(space, name) {
            Some(ix) => Ok(ix),
            None if self.tubes.len() >= self.limits.tubes_max as usize => Err(Refused::Tubes),
            None => Ok(self.tube_or_new(space, name)),
        }
    }

    /// Lets a tube go that nothing keeps.
    pub(crate) fn forget_if_empty(&mut self, ix: TubeIx) {
        if self.keeps_empty_tubes || !self.tubes.get(ix.0 as usize).is_some_and(Tube::is_forgotten) {
            return;
        }
        let tube = self.tubes.remove(ix.0 as usize);
        if let Some(alarm) = tube.alarm_ms {
            self.tube_alarms.remove(&(alarm, ix));
        }
        self.forget_rate_alarm(&tube, ix);
        let space = self.space_mut(tube.space);
        space.tubes.remove(tube.name.as_str());
        space.order.swap_remove(tube.place as usize);
        if let Some(&moved) = space.order.get(tube.place as usize) {
            self.tube_mut(moved).place = tube.place;
        }
    }

    /// A number that was not given before: the order of waits, burials and tubes.
    fn turn(&mut self) -> u64 {
        let turn = self.next_turn;
        self.next_turn += 1;
        turn
    }
}
