//! Many jobs by one command, and commands under a lease: what clients of beanstalkd never send.

use bytes::Bytes;
use stdx::io::Io;

use super::Broker;
use crate::door::BATCH_JOBS_MAX;
use crate::engine::{Asked, ClientId, Job, JobState, Now};
use crate::event::JobChange;
use crate::names::JobId;
use crate::proto::leased::{Then, list};
use crate::proto::reply::{Leased, Reply};

impl<D: Io> Broker<D> {
    /// `reserve-batch`: as `reserve`, and with the first job those that are ready, too.
    pub(super) fn reserve_batch(
        &mut self,
        client: ClientId,
        jobs_max: u32,
        timeout: Option<std::time::Duration>,
        now: Now,
    ) {
        self.engine.mark_worker(client);
        match self.engine.ask(client, timeout, now) {
            Asked::Got(job) => self.deliver_batch(client, job, jobs_max, now),
            Asked::DeadlineSoon => self.say(client, Reply::DeadlineSoon),
            Asked::TimedOut => self.tell_state(client, Reply::TimedOut),
            Asked::Waits => self.conns[client.0 as usize].batch = jobs_max,
        }
    }

    /// How many jobs the connection wants that waited for one; 0 when it asked for no batch.
    pub(super) fn take_batch(&mut self, client: ClientId) -> u32 {
        std::mem::take(&mut self.conns[client.0 as usize].batch)
    }

    /// Sends the job, which the client holds already, and as many more as it may have: jobs without end are no answer.
    pub(super) fn deliver_batch(&mut self, client: ClientId, first: JobId, jobs_max: u32, now: Now) {
        let mut jobs = Vec::new();
        let (mut bytes, mut lsn) = (0, wal::Lsn(0));
        let mut next = Some(first);
        while let Some(id) = next {
            lsn = lsn.max(self.engine.delivery_lsn(id));
            match self.body(id) {
                Ok(body) => {
                    bytes += body.len();
                    jobs.push((id, self.engine.counts(id).reserves, body));
                }
                Err(cause) => self.unreadable(id, &cause),
            }
            let has_room = (jobs.len() as u32) < jobs_max && bytes < self.config.connection_output_bytes_max;
            next = match has_room.then(|| self.engine.ask(client, Some(std::time::Duration::ZERO), now)) {
                Some(Asked::Got(id)) => Some(id),
                _ => None,
            };
        }
        if jobs.is_empty() {
            return self.say(client, Reply::InternalError);
        }
        let told: Vec<Leased<'_>> = jobs
            .iter()
            .map(|(id, lease, body): &(JobId, u32, Bytes)| Leased { id: *id, lease: *lease, body })
            .collect();
        self.answer(client, Reply::Batch(&told), lsn);
        for (id, ..) in &jobs {
            self.note_reservation(*id, now);
        }
    }

    /// A command of a job's holder, if the job is held under this lease: by this connection, or by another or over HTTP, which
    /// then has it no more.
    pub(super) fn leased(&mut self, client: ClientId, lease: u32, id: JobId, then: Then<'_>, now: Now) {
        let state = self.engine.job_in(self.space_of(client), id).map(|job| job.state);
        let Some(state) = state else { return self.tell_state(client, Reply::NotFound) };
        if !self.hold_under(client, state, id, lease) {
            return self.tell_state(client, Reply::LeaseLost);
        }
        match then {
            Then::Delete => self.delete(client, id, now),
            Then::Release { pri, delay_s } => self.release_job(client, id, pri, delay_s, now),
            Then::Bury { pri } => self.bury(client, id, pri, now),
            Then::Touch => self.touch(client, id, now),
            Then::Fail { reason } => self.fail_job(client, id, reason, None, now),
        }
    }

    /// Whether the job is held under the lease; then it is this client that holds it.
    fn hold_under(&mut self, client: ClientId, state: JobState, id: JobId, lease: u32) -> bool {
        let JobState::Reserved { by, .. } = state else { return false };
        let is_held = self.engine.held_under(by, id, lease).is_some();
        is_held && (by == client || self.engine.pass_on(id, by, client))
    }

    /// `delete-batch`: each as by `delete`, those with a lease only under it. Answered when all are gone from the disk.
    pub(crate) fn delete_batch(&mut self, client: ClientId, text: &[u8], now: Now) {
        self.engine.now = now;
        if self.failed.is_some() {
            return self.say(client, Reply::InternalError);
        }
        let Some(named) = list(text, BATCH_JOBS_MAX) else { return self.say(client, Reply::BadFormat) };
        let (mut deleted, mut left) = (0, Vec::new());
        for (id, lease) in named {
            let Some(job) = self.deletable(client, id, lease) else {
                left.push(id);
                continue;
            };
            match self.remove(&job, JobChange::Deleted, now) {
                Ok(_) => deleted += 1,
                Err(cause) if deleted == 0 => return self.not_appended(client, &cause),
                Err(cause) => {
                    tracing::warn!(job = id.0, %cause, "a job of a batch could not be deleted");
                    left.push(id);
                }
            }
        }
        self.tell_state(client, Reply::DeletedBatch(deleted, &left));
        self.after_engine(now);
    }

    fn deletable(&mut self, client: ClientId, id: JobId, lease: Option<u32>) -> Option<Job> {
        self.bring(id);
        let job = self.engine.job_in(self.space_of(client), id)?;
        let may = match (lease, job.state) {
            (Some(lease), state) => self.hold_under(client, state, id, lease),
            (None, JobState::Reserved { by, .. }) => by == client,
            (None, _) => true,
        };
        may.then_some(job)
    }
}
