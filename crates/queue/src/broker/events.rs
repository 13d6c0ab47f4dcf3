//! Events on their way to the sink: they are told when they are durable.

use std::collections::VecDeque;
use std::sync::Arc;

use wal::Lsn;

use super::Broker;
use crate::engine::{Facts, Job, Now};
use crate::event::{JobChange, JobEvent, JobSink};
use stdx::io::Io;

/// Events that may wait; more are dropped and counted.
const WAITING_MAX: usize = 100_000;

pub(super) struct Events {
    sink: Arc<dyn JobSink>,
    waiting: VecDeque<(Lsn, JobEvent)>,
    dropped: u64,
}

impl Events {
    pub(super) fn new(sink: Arc<dyn JobSink>) -> Events {
        Events { sink, waiting: VecDeque::new(), dropped: 0 }
    }

    /// Tells what has become durable.
    pub(super) fn release(&mut self, durable: Lsn) {
        while let Some((_, event)) = self.waiting.pop_front_if(|(lsn, _)| *lsn <= durable) {
            self.sink.record(event);
        }
        if self.dropped > 0 && self.waiting.is_empty() {
            tracing::warn!(dropped = self.dropped, "job events were dropped while the log did not get on");
            self.dropped = 0;
        }
    }

    /// Nothing more will become durable.
    pub(super) fn fail(&mut self) {
        self.waiting.clear();
    }

    fn push(&mut self, lsn: Lsn, durable: Lsn, event: JobEvent) {
        if lsn <= durable && self.waiting.is_empty() {
            self.sink.record(event);
        } else if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back((lsn, event));
        } else {
            self.dropped += 1;
        }
    }
}

impl<D: Io> Broker<D> {
    /// Tells the sink about a job that has a trace, once `lsn` is durable.
    pub(super) fn tell(&mut self, job: &Job, facts: &Facts, what: JobChange, lsn: Lsn, now: Now) {
        let Some(trace) = facts.trace else { return };
        let tube = self.engine.tube(job.tube);
        let event = JobEvent {
            time: self.wall_clock(now),
            trace,
            namespace: self.engine.space(tube.space).name.clone(),
            tube: tube.name.clone(),
            job: job.id,
            what,
            reserves: facts.counts.reserves,
            bytes: job.body_len,
            age_ms: now.wall.millis().saturating_sub(job.created_ms),
        };
        self.events.push(lsn, self.journal.durable(), event);
    }
}
