//! What the admin API shows of the tubes.

use control::wire::QueueRow;
use stdx::clock::Wall;
use stdx::io::Io;

use super::Broker;
use crate::engine::Tube;

impl<D: Io> Broker<D> {
    /// One row per tube, by namespace and name.
    pub(crate) fn rows(&self, now: Wall) -> Vec<QueueRow> {
        let mut rows: Vec<QueueRow> = self.engine.tubes().map(|tube| self.row(tube, now)).collect();
        rows.sort_by(|a, b| (&a.app, &a.environment, &a.tube).cmp(&(&b.app, &b.environment, &b.tube)));
        rows
    }

    fn row(&self, tube: &Tube, now: Wall) -> QueueRow {
        let scope = self.engine.space(tube.space).name.0.clone();
        let oldest = tube.oldest_ready().and_then(|id| self.engine.job(id));
        QueueRow {
            app: scope.as_ref().map(|scope| scope.app.clone()),
            environment: scope.map(|scope| scope.env),
            tube: tube.name.to_string(),
            ready: tube.figures.ready,
            reserved: tube.figures.reserved,
            delayed: tube.figures.delayed,
            buried: tube.figures.buried,
            bytes: tube.figures.bytes,
            oldest_ready_ms: oldest.map(|job| now.millis().saturating_sub(job.created_ms)),
            waiting: tube.waiting.len() as u64,
            total: tube.totals.jobs,
            durability: tube.config.durability.to_string(),
        }
    }
}

#[cfg(test)]
impl<D: Io> Broker<D> {
    /// How many jobs compaction has moved.
    pub(crate) fn moved(&self) -> u64 {
        self.journal.records_moved
    }

    /// A job's body, priority and state.
    pub(crate) fn look(&mut self, id: crate::names::JobId) -> Option<(String, u32, &'static str)> {
        let body = self.engine.job(id).is_some().then(|| self.body(id).expect("every body can be read"))?;
        let job = self.engine.job(id)?;
        Some((String::from_utf8_lossy(&body).into_owned(), job.pri, job.state.word()))
    }
}
