//! The plane's figures as Prometheus reads them: the text format, version 0.0.4.

use std::fmt::Write;

use control::error::ApiError;
use control::wire::{QueueRow, QueueStatus};

use crate::handle::Handle;

/// Tubes that are told one by one, those with the most jobs; the rest are one line, so that a client that makes tubes does not
/// make a monitoring system fall over.
pub const TUBES_MAX: usize = 1_000;

/// All figures of the plane.
///
/// # Errors
/// `queue_unavailable`: whoever serves metrics says so instead.
pub async fn render(handle: &Handle) -> Result<String, ApiError> {
    let (status, rows) = (handle.figures().await?, handle.rows().await?);
    let histograms = handle.histograms().await?;
    let mut text = String::new();
    of_plane(&mut text, &status);
    for (name, help, bounds) in [
        ("forebay_queue_sync_seconds", "Time to write and sync a batch.", &histograms.sync),
        ("forebay_queue_ack_seconds", "Time that answers waited for their batch.", &histograms.ack),
    ] {
        histogram(&mut text, name, help, bounds);
    }
    of_tubes(&mut text, rows);
    Ok(text)
}

/// A histogram as cumulated counts: upper bounds in seconds, and the sum.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Cumulated {
    pub(crate) buckets: Vec<(f64, u64)>,
    pub(crate) count: u64,
    pub(crate) sum_s: f64,
}

/// The plane's histograms.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Histograms {
    pub(crate) sync: Cumulated,
    pub(crate) ack: Cumulated,
}

fn of_plane(text: &mut String, status: &QueueStatus) {
    let gauges = [
        ("forebay_queue_connections", "Connections of clients.", status.connections as f64),
        ("forebay_queue_tubes", "Tubes.", status.tubes as f64),
        (
            "forebay_queue_draining",
            "1 while jobs are refused because of drain mode.",
            f64::from(u8::from(status.draining)),
        ),
        (
            "forebay_queue_disk_low",
            "1 while jobs are refused because of the disk.",
            f64::from(u8::from(status.disk_low)),
        ),
    ];
    for (name, help, value) in gauges {
        head(text, name, help, "gauge");
        line(text, name, "", value);
    }
    head(text, "forebay_queue_syncs_total", "Batches written and synced.", "counter");
    line(text, "forebay_queue_syncs_total", "", status.syncs as f64);
}

fn histogram(text: &mut String, name: &str, help: &str, values: &Cumulated) {
    head(text, name, help, "histogram");
    for (bound, count) in &values.buckets {
        line(text, &format!("{name}_bucket"), &format!("{{le=\"{bound}\"}}"), *count as f64);
    }
    line(text, &format!("{name}_bucket"), "{le=\"+Inf\"}", values.count as f64);
    line(text, &format!("{name}_sum"), "", values.sum_s);
    line(text, &format!("{name}_count"), "", values.count as f64);
}

/// One family of figures: its name, what it is, its type, and how a tube tells it. `None`: there is nothing to tell.
type Family = (&'static str, &'static str, &'static str, fn(&QueueRow) -> Option<f64>);

const FAMILIES: [Family; 9] = [
    ("forebay_queue_bytes", "Bytes of job bodies.", "gauge", |row| Some(row.bytes as f64)),
    ("forebay_queue_oldest_ready_seconds", "Age of the oldest ready job.", "gauge", |row| {
        row.oldest_ready_ms.map(|ms| ms as f64 / 1_000.0)
    }),
    ("forebay_queue_waiting", "Connections waiting for a job.", "gauge", |row| Some(row.waiting as f64)),
    ("forebay_queue_paused", "1 while nobody gets a job.", "gauge", |row| {
        Some(f64::from(u8::from(row.paused_until_ms.is_some())))
    }),
    ("forebay_queue_arrivals_per_second", "Jobs put per second, of late.", "gauge", |row| {
        Some(row.burden.arrivals_per_s)
    }),
    ("forebay_queue_services_per_second", "Jobs deleted per second, of late.", "gauge", |row| {
        Some(row.burden.services_per_s)
    }),
    ("forebay_queue_drain_seconds", "When the tube is empty at these rates; absent when it grows.", "gauge", |row| {
        row.burden.drain_ms.map(|ms| ms as f64 / 1_000.0)
    }),
    ("forebay_queue_jobs_put_total", "Jobs ever put.", "counter", |row| Some(row.total as f64)),
    ("forebay_queue_timeouts_total", "Reservations that ran out.", "counter", |row| Some(row.timeouts as f64)),
];

fn of_tubes(text: &mut String, mut rows: Vec<QueueRow>) {
    let jobs = |row: &QueueRow| row.ready + row.reserved + row.delayed + row.buried;
    rows.sort_by_key(|row| std::cmp::Reverse(jobs(row)));
    let untold = rows.split_off(rows.len().min(TUBES_MAX));
    let labels: Vec<String> = rows.iter().map(labels).collect();
    let name = "forebay_queue_jobs";
    head(text, name, "Jobs by state.", "gauge");
    for (row, labels) in rows.iter().zip(&labels) {
        for (state, jobs) in
            [("ready", row.ready), ("reserved", row.reserved), ("delayed", row.delayed), ("buried", row.buried)]
        {
            line(text, name, &format!("{{{labels},state=\"{state}\"}}"), jobs as f64);
        }
    }
    head(text, "forebay_queue_untold_tubes", "Tubes beyond the limit of those told one by one.", "gauge");
    line(text, "forebay_queue_untold_tubes", "", untold.len() as f64);
    head(text, "forebay_queue_untold_jobs", "Jobs in these.", "gauge");
    line(text, "forebay_queue_untold_jobs", "", untold.iter().map(jobs).sum::<u64>() as f64);
    for (name, help, kind, value) in FAMILIES {
        head(text, name, help, kind);
        for (row, labels) in rows.iter().zip(&labels) {
            if let Some(value) = value(row) {
                line(text, name, &format!("{{{labels}}}"), value);
            }
        }
    }
}

/// Names need no escapes: none of them may hold a quote, a backslash or a line feed.
fn labels(row: &QueueRow) -> String {
    let text = |name: Option<String>| name.unwrap_or_default();
    let (app, env) = (row.app.as_ref().map(ToString::to_string), row.environment.as_ref().map(ToString::to_string));
    format!("app=\"{}\",environment=\"{}\",tube=\"{}\"", text(app), text(env), row.tube)
}

fn head(text: &mut String, name: &str, help: &str, kind: &str) {
    add(text, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
}

fn line(text: &mut String, name: &str, labels: &str, value: f64) {
    add(text, format_args!("{name}{labels} {value}\n"));
}

fn add(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a String takes what is written to it");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_tubes_are_told_and_the_rest_is_summed_up() {
        let rows = (0..1_003).map(|n| QueueRow { tube: format!("t{n}"), ready: n, ..QueueRow::default() }).collect();
        let mut text = String::new();
        of_tubes(&mut text, rows);
        assert!(text.contains("forebay_queue_jobs{app=\"\",environment=\"\",tube=\"t1002\",state=\"ready\"} 1002\n"));
        assert!(!text.contains("tube=\"t2\""));
        assert!(text.contains("forebay_queue_untold_tubes 3\n") && text.contains("forebay_queue_untold_jobs 3\n"));
        assert!(!text.contains("forebay_queue_oldest_ready_seconds{"), "no job, no age");
    }

    #[test]
    fn a_histogram_is_cumulated() {
        let values = Cumulated { buckets: vec![(0.001, 3), (0.01, 5)], count: 6, sum_s: 0.25 };
        let mut text = String::new();
        histogram(&mut text, "x", "Help.", &values);
        assert_eq!(
            text,
            "# HELP x Help.\n# TYPE x histogram\nx_bucket{le=\"0.001\"} 3\nx_bucket{le=\"0.01\"} 5\nx_bucket{le=\"+Inf\"} 6\n\
             x_sum 0.25\nx_count 6\n"
        );
    }
}
