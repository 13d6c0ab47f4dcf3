//! Forebay's acknowledgements beside the syncs of the very same run: the queue runs in this process, on the machine's disk
//! behind an `Io` that takes the time of each sync, or that slows them to a set pace, so that what group commit is worth can
//! be seen on a machine whose own disk is fast.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use queue::{NoSink, NoTokens};
use stdx::clock::SystemClock;
use stdx::io::Disk;
use testkit::SlowDisk;

use crate::figures::{FOREBAY, Figure, round};
use crate::machine::{self, Part};
use crate::queue::client::Protocol;
use crate::queue::load::{self, Outcome, Target, histogram};
use crate::queue::{Effort, figure};

const SYNCS_PER_SECOND: u32 = 300;

/// Acknowledgements and syncs of puts over so many connections; the round whose p99 is the median.
pub(super) fn measure(connections: usize, effort: &Effort, folder: &Path) -> Result<Vec<Figure>> {
    let home = tempfile::tempdir_in(folder).context("no folder for the queue")?;
    let disk = SlowDisk::as_it_is(Disk);
    let mut rounds: Vec<(Outcome, [f64; 2], f64)> = Vec::new();
    with_queue(disk.clone(), home.path(), |addr| {
        for _ in 0..effort.rounds {
            disk.take_syncs();
            let outcome = load::put(to(addr), connections, effort.round)?;
            let mut us = histogram();
            for sync in disk.take_syncs() {
                us.saturating_record(u64::try_from(sync.as_micros()).unwrap_or(u64::MAX));
            }
            let ms = |percentile| us.value_at_percentile(percentile) as f64 / 1000.0;
            let puts_per_sync = outcome.jobs as f64 / us.len().max(1) as f64;
            rounds.push((outcome, [ms(50.0), ms(99.0)], puts_per_sync));
        }
        Ok(())
    })?;
    rounds.sort_by(|a, b| (a.0.ack_ms(99.0) / a.1[1]).total_cmp(&(b.0.ack_ms(99.0) / b.1[1])));
    let (outcome, [sync_p50, sync_p99], puts_per_sync) = &rounds[rounds.len() / 2];
    let of = |metric, value| figure(&format!("put-{connections}"), "with-its-syncs", FOREBAY, metric, value);
    Ok(vec![
        of("jobs_per_s", round(outcome.jobs_per_s(), 0)),
        of("ack_ms_p50", round(outcome.ack_ms(50.0), 3)),
        of("ack_ms_p99", round(outcome.ack_ms(99.0), 2)),
        of("sync_ms_p50", round(*sync_p50, 3)),
        of("sync_ms_p99", round(*sync_p99, 2)),
        of("ack_p50_over_sync_us", round((outcome.ack_ms(50.0) - sync_p50) * 1000.0, 0)),
        of("ack_p99_per_sync_p99", round(outcome.ack_ms(99.0) / sync_p99, 2)),
        of("puts_per_sync", round(*puts_per_sync, 1)),
    ])
}

/// Puts over 64 connections on a disk that does 300 syncs a second, and how many of them share a sync; the median round.
/// A server that syncs for each job does as many puts as there are syncs.
pub(super) fn measure_slow(effort: &Effort) -> Result<Vec<Figure>> {
    const CONNECTIONS: usize = 64;
    // In memory a sync costs nothing, so that the pace is the one that is set, whatever this machine's own disk does.
    let home = tempfile::tempdir_in("/dev/shm").context("no folder in memory")?;
    let mut rates = Vec::new();
    with_queue(SlowDisk::new(Disk, SYNCS_PER_SECOND), home.path(), |addr| {
        for _ in 0..effort.rounds {
            rates.push(load::put(to(addr), CONNECTIONS, effort.round)?.jobs_per_s());
        }
        Ok(())
    })?;
    rates.sort_by(f64::total_cmp);
    let median = rates[rates.len() / 2];
    let variant = format!("{SYNCS_PER_SECOND}-syncs");
    let of = |metric, value| figure(&format!("put-{CONNECTIONS}-slow"), &variant, FOREBAY, metric, value);
    Ok(vec![of("jobs_per_s", round(median, 0)), of("puts_per_sync", round(median / f64::from(SYNCS_PER_SECOND), 1))])
}

fn to(addr: SocketAddr) -> Target<'static> {
    Target { protocol: Protocol::Beanstalk, addr, queue: "bench" }
}

/// Runs the queue in this process, on the subjects' half of the machine, while something is measured.
fn with_queue(disk: SlowDisk<Disk>, home: &Path, measured: impl FnOnce(SocketAddr) -> Result<()>) -> Result<()> {
    let listen = "127.0.0.1:0".parse().context("the address of loopback")?;
    let config = queue::config::Config { listen: vec![listen], ..queue::config::Config::default() };
    let deps = queue::Deps {
        clock: SystemClock::shared(),
        tokens: Arc::new(NoTokens),
        sink: Arc::new(NoSink),
        sockets: Default::default(),
    };
    // Its threads inherit the half of the machine that they are started on.
    machine::move_to(Part::Subject)?;
    let started = queue::start_on(disk, config, home.join("queue"), deps);
    machine::move_to(Part::Driver)?;
    let queue = started.context("cannot start the queue")?;
    let addr = *queue.bound().first().context("the queue listens nowhere")?;
    let result = measured(addr);
    let runtime = tokio::runtime::Builder::new_current_thread().build().context("no runtime to stop the queue with")?;
    runtime.block_on(queue.stop());
    result
}
