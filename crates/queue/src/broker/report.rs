//! What the admin API shows of the tubes.

use std::collections::BTreeMap;

use control::wire::{BurdenRow, QueueRow};
use stdx::ids::Scope;
use stdx::io::Io;

use super::Broker;
use crate::alert::Gauge;
use crate::engine::{Now, PauseNote, Tube, time_to_drain};
use crate::event::AlertKind;
use crate::names::Namespace;

impl<D: Io> Broker<D> {
    /// One row per tube, by namespace and name.
    pub(crate) fn rows(&self, now: Now) -> Vec<QueueRow> {
        let mut rows: Vec<QueueRow> = self.engine.tubes().map(|tube| self.row(tube, now)).collect();
        self.count_dead(&mut rows);
        rows.sort_by(|a, b| (&a.app, &a.environment, &a.tube).cmp(&(&b.app, &b.environment, &b.tube)));
        rows
    }

    fn row(&self, tube: &Tube, now: Now) -> QueueRow {
        let scope = self.engine.space(tube.space).name.0.clone();
        QueueRow {
            app: scope.as_ref().map(|scope| scope.app.clone()),
            environment: scope.map(|scope| scope.env),
            tube: tube.name.to_string(),
            ready: tube.figures.ready,
            reserved: tube.figures.reserved,
            delayed: tube.figures.delayed,
            buried: tube.figures.buried,
            bytes: tube.figures.bytes,
            oldest_ready_ms: self.oldest_ready_ms(tube, now),
            waiting: tube.waiting.len() as u64,
            total: tube.totals.jobs,
            deleted: tube.totals.deletes,
            timeouts: tube.totals.timeouts,
            releases: tube.totals.releases,
            failures: tube.totals.failures,
            durability: tube.config.durability.to_string(),
            burden: burden(tube, now),
            push: None,
            paused_until_ms: tube.pause.as_ref().map(|pause| pause.until_ms),
            paused_by: said(tube, |note| &note.by),
            paused_why: said(tube, |note| &note.why),
            dead: 0,
            alerts: Vec::new(),
        }
    }

    fn oldest_ready_ms(&self, tube: &Tube, now: Now) -> Option<u64> {
        let oldest = tube.oldest_ready().and_then(|id| self.engine.job(id));
        oldest.map(|job| now.wall.millis().saturating_sub(job.created_ms))
    }

    /// Adds to each tube how many of its jobs are dead. They are few; the tubes in which none is are not looked at.
    fn count_dead(&self, rows: &mut [QueueRow]) {
        let mut dead: BTreeMap<(&Namespace, &str), u64> = BTreeMap::new();
        for job in self.engine.dead().filter_map(|id| self.engine.job(id)) {
            let tube = self.engine.tube(job.tube);
            *dead.entry((&self.engine.space(tube.space).name, tube.name.as_str())).or_default() += 1;
        }
        if dead.is_empty() {
            return;
        }
        for row in rows {
            let scope = row.app.clone().zip(row.environment.clone()).map(|(app, env)| Scope { app, env });
            row.dead = dead.get(&(&Namespace(scope), row.tube.as_str())).copied().unwrap_or(0);
        }
    }

    /// What is measured of the tubes that have alerts.
    pub(crate) fn watched(&self, now: Now) -> Vec<Gauge> {
        if !self.engine.has_alerts() {
            return Vec::new();
        }
        self.engine.tubes().flat_map(|tube| self.gauges(tube, now)).collect()
    }

    fn gauges(&self, tube: &Tube, now: Now) -> impl Iterator<Item = Gauge> {
        let gauge = |kind, value_ms, limit_ms| {
            let namespace = self.engine.space(tube.space).name.clone();
            Gauge { namespace, tube: tube.name.to_string(), kind, value_ms, limit_ms }
        };
        let (age_ms, drain_ms) = (tube.config.alert_age_ms, tube.config.alert_drain_ms);
        let age =
            (age_ms > 0).then(|| gauge(AlertKind::Age, Some(self.oldest_ready_ms(tube, now).unwrap_or(0)), age_ms));
        let drain = (drain_ms > 0).then(|| gauge(AlertKind::Drain, burden(tube, now).drain_ms, drain_ms));
        age.into_iter().chain(drain)
    }
}

/// What is said of the tube's pause.
fn said(tube: &Tube, which: impl Fn(&PauseNote) -> &str) -> Option<String> {
    tube.pause.as_ref().map(|pause| which(&pause.note)).filter(|text| !text.is_empty()).map(ToOwned::to_owned)
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
