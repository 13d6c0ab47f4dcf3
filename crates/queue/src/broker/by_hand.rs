//! What callers within the process ask beyond the protocol: the HTTP door, push, periodic jobs, operators.

use std::path::PathBuf;

use control::wire::{JobRow, QueueStatus};
use stdx::io::Io;
use stdx::trace::TraceContext;

use super::Broker;
use super::memory::STEP_BYTES;
use crate::engine::{ClientId, Job, JobState, Now, Presence, Refused, StateName};
use crate::metrics::Histograms;
use crate::names::{JobId, Namespace};
use crate::proto::reply::Reply;

/// Why a `put` is refused, where the protocol says OUT_OF_MEMORY to all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhyNot {
    /// The tube has all the jobs or bytes that it may have.
    Tube,
    /// All tubes together have.
    Queue,
    /// The disk has no room.
    Disk,
    /// No more keys can be remembered.
    Keys,
    /// `memory_bytes_max` or `index_bytes_max`.
    Memory,
}

impl<D: Io> Broker<D> {
    /// Somebody within the process, in a namespace.
    pub(crate) fn connect_to(&mut self, namespace: &Namespace) -> ClientId {
        let space = self.engine.space_ix(namespace);
        self.connect_in(space, Presence::Visit)
    }

    /// Whether anybody was ever in the namespace.
    pub(crate) fn knows(&self, namespace: &Namespace) -> bool {
        self.engine.spaces().iter().any(|space| space.name == *namespace)
    }

    /// The context of the connection's next `put`.
    pub(crate) fn set_trace(&mut self, client: ClientId, trace: Option<TraceContext>) {
        self.conns[client.0 as usize].aside.trace = trace;
    }

    /// Why a `put` of so many bytes was just answered OUT_OF_MEMORY.
    pub(crate) fn why_not(&self, client: ClientId, bytes: u64) -> WhyNot {
        match self.engine.has_room(self.engine.client(client).used, bytes, self.engine.now) {
            _ if self.intake.lacks_space() => WhyNot::Disk,
            _ if self.lacks_memory_for(bytes + STEP_BYTES) => WhyNot::Memory,
            Err(Refused::Tube) => WhyNot::Tube,
            Err(Refused::Queue | Refused::Tubes) => WhyNot::Queue,
            Err(Refused::Memory) => WhyNot::Memory,
            Ok(()) if !self.engine.has_room_for_keys() => WhyNot::Keys,
            // It fits now, or the log has too much to write just then: as good as a disk that is full for a moment.
            Ok(()) => WhyNot::Disk,
        }
    }

    /// Whether a job of the connection's namespace exists, and whether somebody holds it.
    pub(crate) fn state_of(&mut self, client: ClientId, id: JobId) -> Option<JobState> {
        self.bring(id);
        self.engine.job_in(self.space_of(client), id).map(|job| job.state)
    }

    /// Passes a reservation on; says whether `from` had it.
    pub(crate) fn pass_on(&mut self, id: JobId, from: ClientId, to: ClientId) -> bool {
        self.engine.pass_on(id, from, to)
    }

    /// A job that is held for somebody without a connection is this worker's.
    pub(crate) fn name_holder(&mut self, id: JobId, worker: &str) {
        let engine = &self.engine;
        let is_held = |id| engine.job(id).is_some_and(|job| matches!(job.state, JobState::Reserved { .. }));
        self.holders.name(id, worker, is_held);
    }

    /// The priority of a job that the client holds under this reservation.
    pub(crate) fn held_under(&self, client: ClientId, id: JobId, lease: u32) -> Option<Terms> {
        let job = self.engine.held_under(client, id, lease)?;
        Some(Terms { pri: job.pri })
    }

    /// Puts a job aside that nobody holds; answered as `bury`.
    pub(crate) fn bury_by_hand(&mut self, client: ClientId, id: JobId, now: Now) {
        self.engine.now = now;
        self.bring(id);
        let space = self.space_of(client);
        let may = |job: &Job| matches!(job.state, JobState::Ready | JobState::Delayed { .. });
        let Some(job) = self.engine.job_in(space, id).filter(may) else {
            return self.tell_state(client, Reply::NotFound);
        };
        match self.put_aside(&job, job.pri, now) {
            Ok(lsn) => self.answer(client, Reply::Buried, lsn),
            Err(cause) => self.not_appended(client, &cause),
        }
    }

    /// Answers `OK` once everything that the state tells of is on disk.
    pub(crate) fn await_state(&mut self, client: ClientId) {
        let reply = if self.failed.is_some() { Reply::InternalError } else { Reply::Ok(b"") };
        self.tell_state(client, reply);
    }

    /// One job of the connection's namespace.
    pub(crate) fn job_row(&mut self, client: ClientId, id: JobId, now: Now) -> Option<JobRow> {
        self.bring(id);
        self.engine.job_in(self.space_of(client), id).map(|job| self.row_of(&job, now))
    }

    /// The first `n` jobs of a tube that are in one state, or in any; `None` when there is no such tube.
    pub(crate) fn job_rows(
        &mut self,
        client: ClientId,
        tube: &str,
        state: Option<StateName>,
        n: usize,
        now: Now,
    ) -> Option<Vec<JobRow>> {
        let tube = self.engine.find_tube(self.space_of(client), tube)?;
        if state.is_none_or(|state| state == StateName::Delayed) {
            self.bring_first(tube, n);
        }
        let mut ids = Vec::new();
        for one in StateName::ALL.into_iter().filter(|one| state.is_none_or(|state| state == *one)) {
            ids.extend(self.engine.list(tube, one, n - ids.len()));
        }
        Some(ids.into_iter().filter_map(|id| self.engine.job(id)).map(|job| self.row_of(&job, now)).collect())
    }

    fn row_of(&self, job: &Job, now: Now) -> JobRow {
        let tube = self.engine.tube(job.tube);
        let scope = self.engine.space(tube.space).name.0.clone();
        let counts = self.engine.counts(job.id);
        let trace = self.engine.facts(job.id).and_then(|facts| facts.trace);
        JobRow {
            id: job.id.0,
            app: scope.as_ref().map(|scope| scope.app.clone()),
            environment: scope.map(|scope| scope.env),
            tube: tube.name.to_string(),
            state: job.state.word().into(),
            pri: job.pri,
            created_ms: self.on_the_wall(job.created_ms),
            left_ms: match job.state {
                JobState::Delayed { until_ms } => Some(until_ms.saturating_sub(now.wall.millis())),
                JobState::Reserved { deadline, .. } => {
                    Some(u64::try_from(deadline.since(now.mono).as_millis()).unwrap_or(u64::MAX))
                }
                JobState::Ready | JobState::Buried { .. } => None,
            },
            delay_s: job.delay_s,
            ttr_s: job.ttr_s,
            bytes: job.body_len.into(),
            reserves: counts.reserves,
            timeouts: counts.timeouts,
            releases: counts.releases,
            buries: counts.buries,
            kicks: counts.kicks,
            lease: None,
            traceparent: trace.map(|trace| trace.to_string()),
            body: None,
            body_base64: None,
        }
    }

    /// Somebody begins to copy the log: its disk and its folder. No segment goes until the copy has ended.
    pub(crate) fn begin_copy(&mut self) -> (D, PathBuf) {
        self.copies += 1;
        (self.io.clone(), self.log_folder.clone())
    }

    /// The copy has ended.
    pub(crate) fn end_copy(&mut self) {
        self.copies -= 1;
    }

    /// How long syncs took, and answers waited.
    pub(crate) fn histograms(&self) -> Histograms {
        Histograms { sync: self.pulse.sync_time.measured(), ack: self.pulse.ack_time.measured() }
    }

    /// How the plane does.
    pub(crate) fn status(&self, now: Now, connections: u64) -> QueueStatus {
        let (mut jobs, mut bytes) = (0, 0);
        for space in self.engine.spaces() {
            jobs += space.figures.jobs();
            bytes += space.figures.bytes;
        }
        QueueStatus {
            jobs,
            bytes,
            tubes: self.engine.tubes_len() as u64,
            connections,
            draining: self.intake.draining,
            disk_low: self.intake.lacks_space(),
            far_jobs: self.engine.far_len(),
            memory_bytes: self.memory_bytes(),
            memory_bytes_max: self.config.memory_bytes_max,
            syncs: self.pulse.syncs,
            syncs_per_s: self.pulse.sync_rate.per_second(now.mono),
            sync_ms: self.pulse.sync_time.row(),
            ack_ms: self.pulse.ack_time.row(),
        }
    }
}

/// What a job's holder may need to know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) pri: u32,
}
