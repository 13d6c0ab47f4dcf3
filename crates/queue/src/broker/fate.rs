//! Attempts that did not finish a job, the death of those that had too many, and their return.

use stdx::io::Io;
use wal::{AppendError, Lsn};

use super::Broker;
use super::promise::Noted;
use crate::engine::{After, Attempt, AttemptEnd, ClientId, Dead, Job, JobState, Now, PutTerms, TubeIx, cut_reason};
use crate::event::JobChange;
use crate::log::record::{Fate, Record, TubeRef};
use crate::names::JobId;
use crate::proto::reply::Reply;

impl<D: Io> Broker<D> {
    /// The holder says that its attempt failed: the job's retry policy says what becomes of it, unless the holder knows
    /// better when it should be tried again. Answered `FAILED`, or `BURIED` when it was the last attempt.
    pub(crate) fn fail_job(&mut self, client: ClientId, id: JobId, reason: &str, delay_ms: Option<u64>, now: Now) {
        self.engine.now = now;
        let Some(job) = self.held(client, id) else { return self.tell_state(client, Reply::NotFound) };
        let after = match (self.engine.after_attempt(id, job.tube, now), delay_ms) {
            (After::Buried, _) => After::Buried,
            (_, Some(0)) => After::Ready,
            (_, Some(ms)) => After::Delayed { until_ms: now.wall.millis().saturating_add(ms) },
            (after, None) => after,
        };
        let attempt = self.attempt(id, client, AttemptEnd::Failed, reason, now);
        let record = Record::Fate(Fate::Attempt { id, after: Some(after), attempt: attempt.clone() });
        let Noted { lsn, turn } = match self.note(&job, &record) {
            Ok(noted) => noted,
            Err(cause) => return self.not_appended(client, &cause),
        };
        self.change(id, lsn, |_| {});
        self.engine.count_failure(job.tube);
        match after {
            After::Ready => self.engine.make_ready(id),
            After::Delayed { until_ms } => {
                self.engine.update(id, |job| job.delay_s = attempt.wait_s(until_ms));
                self.engine.delay(id, until_ms);
            }
            After::Buried => self.engine.bury(id, turn),
        }
        self.remember(id, attempt);
        self.tell_job(id, JobChange::Released, lsn, now);
        if after == After::Buried {
            self.die(id, AttemptEnd::Failed, now);
        }
        self.tell_state(client, if after == After::Buried { Reply::Buried } else { Reply::Failed });
        self.after_engine(now);
    }

    /// Remembers how an attempt ended whose record stands in the log already, where a retry policy makes that worth it; and
    /// the job's death if it was the last. The job is in the state after the attempt.
    pub(super) fn attempt_over(&mut self, id: JobId, by: ClientId, end: AttemptEnd, is_last: bool, now: Now) {
        let Some(job) = self.engine.job(id) else { return };
        if !self.engine.has_retry_policy(id, job.tube) {
            return;
        }
        let attempt = self.attempt(id, by, end, "", now);
        let record = Record::Fate(Fate::Attempt { id, after: None, attempt: attempt.clone() });
        match self.note_lazily(&job, &record) {
            Ok(_) => self.remember(id, attempt),
            Err(cause) => tracing::warn!(job = id.0, %cause, "how an attempt ended is not in the log"),
        }
        if is_last {
            self.die(id, end, now);
        }
    }

    /// A buried job is tried no more: into the tube's dead-letter tube with it, if it has one.
    fn die(&mut self, id: JobId, end: AttemptEnd, now: Now) {
        let Some(job) = self.engine.job(id) else { return };
        let tube = self.engine.tube(job.tube);
        let (space, from) = (tube.space, tube.name.clone());
        let dead = Dead { at_ms: now.wall.millis(), end, from: from.as_str().into() };
        let target = tube.config.dead_letter.clone().filter(|to| to != from.as_str());
        // Without room for one more tube it stays where it is.
        let to = target.and_then(|to| self.engine.tube_or_limit(space, &to).ok());
        let text = self.engine.space(space).text.clone();
        let name = to.map(|to| self.engine.tube(to).name.clone());
        let at = name.as_ref().map(|name| TubeRef { space: &text, tube: name.as_str() });
        match self.note(&job, &Record::Fate(Fate::Died { id, dead: dead.clone(), to: at })) {
            Ok(Noted { lsn, .. }) => {
                self.change(id, lsn, |_| {});
                self.tell_job(id, JobChange::Died, lsn, now);
                self.engine.die(id, dead, to);
            }
            Err(cause) => tracing::warn!(job = id.0, %cause, "a job's death is not in the log; it is buried"),
        }
    }

    /// Brings a dead job back into `to`; the answer may leave when the record is on disk.
    pub(super) fn replay_one(&mut self, job: &Job, to: TubeIx, now: Now) -> Result<Lsn, AppendError> {
        let id = job.id;
        let tube = self.engine.tube(to);
        let (text, name) = (self.engine.space(tube.space).text.clone(), tube.name.clone());
        let at = TubeRef { space: &text, tube: name.as_str() };
        let lsn = self.note(job, &Record::Fate(Fate::Replayed { id, to: at }))?.lsn;
        self.change(id, lsn, |_| {});
        self.tell_job(id, JobChange::Replayed, lsn, now);
        self.engine.replay(id, to);
        Ok(lsn)
    }

    /// Whether nobody holds the job.
    pub(super) fn is_free(&self, id: JobId) -> bool {
        self.engine.job(id).is_some_and(|job| !matches!(job.state, JobState::Reserved { .. }))
    }

    /// The job that has one of these keys already.
    pub(super) fn same_job(&self, client: ClientId, terms: Option<&PutTerms>, now: Now) -> Option<JobId> {
        let terms = terms.filter(|_| self.failed.is_none())?;
        let tube = self.engine.client(client).used;
        self.engine.job_with_key(tube, terms.key.as_ref(), terms.unique.as_ref(), now.wall.millis())
    }

    fn attempt(&mut self, id: JobId, by: ClientId, end: AttemptEnd, reason: &str, now: Now) -> Attempt {
        let named = self.holders.take(id);
        let worker =
            named.or_else(|| self.conns.get(by.0 as usize).map(|conn| conn.worker.clone())).unwrap_or_default();
        Attempt { at_ms: now.wall.millis(), end, reason: cut_reason(reason).into(), worker }
    }

    /// Beyond the budget of memory only the newest attempt is remembered.
    fn remember(&mut self, id: JobId, attempt: Attempt) {
        let is_full = self.engine.index_bytes() >= self.engine.limits.index_bytes_max;
        if let Some(mut facts) = self.engine.facts_mut(id) {
            let more = facts.more.get_or_insert_default();
            if is_full {
                more.attempts.clear();
            }
            more.note(attempt);
        }
    }
}
