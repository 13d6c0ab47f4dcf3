//! A connection as the engine knows it: which tubes it uses and watches, what it holds, whether it waits.

use std::collections::BTreeSet;

use stdx::clock::Mono;

use super::space::SpaceIx;
use super::tube::TubeIx;
use super::{Engine, Refused};
use crate::names::{JobId, TubeName};

/// A connection's place in the engine; given again after it left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ClientId(pub(crate) u32);

/// A client's wait for a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    /// Its place in the rotation.
    pub(crate) turn: u64,
    /// When it ends without a job, and why it does.
    pub(crate) alarm: Option<(Mono, WaitEnd)>,
}

/// Why a wait ends without a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum WaitEnd {
    /// The time that the client was ready to wait is over.
    TimedOut,
    /// A job that the client holds has less than a second left.
    DeadlineSoon,
}

/// What a client is to the figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It has a socket, and counts.
    Connection,
    /// It is somebody within the process.
    Visit,
}

/// One client.
pub(crate) struct Client {
    pub(crate) space: SpaceIx,
    presence: Presence,
    pub(crate) used: TubeIx,
    /// In the order of `list-tubes-watched`.
    pub(crate) watched: Vec<TubeIx>,
    /// Its jobs by the end of their leases.
    pub(crate) held: BTreeSet<(Mono, JobId)>,
    pub(crate) wait: Option<Wait>,
    pub(crate) is_producer: bool,
    pub(crate) is_worker: bool,
}

impl Engine {
    /// A new client of the namespace, using and watching its tube `default`.
    pub(crate) fn enter(&mut self, space: SpaceIx, presence: Presence) -> ClientId {
        let client = self.newcomer(space, presence);
        ClientId(u32::try_from(self.clients.insert(client)).expect("connections are limited"))
    }

    /// The client is gone: it waits no more and its jobs are ready again.
    pub(crate) fn leave(&mut self, id: ClientId) {
        self.let_jobs_go(id);
        let client = self.clients.remove(id.0 as usize);
        self.part_with(client);
    }

    /// The client becomes one of another namespace, as if it had left and come again.
    pub(crate) fn move_to(&mut self, id: ClientId, space: SpaceIx) {
        self.let_jobs_go(id);
        let newcomer = self.newcomer(space, self.client(id).presence);
        let client = std::mem::replace(self.client_mut(id), newcomer);
        self.part_with(client);
    }

    fn newcomer(&mut self, space: SpaceIx, presence: Presence) -> Client {
        let tube = self.tube_or_new(space, TubeName::DEFAULT);
        self.tube_mut(tube).using += 1;
        self.tube_mut(tube).watching += 1;
        self.watches += 1;
        let entry = self.space_mut(space);
        if presence == Presence::Connection {
            entry.connections += 1;
            entry.connections_total += 1;
        }
        Client {
            space,
            presence,
            used: tube,
            watched: vec![tube],
            held: BTreeSet::new(),
            wait: None,
            is_producer: false,
            is_worker: false,
        }
    }

    fn let_jobs_go(&mut self, id: ClientId) {
        self.stop_waiting(id);
        let held: Vec<JobId> = self.client(id).held.iter().map(|&(_, job)| job).collect();
        for job in held {
            self.make_ready(job);
        }
    }

    fn part_with(&mut self, client: Client) {
        let space = self.space_mut(client.space);
        space.connections -= u32::from(client.presence == Presence::Connection);
        space.producers -= u32::from(client.is_producer);
        space.workers -= u32::from(client.is_worker);
        // In beanstalkd's order, which `list-tubes` shows when tubes go with their last watcher.
        let mut watched = client.watched;
        while !watched.is_empty() {
            let tube = watched.swap_remove(0);
            self.watches -= 1;
            self.tube_mut(tube).watching -= 1;
            self.forget_if_empty(tube);
        }
        self.tube_mut(client.used).using -= 1;
        self.forget_if_empty(client.used);
    }

    /// How many there are.
    pub(crate) fn clients_len(&self) -> u64 {
        self.clients.len() as u64
    }

    /// `use`: where the client's next jobs go.
    pub(crate) fn use_tube(&mut self, id: ClientId, name: &str) -> Result<(), Refused> {
        let space = self.client(id).space;
        let tube = self.tube_or_limit(space, name)?;
        let before = self.client(id).used;
        self.tube_mut(tube).using += 1;
        self.tube_mut(before).using -= 1;
        self.client_mut(id).used = tube;
        self.forget_if_empty(before);
        Ok(())
    }

    /// `watch`: how many tubes the client watches now.
    pub(crate) fn watch(&mut self, id: ClientId, name: &str) -> Result<usize, Refused> {
        let space = self.client(id).space;
        let is_full = self.watches >= self.limits.watches_max;
        let watches_max = if is_full { 0 } else { self.limits.client_tubes_max as usize };
        if self.client(id).watched.len() >= watches_max && self.find_tube(space, name).is_none() {
            return Err(Refused::Tubes);
        }
        let tube = self.tube_or_limit(space, name)?;
        if !self.client(id).watched.contains(&tube) {
            if self.client(id).watched.len() >= watches_max {
                return Err(Refused::Tubes);
            }
            self.watches += 1;
            self.tube_mut(tube).watching += 1;
            self.client_mut(id).watched.push(tube);
        }
        Ok(self.client(id).watched.len())
    }

    /// `ignore`: how many tubes the client watches now, `None` when it would be none.
    pub(crate) fn ignore(&mut self, id: ClientId, name: &str) -> Option<usize> {
        let client = self.client(id);
        let found = self
            .find_tube(client.space, name)
            .and_then(|tube| client.watched.iter().position(|&watched| watched == tube).map(|at| (at, tube)));
        if let Some((at, tube)) = found {
            if client.watched.len() == 1 {
                return None;
            }
            // The last takes its place, as in beanstalkd, whose order `list-tubes-watched` shows.
            self.watches -= 1;
            self.client_mut(id).watched.swap_remove(at);
            self.tube_mut(tube).watching -= 1;
            self.forget_if_empty(tube);
        }
        Some(self.client(id).watched.len())
    }

    /// The client has put a job, or tried to.
    pub(crate) fn mark_producer(&mut self, id: ClientId) {
        let client = self.client_mut(id);
        let space = client.space;
        if !std::mem::replace(&mut client.is_producer, true) {
            self.space_mut(space).producers += 1;
        }
    }

    /// The client has reserved a job, or tried to.
    pub(crate) fn mark_worker(&mut self, id: ClientId) {
        let client = self.client_mut(id);
        let space = client.space;
        if !std::mem::replace(&mut client.is_worker, true) {
            self.space_mut(space).workers += 1;
        }
    }
}
