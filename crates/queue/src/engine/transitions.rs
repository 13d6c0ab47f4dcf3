//! A job's way from state to state. Every change goes through `detach` and `attach`, which keep the orders, the timers and
//! the figures of tube and namespace in step.

use std::sync::Arc;

use stdx::clock::Mono;
use wal::Position;

use super::{ClientId, Engine, Facts, Figures, Job, JobState, Now, ReadyKey, Totals, TubeIx, Window};
use crate::names::JobId;

impl Engine {
    /// The job's body is lost; what is left of its record is at `at`.
    pub(crate) fn lose_body(&mut self, id: JobId, at: Position) {
        let job = self.known(id);
        let bytes = u64::from(job.body_len);
        self.bytes -= bytes;
        self.both_figures(job.tube, |figures| figures.bytes -= bytes);
        self.jobs.update(id, |job| {
            job.at = at;
            job.body_len = 0;
        });
        if let Some(mut facts) = self.jobs.facts_mut(id) {
            facts.is_damaged = true;
        }
    }

    /// A new job, or one read from the log.
    pub(crate) fn insert(&mut self, mut job: Job, facts: Option<Facts>) {
        job.state = job.state.cut();
        let (id, tube, state, bytes) = (job.id, job.tube, job.state, u64::from(job.body_len));
        assert!(!matches!(state, JobState::Reserved { .. }), "a job is never born reserved");
        self.never_again(id);
        self.jobs.insert(&job, facts);
        self.bytes += bytes;
        self.both_figures(tube, |figures| figures.bytes += bytes);
        self.take_up(id, tube);
        self.take_place(&job, state);
        self.offer(tube);
    }

    /// What a job brings along beside its row: its keys, its death, its place among those of its ordering key. Whoever gives
    /// a job its facts after it was inserted calls this.
    pub(crate) fn take_up(&mut self, id: JobId, tube: TubeIx) {
        let Some(more) = self.jobs.facts(id).and_then(|facts| facts.more.as_ref()) else { return };
        let (terms, is_dead) = (more.terms.clone(), more.dead.is_some());
        let space = self.tube(tube).space;
        if let Some(key) = terms.key {
            let is_logged = !self.known(id).is_volatile();
            self.keys.keep(space, key, Window { id, until_ms: terms.key_until_ms, is_logged });
        }
        if is_dead {
            self.dead.insert(id);
        } else if let Some(key) = terms.unique {
            self.keys.claim(space, key, id);
        }
        self.join_group(id, tube);
    }

    /// The job goes over to another tube, or stays in its own, in this state.
    pub(super) fn move_job(&mut self, id: JobId, to: TubeIx, state: JobState) {
        self.detach(id);
        let Job { tube: from, body_len, .. } = self.known(id);
        if let Some(key) = self.order_key(id) {
            self.leave_group(id, from, key);
        }
        let bytes = u64::from(body_len);
        self.both_figures(from, |figures| figures.bytes -= bytes);
        self.both_figures(to, |figures| figures.bytes += bytes);
        self.jobs.update(id, |job| job.tube = to);
        self.join_group(id, to);
        self.attach(id, state);
        self.forget_if_empty(from);
        self.offer(to);
    }

    /// Counts a job that was put (and not merely copied forward in the log).
    pub(crate) fn count_put(&mut self, tube: TubeIx) {
        let now = self.now.mono;
        self.tube_mut(tube).arrivals.add(now, 1);
        self.both_totals(tube, |totals| totals.jobs += 1);
    }

    /// Counts a job that somebody deleted.
    pub(crate) fn count_delete(&mut self, tube: TubeIx) {
        let now = self.now.mono;
        self.tube_mut(tube).services.add(now, 1);
        self.both_totals(tube, |totals| totals.deletes += 1);
    }

    /// Counts an attempt that its holder gave back.
    pub(crate) fn count_release(&mut self, tube: TubeIx) {
        self.both_totals(tube, |totals| totals.releases += 1);
    }

    /// Counts an attempt that failed, as its holder said.
    pub(crate) fn count_failure(&mut self, tube: TubeIx) {
        self.both_totals(tube, |totals| totals.failures += 1);
    }

    pub(super) fn both_totals(&mut self, tube: TubeIx, change: impl Fn(&mut Totals)) {
        let tube = self.tube_mut(tube);
        change(&mut tube.totals);
        let space = tube.space;
        change(&mut self.space_mut(space).totals);
    }

    /// The job is gone.
    pub(crate) fn remove(&mut self, id: JobId) -> Option<(Job, Facts)> {
        self.jobs.get(id)?;
        self.detach(id);
        let (job, facts) = self.jobs.remove(id)?;
        let bytes = u64::from(job.body_len);
        self.bytes -= bytes;
        self.both_figures(job.tube, |figures| figures.bytes -= bytes);
        if let Some(more) = &facts.more {
            self.dead.remove(&id);
            if let Some(key) = &more.terms.unique {
                self.keys.let_go(self.tube(job.tube).space, key, id);
            }
            if let Some(key) = &more.terms.order {
                self.leave_group(id, job.tube, Arc::clone(key));
            }
        }
        self.forget_if_empty(job.tube);
        Some((job, facts))
    }

    /// The job may be reserved, and a client that waits for it gets it at once.
    pub(crate) fn make_ready(&mut self, id: JobId) {
        self.detach(id);
        self.attach(id, JobState::Ready);
        let tube = self.known(id).tube;
        self.offer(tube);
    }

    /// The job waits until a point on the wall clock.
    pub(crate) fn delay(&mut self, id: JobId, until_ms: u64) {
        self.detach(id);
        self.attach(id, JobState::Delayed { until_ms });
    }

    /// The job is put aside; buried jobs are kicked in the order of their turns. A turn is the LSN of the record that says
    /// so, which keeps the order across restarts.
    pub(crate) fn bury(&mut self, id: JobId, turn: u64) {
        self.detach(id);
        self.attach(id, JobState::Buried { turn });
    }

    /// The client holds the job until its time to run is over.
    pub(crate) fn reserve(&mut self, client: ClientId, id: JobId, now: Now) {
        let deadline = lease_end(now.mono, self.known(id).ttr_s);
        self.detach(id);
        self.attach(id, JobState::Reserved { by: client, deadline });
        if let Some(mut facts) = self.jobs.facts_mut(id) {
            facts.counts.reserves += 1;
        }
        self.count_hand_out(self.known(id).tube);
    }

    /// The client keeps the job for its whole time to run once more.
    pub(crate) fn touch(&mut self, client: ClientId, id: JobId, now: Now) {
        let deadline = lease_end(now.mono, self.known(id).ttr_s);
        self.detach(id);
        self.attach(id, JobState::Reserved { by: client, deadline });
    }

    /// Changes a job's priority while it is in none of the orders that depend on it.
    pub(crate) fn set_pri(&mut self, id: JobId, pri: u32) {
        self.jobs.update(id, |job| {
            let sorted = matches!(job.state, JobState::Ready);
            assert!(!sorted, "the priority of a ready job is part of its place");
            job.pri = pri;
        });
    }

    fn known(&self, id: JobId) -> Job {
        self.jobs.get(id).expect("callers ask for jobs that they found")
    }

    fn detach(&mut self, id: JobId) {
        let job = self.known(id);
        let (tube, state, pri, urgent) = (job.tube, job.state, job.pri, job.is_urgent());
        match state {
            JobState::Ready => {
                self.tube_mut(tube).ready.remove(&ReadyKey::new(pri, id));
                self.both_figures(tube, |figures| {
                    figures.ready -= 1;
                    figures.urgent -= u64::from(urgent);
                });
            }
            JobState::Delayed { until_ms } => {
                self.tube_mut(tube).delayed.remove(&(until_ms, id));
                self.both_figures(tube, |figures| figures.delayed -= 1);
                self.set_tube_alarm(tube);
            }
            JobState::Reserved { by, deadline } => {
                self.leases.remove(&(deadline, id));
                self.client_mut(by).held.remove(&(deadline, id));
                self.both_figures(tube, |figures| figures.reserved -= 1);
                self.count_return(tube);
            }
            JobState::Buried { turn } => {
                self.tube_mut(tube).buried.remove(&(turn, id));
                self.both_figures(tube, |figures| figures.buried -= 1);
            }
        }
    }

    fn attach(&mut self, id: JobId, state: JobState) {
        let state = state.cut();
        let mut now = None;
        self.jobs.update(id, |job| {
            job.state = state;
            now = Some(*job);
        });
        if let Some(job) = now {
            self.take_place(&job, state);
        }
    }

    /// The job, whose row says so already, takes its place among those in the same state.
    fn take_place(&mut self, job: &Job, state: JobState) {
        let (id, tube, urgent) = (job.id, job.tube, job.is_urgent());
        match state {
            JobState::Ready => {
                if !self.is_held_back(id, tube) {
                    self.tube_mut(tube).ready.insert(ReadyKey::new(job.pri, id));
                }
                self.both_figures(tube, |figures| {
                    figures.ready += 1;
                    figures.urgent += u64::from(urgent);
                });
            }
            JobState::Delayed { until_ms } => {
                self.tube_mut(tube).delayed.insert((until_ms, id));
                self.both_figures(tube, |figures| figures.delayed += 1);
                self.set_tube_alarm(tube);
            }
            JobState::Reserved { by, deadline } => {
                self.leases.insert((deadline, id));
                self.client_mut(by).held.insert((deadline, id));
                self.both_figures(tube, |figures| figures.reserved += 1);
            }
            JobState::Buried { turn } => {
                self.tube_mut(tube).buried.insert((turn, id));
                self.both_figures(tube, |figures| figures.buried += 1);
            }
        }
    }

    pub(super) fn both_figures(&mut self, tube: TubeIx, change: impl Fn(&mut Figures)) {
        let tube = self.tube_mut(tube);
        change(&mut tube.figures);
        let space = tube.space;
        change(&mut self.space_mut(space).figures);
    }
}

fn lease_end(now: Mono, ttr_s: u32) -> Mono {
    now + std::time::Duration::from_secs(u64::from(ttr_s))
}
