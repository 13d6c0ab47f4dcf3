//! What the admin API shows of the tubes.

use control::wire::{BurdenRow, QueueRow};
use stdx::io::Io;

use super::Broker;
use crate::engine::{Now, Tube, time_to_drain};

impl<D: Io> Broker<D> {
    /// One row per tube, by namespace and name.
    pub(crate) fn rows(&self, now: Now) -> Vec<QueueRow> {
        let mut rows: Vec<QueueRow> = self.engine.tubes().map(|tube| self.row(tube, now)).collect();
        rows.sort_by(|a, b| (&a.app, &a.environment, &a.tube).cmp(&(&b.app, &b.environment, &b.tube)));
        rows
    }

    fn row(&self, tube: &Tube, now: Now) -> QueueRow {
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
            oldest_ready_ms: oldest.map(|job| now.wall.millis().saturating_sub(job.created_ms)),
            waiting: tube.waiting.len() as u64,
            total: tube.totals.jobs,
            deleted: tube.totals.deletes,
            timeouts: tube.totals.timeouts,
            durability: tube.config.durability.to_string(),
            burden: burden(tube, now),
            push: None,
            paused_until_ms: tube.pause.map(|pause| pause.until_ms),
        }
    }
}

fn burden(tube: &Tube, now: Now) -> BurdenRow {
    let (arrivals, services) = (tube.arrivals.per_second(now.mono), tube.services.per_second(now.mono));
    let left = time_to_drain(tube.figures.ready + tube.figures.reserved, arrivals, services);
    // What nobody can tell apart from zero is none; three digits are all that is known.
    let rounded = |rate: f64| (rate * 1_000.0).round() / 1_000.0;
    BurdenRow {
        arrivals_per_s: rounded(arrivals),
        services_per_s: rounded(services),
        drain_ms: left.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
    }
}
