//! `put`: from the body that has come in to the job in the log.

use bytes::Bytes;
use stdx::io::Io;
use wal::{AppendError, Lsn};

use super::commands::due_ms;
use super::{Aside, Broker};
use crate::config::WhenFull;
use crate::engine::{ClientId, Facts, Job, JobState, More, Now, PutTerms, Refused, TubeIx};
use crate::event::JobChange;
use crate::log::record::{Attrs, JobRecord, Record, TubeRef};
use crate::names::JobId;
use crate::proto::command::Put;
use crate::proto::reply::Reply;

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
        if let Err(reply) = self.may_put(aside.terms.as_deref()) {
            if reply == Reply::Draining {
                self.engine.skip_id();
            }
            return self.say(client, reply);
        }
        let ix = self.engine.client(client).used;
        if let Err(refused) = self.make_room(ix, body.len() as u64, now) {
            let waits = refused == Refused::Tube && self.engine.tube(ix).config.when_full == WhenFull::Wait;
            if !(waits && self.park(client, put, body, aside)) {
                self.say(client, Reply::OutOfMemory);
            }
            return;
        }
        match self.store(ix, put, body, aside, now) {
            Ok((id, lsn)) => self.answer(client, Reply::Inserted(id), lsn),
            Err(cause) => self.not_appended(client, &cause),
        }
    }

    /// A new job, into a tube that has room for it.
    fn store(
        &mut self,
        ix: TubeIx,
        put: Put,
        body: &[u8],
        aside: Aside,
        now: Now,
    ) -> Result<(JobId, Lsn), AppendError> {
        let Aside { trace, tick, terms } = aside;
        let tube = self.engine.tube(ix);
        let tick = tick.as_ref().map(|(name, ms)| (name.as_str(), *ms));
        let space = &self.engine.space(tube.space).text;
        let (id, due) = (self.engine.next_id(), due_ms(now.wall, put.delay_s));
        let (ttr_s, body_len) = (put.ttr_s.max(1), put.bytes);
        let more = terms.map(|terms| Box::new(More { terms: *terms, ..More::default() }));
        let record = Record::Put(JobRecord {
            id,
            created_ms: now.wall.millis(),
            due_ms: due,
            pri: put.pri,
            ttr_s,
            delay_s: put.delay_s,
            body_len,
            at: TubeRef { space, tube: tube.name.as_str() },
            attrs: Attrs { trace, tick, more: more.clone(), ..Attrs::default() },
        });
        let (lsn, at) = self.journal.append_job(&record, body)?;
        let job = Job {
            id,
            created_ms: now.wall.millis(),
            lsn,
            at,
            body_len,
            pri: put.pri,
            ttr_s,
            delay_s: put.delay_s,
            tube: ix,
            state: if due == 0 { JobState::Ready } else { JobState::Delayed { until_ms: due } },
        };
        let has_facts = trace.is_some() || more.is_some();
        let facts = has_facts.then(|| Facts { trace, more, ..Facts::default() });
        self.bodies.keep(id, Bytes::copy_from_slice(body), lsn, self.journal.durable());
        if let Some(facts) = &facts {
            self.tell(&job, facts, JobChange::Put, lsn, now);
        }
        self.engine.insert(job, facts);
        self.engine.count_put(ix);
        self.engine.note_tick(ix, tick);
        Ok((id, lsn))
    }

    fn may_put(&self, terms: Option<&PutTerms>) -> Result<(), Reply<'static>> {
        if self.failed.is_some() {
            return Err(Reply::InternalError);
        }
        if self.intake.draining {
            return Err(Reply::Draining);
        }
        let has_keys = terms.is_some_and(|terms| terms.key.is_some() || terms.unique.is_some());
        if self.intake.lacks_space() || (has_keys && !self.engine.has_room_for_keys()) {
            return Err(Reply::OutOfMemory);
        }
        Ok(())
    }
}
