//! `put`: where a new job goes, as its tube's class has it.

use bytes::Bytes;
use stdx::io::Io;
use wal::{AppendError, Lsn, Position};

use super::Broker;
use super::commands::due_ms;
use crate::durability::Durability;
use crate::engine::{ClientId, Facts, Job, JobState, Now};
use crate::event::JobChange;
use crate::log::record::{Attrs, JobRecord, Record, TubeRef};
use crate::proto::command::Put;
use crate::proto::reply::Reply;

impl<D: Io> Broker<D> {
    /// `put`, once its body is here.
    pub(crate) fn put(&mut self, client: ClientId, put: Put, body: &[u8], now: Now) {
        self.engine.now = now;
        let trace = self.conns[client.0 as usize].trace.take();
        if let Err(reply) = self.may_put(client, body) {
            return self.say(client, reply);
        }
        let ix = self.engine.client(client).used;
        let due = due_ms(now.wall, put.delay_s);
        let state = if due == 0 { JobState::Ready } else { JobState::Delayed { until_ms: due } };
        let mut job = Job {
            id: self.engine.next_id(),
            created_ms: now.wall.millis(),
            lsn: Lsn(0),
            at: Position { segment: 0, offset: 0, len: put.bytes },
            body_len: put.bytes,
            pri: put.pri,
            ttr_s: put.ttr_s.max(1),
            delay_s: put.delay_s,
            tube: ix,
            state,
        };
        let facts = trace.map(|trace| Facts { trace: Some(trace), ..Facts::default() });
        if let Err(cause) = self.store(&mut job, due, facts.as_ref(), body) {
            return self.not_appended(client, &cause);
        }
        if let Some(facts) = &facts {
            self.tell(&job, facts, JobChange::Put, job.lsn, now);
        }
        self.engine.insert(job, facts);
        self.engine.count_put(ix);
        self.answer(client, Reply::Inserted(job.id), job.lsn);
        self.after_engine(now);
    }

    /// Puts a new job where its tube's class has it, and says in the job what its answer waits for.
    fn store(&mut self, job: &mut Job, due_ms: u64, facts: Option<&Facts>, body: &[u8]) -> Result<(), AppendError> {
        let durability = self.durability(job.tube);
        if durability != Durability::Disk {
            job.lsn = self.forgettable_id()?.1;
        }
        if durability == Durability::Memory {
            self.bodies.keep_volatile(job.id, Bytes::copy_from_slice(body));
            return Ok(());
        }
        let tube = self.engine.tube(job.tube);
        let record = Record::Put(JobRecord {
            id: job.id,
            created_ms: job.created_ms,
            due_ms,
            pri: job.pri,
            ttr_s: job.ttr_s,
            delay_s: job.delay_s,
            body_len: job.body_len,
            at: TubeRef { space: &self.engine.space(tube.space).text, tube: tube.name.as_str() },
            attrs: facts.map_or_else(Attrs::default, Attrs::of),
        });
        let (lsn, at) = self.journal.append_job(&record, body)?;
        job.at = at;
        self.bodies.keep(job.id, Bytes::copy_from_slice(body), lsn, self.journal.durable());
        if durability == Durability::Disk {
            job.lsn = lsn;
            self.journal.depends_on(lsn);
        } else {
            self.commit_within(durability);
        }
        Ok(())
    }

    fn may_put(&self, client: ClientId, body: &[u8]) -> Result<(), Reply<'static>> {
        if self.failed.is_some() {
            return Err(Reply::InternalError);
        }
        if self.intake.draining {
            return Err(Reply::Draining);
        }
        let tube = self.engine.client(client).used;
        let lacks_space = if self.durability(tube) == Durability::Memory {
            self.bodies.volatile_bytes() + body.len() as u64 > self.config.volatile_bytes_max
        } else {
            self.intake.lacks_space()
        };
        if lacks_space {
            return Err(Reply::OutOfMemory);
        }
        self.engine.has_room(tube, body.len() as u64).map_err(|_| Reply::OutOfMemory)
    }
}
