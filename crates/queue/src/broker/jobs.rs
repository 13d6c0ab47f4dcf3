//! The commands that change jobs. Each checks, appends its record, then applies it; nothing is applied that was not
//! appended.

use std::time::Duration;

use bytes::Bytes;
use stdx::io::Io;
use wal::{AppendError, Lsn, ReadError};

use super::Broker;
use super::commands::due_ms;
use super::promise::Noted;
use crate::engine::{After, Asked, AttemptEnd, ClientId, Counts, Event, Job, JobState, Now, WaitEnd};
use crate::event::JobChange;
use crate::log::record::{Ids, Record};
use crate::names::JobId;
use crate::proto::reply::Reply;

/// Ids in one record of a kick.
const KICK_IDS_MAX: usize = 4096;

impl<D: Io> Broker<D> {
    pub(super) fn reserve(&mut self, client: ClientId, timeout: Option<Duration>, now: Now) {
        self.engine.mark_worker(client);
        match self.engine.ask(client, timeout, now) {
            Asked::Got(job) => self.deliver(client, job, now),
            Asked::DeadlineSoon => self.say(client, Reply::DeadlineSoon),
            Asked::TimedOut => self.tell_state(client, Reply::TimedOut),
            Asked::Waits => {}
        }
    }

    pub(super) fn reserve_job(&mut self, client: ClientId, id: JobId, now: Now) {
        let space = self.space_of(client);
        let free = |job: &Job| !matches!(job.state, JobState::Reserved { .. });
        let found = self.engine.job_in(space, id).filter(free);
        if found.is_none_or(|job| self.engine.is_held_back(id, job.tube)) {
            return self.tell_state(client, Reply::NotFound);
        }
        self.engine.mark_worker(client);
        self.engine.reserve(client, id, now);
        self.deliver(client, id, now);
    }

    /// Sends a job that the client holds already. A job whose body is damaged goes to nobody: it is buried.
    fn deliver(&mut self, client: ClientId, id: JobId, now: Now) {
        let body = self.body(id);
        let lsn = self.engine.delivery_lsn(id);
        match body {
            Ok(body) => {
                self.answer(client, Reply::Reserved(id, &body), lsn);
                self.note_reservation(id, now);
            }
            Err(cause) => {
                self.unreadable(id, &cause);
                self.say(client, Reply::InternalError);
            }
        }
    }

    /// The count of a reservation must be on disk before the next delivery of the job, not before this one.
    pub(super) fn note_reservation(&mut self, id: JobId, now: Now) {
        self.holders.take(id);
        let delivered = self.engine.delivery_lsn(id);
        let Some(job) = self.engine.job(id) else { return };
        let record = Record::Reserved { id, times: self.engine.counts(id).reserves };
        match self.note_lazily(&job, &record) {
            Ok(noted) => {
                if let Some(mut facts) = self.engine.facts_mut(id) {
                    facts.reserved_lsn = noted.lsn;
                }
            }
            Err(cause) => tracing::warn!(job = id.0, %cause, "a reservation is not in the log"),
        }
        self.tell_job(id, JobChange::Reserved, delivered, now);
    }

    pub(super) fn delete(&mut self, client: ClientId, id: JobId, now: Now) {
        let space = self.space_of(client);
        let may = |job: &Job| !matches!(job.state, JobState::Reserved { by, .. } if by != client);
        let Some(job) = self.engine.job_in(space, id).filter(may) else {
            return self.tell_state(client, Reply::NotFound);
        };
        match self.remove(&job, JobChange::Deleted, now) {
            Ok(lsn) => self.answer(client, Reply::Deleted, lsn),
            Err(cause) => self.not_appended(client, &cause),
        }
    }

    pub(super) fn release_job(&mut self, client: ClientId, id: JobId, pri: u32, delay_s: u32, now: Now) {
        let Some(job) = self.held(client, id) else { return self.tell_state(client, Reply::NotFound) };
        if self.engine.is_spent(id, job.tube) {
            return self.release_for_the_last_time(client, &job, pri, now);
        }
        let due = due_ms(now.wall, delay_s);
        let lsn = match self.note(&job, &Record::Released { id, pri, delay_s, due_ms: due }) {
            Ok(noted) => noted.lsn,
            Err(cause) => return self.not_appended(client, &cause),
        };
        self.engine.set_pri(id, pri);
        self.change(id, lsn, |counts| counts.releases += 1);
        self.engine.count_release(job.tube);
        self.engine.update(id, |job| job.delay_s = delay_s);
        self.tell_job(id, JobChange::Released, lsn, now);
        self.answer(client, Reply::Released, lsn);
        self.attempt_over(id, client, AttemptEnd::Released, false, now);
        if due == 0 {
            self.engine.make_ready(id);
        } else {
            self.engine.delay(id, due);
        }
    }

    pub(super) fn bury(&mut self, client: ClientId, id: JobId, pri: u32, now: Now) {
        let Some(job) = self.held(client, id) else { return self.tell_state(client, Reply::NotFound) };
        match self.put_aside(&job, pri, now) {
            Ok(lsn) => self.answer(client, Reply::Buried, lsn),
            Err(cause) => self.not_appended(client, &cause),
        }
    }

    /// Buries a job; returns what an answer that says so waits for.
    pub(super) fn put_aside(&mut self, job: &Job, pri: u32, now: Now) -> Result<Lsn, AppendError> {
        let id = job.id;
        let Noted { lsn, turn } = self.note(job, &Record::Buried { id, pri })?;
        // Out of the order of priorities before the priority changes.
        self.engine.bury(id, turn);
        self.engine.set_pri(id, pri);
        self.change(id, lsn, |counts| counts.buries += 1);
        self.tell_job(id, JobChange::Buried, lsn, now);
        Ok(lsn)
    }

    /// The job is dead; whoever hears of it waits for that, too.
    fn release_for_the_last_time(&mut self, client: ClientId, job: &Job, pri: u32, now: Now) {
        let lsn = match self.put_aside(job, pri, now) {
            Ok(lsn) => lsn,
            Err(cause) => return self.not_appended(client, &cause),
        };
        self.attempt_over(job.id, client, AttemptEnd::Released, true, now);
        let lsn = self.engine.job(job.id).map_or(lsn, |job| job.lsn.max(lsn));
        self.answer(client, Reply::Buried, lsn);
    }

    pub(super) fn touch(&mut self, client: ClientId, id: JobId, now: Now) {
        let Some(job) = self.held(client, id) else { return self.tell_state(client, Reply::NotFound) };
        let lsn = job.lsn;
        self.engine.touch(client, id, now);
        self.answer(client, Reply::Touched, lsn);
    }

    /// `kick`: buried jobs of the used tube, delayed ones only when none is buried.
    pub(super) fn kick(&mut self, client: ClientId, jobs_max: u32, now: Now) {
        let ix = self.engine.client(client).used;
        let is_buried = !self.engine.tube(ix).buried.is_empty();
        let (jobs_max, mut kicked) = (jobs_max as usize, 0);
        while kicked < jobs_max {
            let at_once = KICK_IDS_MAX.min(jobs_max - kicked);
            if !is_buried {
                self.bring_first(ix, at_once);
            }
            let tube = self.engine.tube(ix);
            let orders = if is_buried { &tube.buried } else { &tube.delayed };
            let ids: Vec<JobId> = orders.iter().take(at_once).map(|&(_, id)| id).collect();
            if ids.is_empty() || self.failed.is_some() {
                break;
            }
            if let Err(cause) = self.kick_all(&ids, now) {
                if kicked == 0 {
                    return self.not_appended(client, &cause);
                }
                break;
            }
            kicked += ids.len();
            if self.engine.far_len() > 0 && self.lacks_memory_for(0) {
                break;
            }
        }
        self.tell_state(client, Reply::Kicked(u32::try_from(kicked).unwrap_or(u32::MAX)));
    }

    pub(super) fn kick_job(&mut self, client: ClientId, id: JobId, now: Now) {
        let space = self.space_of(client);
        let may = |job: &Job| matches!(job.state, JobState::Buried { .. } | JobState::Delayed { .. });
        if self.engine.job_in(space, id).filter(may).is_none() {
            return self.tell_state(client, Reply::NotFound);
        }
        match self.kick_all(&[id], now) {
            Ok(lsn) => self.answer(client, Reply::KickedJob, lsn),
            Err(cause) => self.not_appended(client, &cause),
        }
    }

    fn kick_all(&mut self, ids: &[JobId], now: Now) -> Result<Lsn, AppendError> {
        let (volatile, logged): (Vec<JobId>, Vec<JobId>) =
            ids.iter().partition(|&&id| self.engine.job(id).is_some_and(|job| job.is_volatile()));
        // All of one tube, so that one stands for all.
        let noted = match logged.first().and_then(|&id| self.engine.job(id)) {
            Some(job) => self.note(&job, &Record::Kicked { ids: Ids::List(&logged) })?,
            None => Noted { lsn: Lsn(0), turn: 0 },
        };
        for (ids, lsn) in [(&logged, noted.lsn), (&volatile, Lsn(0))] {
            for &id in ids {
                self.change(id, lsn, |counts| counts.kicks += 1);
                self.tell_job(id, JobChange::Kicked, lsn, now);
            }
        }
        ids.iter().for_each(|&id| self.engine.make_ready(id));
        Ok(noted.lsn)
    }

    /// Deals with what happened by itself in the engine: waiting clients get their answers, leases that ran out their
    /// records.
    pub(super) fn after_engine(&mut self, now: Now) {
        if !self.parked.is_empty() {
            self.put_parked(now);
        }
        while let Some(event) = self.engine.next_event() {
            match event {
                Event::Reserved { client, job } => {
                    self.resumed.push(client);
                    match self.take_batch(client) {
                        0 => self.deliver(client, job, now),
                        jobs_max => self.deliver_batch(client, job, jobs_max, now),
                    }
                }
                Event::WaitOver { client, why } => {
                    self.resumed.push(client);
                    self.take_batch(client);
                    match why {
                        WaitEnd::TimedOut => self.tell_state(client, Reply::TimedOut),
                        WaitEnd::DeadlineSoon => self.say(client, Reply::DeadlineSoon),
                    }
                }
                Event::LeaseOver { job, by, after } => {
                    self.lease_over(job, after, now);
                    self.attempt_over(job, by, AttemptEnd::TimedOut, after == After::Buried, now);
                }
                Event::Far { tube } => self.near.push_back(tube),
            }
        }
    }

    fn lease_over(&mut self, id: JobId, after: After, now: Now) {
        let Some(job) = self.engine.job(id) else { return };
        let record = Record::LeaseOver { id, times: self.engine.counts(id).timeouts, after };
        match self.note_lazily(&job, &record) {
            // Nobody was promised that it timed out, but a delivery that follows from it must not be forgotten.
            Ok(Noted { lsn, turn }) => {
                self.engine.update(id, |job| job.lsn = job.lsn.max(lsn));
                if after == After::Buried {
                    self.engine.bury(id, turn);
                    self.change(id, lsn, |counts| counts.buries += 1);
                }
                self.tell_job(id, JobChange::TimedOut, lsn, now);
            }
            Err(cause) => tracing::warn!(job = id.0, %cause, "a lease that ran out is not in the log"),
        }
    }

    /// The job's body, from memory or from the log.
    pub(super) fn body(&mut self, id: JobId) -> Result<Bytes, ReadError> {
        if let Some(body) = self.bodies.get(id) {
            return Ok(body);
        }
        debug_assert!(self.engine.job(id).is_none_or(|job| !job.is_volatile()), "a volatile body is kept");
        let Some(job) = self.engine.job(id) else { return Ok(Bytes::new()) };
        let (at, len) = (job.at, job.body_len as usize);
        if self.is_damaged(id) {
            return Err(ReadError::Damaged { at });
        }
        self.reader.read(at, &mut self.body_scratch)?;
        let start = self.body_scratch.len().checked_sub(len).ok_or(ReadError::Damaged { at })?;
        Ok(Bytes::copy_from_slice(&self.body_scratch[start..]))
    }

    pub(super) fn held(&self, client: ClientId, id: JobId) -> Option<Job> {
        self.engine.job(id).filter(|job| matches!(job.state, JobState::Reserved { by, .. } if by == client))
    }

    /// A record changed the job, and what is counted of it. What had to be waited for before still has to be.
    pub(super) fn change(&mut self, id: JobId, lsn: Lsn, count: impl FnOnce(&mut Counts)) {
        self.engine.update(id, |job| job.lsn = job.lsn.max(lsn));
        if let Some(mut facts) = self.engine.facts_mut(id) {
            count(&mut facts.counts);
        }
    }

    pub(super) fn tell_job(&mut self, id: JobId, what: JobChange, lsn: Lsn, now: Now) {
        let told = self.engine.facts(id).filter(|facts| facts.trace.is_some()).cloned();
        if let Some((facts, job)) = told.zip(self.engine.job(id)) {
            self.tell(&job, &facts, what, lsn, now);
        }
    }

    pub(super) fn not_appended(&mut self, client: ClientId, cause: &AppendError) {
        match cause {
            AppendError::Full { .. } | AppendError::TooLong { .. } => self.say(client, Reply::OutOfMemory),
            AppendError::Poisoned(poison) => {
                self.fail(&poison.to_string());
                self.say(client, Reply::InternalError);
            }
        }
    }
}
