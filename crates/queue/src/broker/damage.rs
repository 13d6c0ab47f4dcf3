//! Jobs whose body cannot be read.

use stdx::io::Io;
use wal::{AppendError, ReadError};

use super::Broker;
use super::promise::Noted;
use crate::engine::{Facts, Job};
use crate::log::record::{Attrs, JobRecord, Record, TubeRef};
use crate::names::JobId;

impl<D: Io> Broker<D> {
    /// A body could not be read. The job goes to nobody: it is buried, and if the disk holds something else than what was
    /// written, its body is given up for good. Either is in the log, so that it is so after a start.
    pub(super) fn unreadable(&mut self, id: JobId, cause: &ReadError) {
        let Some(job) = self.engine.job(id) else { return };
        tracing::error!(job = id.0, %cause, "a job's body cannot be read; the job is buried");
        let is_known = self.engine.facts(id).is_some_and(|facts| facts.is_damaged);
        let noted = match cause {
            ReadError::Damaged { .. } | ReadError::NoSegment { .. } if !is_known => self.give_up_body(&job),
            _ => self.note(&job, &Record::Buried { id, pri: job.pri }),
        };
        match noted {
            Ok(Noted { lsn, turn }) => {
                self.engine.bury(id, turn);
                self.change(id, lsn, |counts| counts.buries += 1);
            }
            Err(cause) => {
                tracing::warn!(job = id.0, %cause, "that a job is buried is not in the log");
                self.engine.bury(id, self.journal.newest().0);
            }
        }
    }

    /// Writes the job once more, buried and without a body. Its old segment is kept for whoever looks into the damage.
    pub(super) fn give_up_body(&mut self, job: &Job) -> Result<Noted, AppendError> {
        let turn = self.journal.last().next().0;
        let attrs = self.engine.facts(job.id).map_or_else(Attrs::default, Attrs::of);
        let tube = self.engine.tube(job.tube);
        let record = Record::Moved(JobRecord {
            id: job.id,
            created_ms: job.created_ms,
            due_ms: 0,
            pri: job.pri,
            ttr_s: job.ttr_s,
            delay_s: job.delay_s,
            body_len: 0,
            at: TubeRef { space: &self.engine.space(tube.space).text, tube: tube.name.as_str() },
            attrs: Attrs { buried_turn: Some(turn), is_damaged: true, ..attrs },
        });
        let (lsn, at) = self.journal.append_job(&record, &[])?;
        self.journal.depends_on(lsn);
        self.journal.let_go(job.at);
        self.reader.quarantine(job.at.segment);
        self.engine.lose_body(job.id, at);
        self.bodies.forget(job.id);
        Ok(Noted { lsn, turn })
    }

    /// The segment's file is kept when it leaves the log.
    pub(crate) fn keep_file_of(&self, segment: u64) {
        self.reader.quarantine(segment);
    }

    /// Whether the job has lost its body.
    pub(super) fn is_damaged(&self, id: JobId) -> bool {
        self.engine.facts(id).is_some_and(|facts: &Facts| facts.is_damaged)
    }

    /// Goes through the jobs whose body is in a segment that was read to its end: what can be read singly is returned, the
    /// others lose their bodies.
    pub(super) fn sort_out(&mut self, segment: u64) -> Result<Vec<(JobId, Vec<u8>)>, Trouble> {
        let mut readable = Vec::new();
        self.bring_jobs_in(segment);
        for job in self.engine.jobs_in(segment) {
            let mut payload = Vec::new();
            match self.reader.read(job.at, &mut payload) {
                Ok(_) => readable.push((job.id, payload)),
                Err(cause @ ReadError::Disk(_)) if self.compaction.through.is_none() => {
                    return Err(Trouble::Disk(cause));
                }
                Err(cause) => {
                    tracing::error!(job = job.id.0, %cause, "a job's body is lost; the job is buried");
                    let noted = self.give_up_body(&job)?;
                    self.engine.bury(job.id, noted.turn);
                    self.change(job.id, noted.lsn, |counts| counts.buries += 1);
                }
            }
        }
        Ok(readable)
    }
}

/// Why sorting out went no further.
pub(super) enum Trouble {
    /// The disk does not read.
    Disk(ReadError),
    /// The log takes nothing just now.
    Log,
}

impl From<AppendError> for Trouble {
    fn from(_: AppendError) -> Trouble {
        Trouble::Log
    }
}
