//! `put`: where a new job goes, as its tube's class has it.

use bytes::Bytes;
use stdx::io::Io;
use wal::{AppendError, Lsn, Position};

use super::commands::due_ms;
use super::memory::STEP_BYTES;
use super::{Aside, Broker};
use crate::config::WhenFull;
use crate::durability::Durability;
use crate::engine::{ClientId, Facts, Job, JobState, More, Now, PutTerms, Refused, TubeIx};
use crate::event::JobChange;
use crate::log::record::{Attrs, JobRecord, Record, TubeRef};
use crate::proto::command::Put;
use crate::proto::reply::Reply;

/// The body of a job that is due so much later is not worth its place in the cache.
const LATER_S: u32 = 30;

impl<D: Io> Broker<D> {
    /// `put`, once its body is here.
    pub(crate) fn put(&mut self, client: ClientId, put: Put, body: &[u8], now: Now) {
        self.put_now(client, put, body, now);
        self.after_engine(now);
    }

    pub(super) fn put_now(&mut self, client: ClientId, put: Put, body: &[u8], now: Now) {
        self.engine.now = now;
        let aside = std::mem::take(&mut self.conns[client.0 as usize].aside);
        if let Some(id) = self.same_job(client, aside.terms.as_deref(), now) {
            return self.tell_state(client, Reply::Inserted(id));
        }
        let ix = self.engine.client(client).used;
        self.look_again_if_much_was_written();
        if let Err(reply) = self.may_put(ix, aside.terms.as_deref(), body) {
            if reply == Reply::Draining {
                self.engine.skip_id();
            }
            return self.say(client, reply);
        }
        if let Err(refused) = self.make_room(ix, body.len() as u64, now) {
            let waits = refused == Refused::Tube && self.engine.tube(ix).config.when_full == WhenFull::Wait;
            if !(waits && self.park(client, put, body, aside)) {
                self.say(client, Reply::OutOfMemory);
            }
            return;
        }
        let Aside { trace, tick, terms } = aside;
        let tick = tick.as_ref().map(|(name, ms)| (name.as_str(), *ms));
        let more = terms.map(|terms| Box::new(More { terms: *terms, ..More::default() }));
        let has_facts = trace.is_some() || more.is_some();
        let facts = has_facts.then(|| Facts { trace, more, ..Facts::default() });
        match self.store(ix, put, (facts.as_ref(), tick), body) {
            Ok(job) => {
                if let Some(facts) = &facts {
                    self.tell(&job, facts, JobChange::Put, job.lsn, now);
                }
                self.engine.insert(job, facts);
                self.engine.count_put(ix);
                self.engine.note_tick(ix, tick);
                self.answer(client, Reply::Inserted(job.id), job.lsn);
            }
            Err(cause) => self.not_appended(client, &cause),
        }
    }

    /// Puts a new job where its tube's class has it, and says in the job what its answer waits for.
    fn store(
        &mut self,
        tube: TubeIx,
        put: Put,
        (facts, tick): (Option<&Facts>, Option<(&str, u64)>),
        body: &[u8],
    ) -> Result<Job, AppendError> {
        let now = self.engine.now;
        let due_ms = due_ms(now.wall, put.delay_s);
        let mut job = Job {
            id: self.engine.next_id(),
            created_ms: now.wall.millis(),
            lsn: Lsn(0),
            at: Position { segment: 0, offset: 0, len: put.bytes },
            body_len: put.bytes,
            pri: put.pri,
            ttr_s: put.ttr_s.max(1),
            delay_s: put.delay_s,
            tube,
            state: if due_ms == 0 { JobState::Ready } else { JobState::Delayed { until_ms: due_ms } },
        };
        let durability = self.durability(tube);
        if durability != Durability::Disk {
            job.lsn = self.forgettable_id()?.1;
        }
        if durability == Durability::Memory {
            if let Some(tick) = tick {
                self.log_tick(tube, tick)?;
            }
            self.bodies.keep_volatile(job.id, Bytes::copy_from_slice(body));
            return Ok(job);
        }
        let tube = self.engine.tube(tube);
        let record = Record::Put(JobRecord {
            id: job.id,
            created_ms: job.created_ms,
            due_ms,
            pri: job.pri,
            ttr_s: job.ttr_s,
            delay_s: job.delay_s,
            body_len: job.body_len,
            at: TubeRef { space: &self.engine.space(tube.space).text, tube: tube.name.as_str() },
            attrs: Attrs { tick, ..facts.map_or_else(Attrs::default, Attrs::of) },
        });
        let (lsn, at) = self.journal.append_job(&record, body)?;
        job.at = at;
        let (body, durable) = (Bytes::copy_from_slice(body), self.journal.durable());
        if put.delay_s >= LATER_S {
            self.bodies.pass(job.id, body, lsn, durable);
        } else {
            self.bodies.keep(job.id, body, lsn, durable);
        }
        if durability == Durability::Disk {
            job.lsn = lsn;
            self.journal.depends_on(lsn);
        } else {
            self.commit_within(durability);
        }
        Ok(job)
    }

    fn may_put(&self, tube: TubeIx, terms: Option<&PutTerms>, body: &[u8]) -> Result<(), Reply<'static>> {
        if self.failed.is_some() {
            return Err(Reply::InternalError);
        }
        if self.intake.draining {
            return Err(Reply::Draining);
        }
        let has_keys = terms.is_some_and(|terms| terms.key.is_some() || terms.unique.is_some());
        let lacks_space = if self.durability(tube) == Durability::Memory {
            self.bodies.volatile_bytes() + body.len() as u64 > self.config.volatile_bytes_max
        } else {
            self.intake.lacks_space()
        };
        let lacks_memory = self.lacks_memory_for(body.len() as u64 + STEP_BYTES);
        if lacks_space || lacks_memory || (has_keys && !self.engine.has_room_for_keys()) {
            return Err(Reply::OutOfMemory);
        }
        Ok(())
    }
}
