//! The plane's figures as Prometheus reads them.

use control::error::ApiError;
use control::metrics::{Exposition, Kind};
use control::wire::{QueueRow, QueueStatus};

use crate::handle::Handle;

/// Tubes with series of their own, those with the most jobs; the rest is summed up, so that a client that makes tubes does not make
/// a monitoring system fall over.
pub const TUBES_MAX: usize = 1_000;

/// Writes all figures of the plane.
///
/// # Errors
/// `queue_unavailable`: a queue that has failed has no figures, and nothing was written.
pub async fn write(handle: &Handle, page: &mut Exposition) -> Result<(), ApiError> {
    let (status, histograms, rows) = (handle.figures().await?, handle.histograms().await?, handle.rows().await?);
    of_plane(page, &status);
    for (name, help, values) in [
        ("forebay_queue_sync_seconds", "Time to write and sync a batch.", &histograms.sync),
        ("forebay_queue_ack_seconds", "Time that answers waited for their batch.", &histograms.ack),
    ] {
        page.family(name, Kind::Histogram, help).histogram(&[], &values.bounds_s, &values.counts, values.sum_s);
    }
    of_tubes(page, rows);
    Ok(())
}

/// How often what time was measured: counts between the bounds, one more than there are bounds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Measured {
    pub(crate) bounds_s: Vec<f64>,
    pub(crate) counts: Vec<u64>,
    pub(crate) sum_s: f64,
}

/// The plane's histograms.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Histograms {
    pub(crate) sync: Measured,
    pub(crate) ack: Measured,
}

fn of_plane(page: &mut Exposition, status: &QueueStatus) {
    let gauges = [
        ("forebay_queue_connections", "Connections of clients.", status.connections),
        ("forebay_queue_tubes", "Tubes that there are.", status.tubes),
        ("forebay_queue_draining", "1 while jobs are refused because of drain mode.", status.draining.into()),
        ("forebay_queue_disk_low", "1 while jobs are refused because of the disk.", status.disk_low.into()),
        ("forebay_queue_far_jobs", "Delayed jobs that memory knows of by bucket only.", status.far_jobs),
        ("forebay_queue_memory_bytes", "Memory that jobs and connections take.", status.memory_bytes),
        ("forebay_queue_memory_max_bytes", "What of it they may take.", status.memory_bytes_max),
    ];
    for (name, help, value) in gauges {
        page.one(name, Kind::Gauge, help, value);
    }
    page.one("forebay_queue_syncs_total", Kind::Counter, "Batches written and synced.", status.syncs);
}

/// One family of figures: its name, its type, what it is, and how a tube tells it. `None`: there is nothing to tell.
type Family = (&'static str, Kind, &'static str, fn(&QueueRow) -> Option<f64>);

const FAMILIES: [Family; 13] = [
    ("forebay_queue_put_total", Kind::Counter, "Jobs ever put into a tube.", |row| Some(row.total as f64)),
    ("forebay_queue_deleted_total", Kind::Counter, "Jobs ever deleted.", |row| Some(row.deleted as f64)),
    ("forebay_queue_timeouts_total", Kind::Counter, "Reservations that ran out.", |row| Some(row.timeouts as f64)),
    ("forebay_queue_releases_total", Kind::Counter, "Reservations that were given back.", |row| {
        Some(row.releases as f64)
    }),
    ("forebay_queue_failures_total", Kind::Counter, "Attempts that failed, as their holders said.", |row| {
        Some(row.failures as f64)
    }),
    ("forebay_queue_bytes", Kind::Gauge, "Bytes of the bodies of a tube's jobs.", |row| Some(row.bytes as f64)),
    ("forebay_queue_oldest_ready_seconds", Kind::Gauge, "Age of a tube's oldest ready job, 0 without one.", |row| {
        Some(row.oldest_ready_ms.unwrap_or_default() as f64 / 1e3)
    }),
    ("forebay_queue_dead", Kind::Gauge, "Jobs of a tube that had all their attempts.", |row| Some(row.dead as f64)),
    ("forebay_queue_waiting", Kind::Gauge, "Connections that wait for a job of a tube.", |row| {
        Some(row.waiting as f64)
    }),
    ("forebay_queue_paused", Kind::Gauge, "1 while nobody gets a job of the tube.", |row| {
        Some(u8::from(row.paused_until_ms.is_some()).into())
    }),
    ("forebay_queue_arrivals_per_second", Kind::Gauge, "Jobs put, of late.", |row| Some(row.burden.arrivals_per_s)),
    ("forebay_queue_services_per_second", Kind::Gauge, "Jobs deleted, of late.", |row| Some(row.burden.services_per_s)),
    (
        "forebay_queue_drain_seconds",
        Kind::Gauge,
        "When the tube is empty at these rates; absent when it grows.",
        |row| row.burden.drain_ms.map(|ms| ms as f64 / 1e3),
    ),
];

fn of_tubes(page: &mut Exposition, mut rows: Vec<QueueRow>) {
    let jobs = |row: &QueueRow| row.ready + row.reserved + row.delayed + row.buried;
    rows.sort_by_key(|row| std::cmp::Reverse(jobs(row)));
    let omitted = rows.split_off(rows.len().min(TUBES_MAX));
    page.one("forebay_queue_series_omitted", Kind::Gauge, "Tubes without series of their own.", omitted.len());
    let left: u64 = omitted.iter().map(jobs).sum();
    page.one("forebay_queue_jobs_omitted", Kind::Gauge, "Jobs in tubes without series of their own.", left);
    let text = |name: Option<String>| name.unwrap_or_default();
    let names = rows.iter().map(|row| {
        (text(row.app.as_ref().map(ToString::to_string)), text(row.environment.as_ref().map(ToString::to_string)))
    });
    let names: Vec<(String, String)> = names.collect();
    let labelled = || {
        rows.iter().zip(&names).map(|(row, (app, environment))| {
            (row, [("app", app.as_str()), ("environment", environment.as_str()), ("tube", row.tube.as_str())])
        })
    };
    let mut family = page.family("forebay_queue_jobs", Kind::Gauge, "Jobs in a tube, by their state.");
    for (row, [app, environment, tube]) in labelled() {
        let states =
            [("ready", row.ready), ("reserved", row.reserved), ("delayed", row.delayed), ("buried", row.buried)];
        for (state, jobs) in states {
            family.sample(&[app, environment, tube, ("state", state)], jobs);
        }
    }
    let mut family =
        page.family("forebay_queue_alert", Kind::Gauge, "1 for each alert that is raised; absent when it is not.");
    for (row, [app, environment, tube]) in labelled() {
        for alert in &row.alerts {
            family.sample(&[app, environment, tube, ("kind", alert.kind.as_str())], 1);
        }
    }
    for (name, kind, help, value) in FAMILIES {
        let mut family = page.family(name, kind, help);
        for (row, labels) in labelled() {
            if let Some(value) = value(row) {
                family.sample(&labels, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_tubes_are_told_and_the_rest_is_summed_up() {
        let rows = (0..1_003).map(|n| QueueRow { tube: format!("t{n}"), ready: n, ..QueueRow::default() }).collect();
        let mut page = Exposition::default();
        of_tubes(&mut page, rows);
        let text = page.into_text();
        assert!(text.contains("forebay_queue_jobs{app=\"\",environment=\"\",tube=\"t1002\",state=\"ready\"} 1002\n"));
        assert!(!text.contains("tube=\"t2\""));
        assert!(text.contains("forebay_queue_series_omitted 3\n") && text.contains("forebay_queue_jobs_omitted 3\n"));
        assert!(!text.contains("forebay_queue_drain_seconds{"), "a tube that grows does not drain");
    }
}
