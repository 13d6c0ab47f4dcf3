//! Who gets which job: the lowest priority over all tubes that a client watches, then the lowest id; among clients, the
//! one that has waited longest.

use std::time::Duration;

use stdx::clock::Mono;

use super::client::Wait;
use super::tube::ReadyKey;
use super::{ClientId, Engine, Event, Now, TubeIx, WaitEnd};
use crate::names::JobId;

/// A client that waits is told when one of its jobs has less than this left (DEADLINE_SOON).
const SAFETY_MARGIN: Duration = Duration::from_secs(1);

/// What a client that asks for a job gets at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// This job, which it holds now.
    Got(JobId),
    /// Nothing, and one of its own jobs needs it within a second.
    DeadlineSoon,
    /// Nothing, and it did not want to wait.
    TimedOut,
    /// It waits; an [`Event`] will end that.
    Waits,
}

impl Engine {
    /// `reserve`, for ever or at most for `timeout`.
    pub(crate) fn ask(&mut self, client: ClientId, timeout: Option<Duration>, now: Now) -> Asked {
        self.now = now;
        if let Some(job) = self.best_for(client) {
            self.reserve(client, job, now);
            return Asked::Got(job);
        }
        let soon = self.soonest_lease(client).map(|end| Mono(end.0.saturating_sub(as_nanos(SAFETY_MARGIN))));
        if soon.is_some_and(|soon| now.mono >= soon) {
            return Asked::DeadlineSoon;
        }
        if timeout == Some(Duration::ZERO) {
            return Asked::TimedOut;
        }
        let soon = soon.map(|at| (at, WaitEnd::DeadlineSoon));
        let late = timeout.map(|timeout| (now.mono + timeout, WaitEnd::TimedOut));
        let alarm = soon.into_iter().chain(late).min();
        let turn = self.turn();
        for ix in 0..self.client(client).watched.len() {
            let tube = self.client(client).watched[ix];
            self.tube_mut(tube).waiting.insert(turn, client);
            self.set_rate_alarm(tube);
        }
        if let Some((at, _)) = alarm {
            self.wait_alarms.insert((at, client));
        }
        self.client_mut(client).wait = Some(Wait { turn, alarm });
        let space = self.client(client).space;
        self.space_mut(space).waiting += 1;
        Asked::Waits
    }

    /// Ends a client's wait, if it waits; says whether it did.
    pub(crate) fn stop_waiting(&mut self, client: ClientId) -> bool {
        let Some(wait) = self.client_mut(client).wait.take() else { return false };
        for ix in 0..self.client(client).watched.len() {
            let tube = self.client(client).watched[ix];
            self.tube_mut(tube).waiting.remove(&wait.turn);
        }
        if let Some((at, _)) = wait.alarm {
            self.wait_alarms.remove(&(at, client));
        }
        let space = self.client(client).space;
        self.space_mut(space).waiting -= 1;
        true
    }

    /// Gives the tube's ready jobs to those who wait for them, as [`Event::Reserved`]. Only after a tube's own change can
    /// there be both.
    pub(super) fn offer(&mut self, tube: TubeIx) {
        loop {
            let Some(job) = self.tube(tube).first_ready(self.now.mono).map(ReadyKey::id) else {
                return self.set_rate_alarm(tube);
            };
            let Some((_, &client)) = self.tube(tube).waiting.first_key_value() else { return };
            self.stop_waiting(client);
            self.reserve(client, job, self.now);
            self.events.push_back(Event::Reserved { client, job });
        }
    }

    fn best_for(&self, client: ClientId) -> Option<JobId> {
        let tubes = self.client(client).watched.iter();
        tubes.filter_map(|&tube| self.tube(tube).first_ready(self.now.mono)).min().map(ReadyKey::id)
    }

    fn soonest_lease(&self, client: ClientId) -> Option<Mono> {
        self.client(client).held.first().map(|&(end, _)| end)
    }
}

fn as_nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
