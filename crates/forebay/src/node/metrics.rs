//! `GET /metrics`: the figures of all planes and of the process, for Prometheus.

use std::fs;

use axum::Router;
use axum::routing::get;
use control::metrics::{Exposition, Kind};
use control::plane::PlaneStatus;

use super::Planes;

/// What a plane can be, as `forebay ps` says it.
const STATES: [&str; 5] = ["running", "full", "draining", "failed", "stopped"];

/// The page of a node.
pub(super) fn of_node(planes: &Planes) -> Router {
    let (router, queue, logs) = (planes.router.clone(), planes.queue.clone(), planes.logs.clone());
    let statuses = [router.status(), queue.status(), logs.status(), planes.deploy.status()];
    Router::new().route(
        "/metrics",
        get(async move || {
            let mut page = Exposition::default();
            of_process(&mut page);
            of_planes(&mut page, &statuses);
            router.metrics(&mut page);
            of_logs(&mut page, &logs.stats());
            // A queue that has failed has no figures, and its state says so.
            if let Err(error) = queue::metrics::write(&queue, &mut page).await {
                tracing::debug!(%error, "the queue tells no figures");
            }
            page
        }),
    )
}

/// The page of a queue that runs alone.
pub(super) fn of_queue(queue: &queue::Handle) -> Router {
    let queue = queue.clone();
    Router::new().route(
        "/metrics",
        get(async move || {
            let mut page = Exposition::default();
            of_process(&mut page);
            of_planes(&mut page, &[queue.status()]);
            if let Err(error) = queue::metrics::write(&queue, &mut page).await {
                tracing::debug!(%error, "the queue tells no figures");
            }
            page
        }),
    )
}

/// The page of a router that runs alone.
pub(super) fn of_router(router: &router::Handle) -> Router {
    let router = router.clone();
    Router::new().route(
        "/metrics",
        get(async move || {
            let mut page = Exposition::default();
            of_process(&mut page);
            of_planes(&mut page, &[router.status()]);
            router.metrics(&mut page);
            page
        }),
    )
}

fn of_planes(page: &mut Exposition, statuses: &[PlaneStatus]) {
    let mut family = page.family("forebay_plane", Kind::Gauge, "1 for the state that a plane is in.");
    for row in statuses.iter().map(PlaneStatus::row) {
        for state in STATES {
            family.sample(&[("plane", &row.plane), ("state", state)], u8::from(row.state == state));
        }
    }
}

fn of_process(page: &mut Exposition) {
    page.family("forebay_build_info", Kind::Gauge, "1; the label says which version runs.")
        .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    // A figure that cannot be read is left out: no number is better than a wrong one.
    if let Some(seconds) = cpu_seconds() {
        page.one("process_cpu_seconds_total", Kind::Counter, "Processor time, user and system.", seconds);
    }
    if let Some(bytes) = resident_bytes() {
        page.one("process_resident_memory_bytes", Kind::Gauge, "Memory that is resident.", bytes);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        page.one("process_open_fds", Kind::Gauge, "Descriptors that are open.", open.count());
    }
}

/// Fields 14 and 15 of `/proc/self/stat` (proc(5)), which follow the name in brackets.
fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let ticks: u64 = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// The second field of `/proc/self/statm`, in pages.
fn resident_bytes() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

fn of_logs(page: &mut Exposition, stats: &logs::Stats) {
    let mut counter = |name, help, value: u64| page.one(name, Kind::Counter, help, value);
    counter("forebay_logs_records_total", "Records stored since the start.", stats.records);
    counter("forebay_logs_record_bytes_total", "Bytes of the records stored.", stats.bytes);
    counter("forebay_logs_dropped_total", "Records offered and dropped.", stats.dropped);
    counter("forebay_logs_refused_total", "Records whose sender was refused and has them still.", stats.refused);
    counter("forebay_logs_commits_total", "Commits to disk.", stats.commits);
    let mut gauge = |name, help, value: u64| page.one(name, Kind::Gauge, help, value);
    gauge("forebay_logs_pending_bytes", "Bytes that wait for the disk.", stats.pending_bytes);
    gauge("forebay_logs_segments", "Segments on disk.", stats.segments);
    gauge("forebay_logs_disk_bytes", "Bytes on disk.", stats.disk_bytes);
    gauge("forebay_logs_queries", "Queries that run.", stats.queries.into());
    gauge("forebay_logs_tails", "Tails that run.", stats.tails.into());
}
