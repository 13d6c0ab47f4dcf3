//! Forebay's queue on a disk that is slowed down through its `Io` seam, so that what group commit is worth can be seen on a
//! machine whose own disk is fast: a server that syncs for each job does as many puts as there are syncs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use queue::{NoSink, NoTokens};
use stdx::clock::SystemClock;
use stdx::io::Disk;
use testkit::SlowDisk;

use crate::figures::{FOREBAY, Figure, round};
use crate::machine::{self, Half};
use crate::queue::driver::{self, Protocol};

const SYNCS_PER_SECOND: u32 = 300;
const CONNECTIONS: usize = 64;

/// Puts over 64 connections, and how many of them share a sync; the median round.
pub(super) fn measure(rounds: usize, during: Duration) -> Result<[Figure; 2]> {
    // In memory a sync costs nothing, so that the pace is the one that is set, whatever this machine's own disk does.
    let folder = tempfile::tempdir_in("/dev/shm").context("no folder in memory")?;
    let disk = SlowDisk::new(Disk, SYNCS_PER_SECOND);
    let listen = "127.0.0.1:0".parse().context("the address of loopback")?;
    let config = queue::config::Config { listen: vec![listen], ..queue::config::Config::default() };
    let deps = queue::Deps { clock: SystemClock::shared(), tokens: Arc::new(NoTokens), sink: Arc::new(NoSink) };
    // Its threads inherit the half of the machine that they are started on.
    machine::move_to(Half::Subject)?;
    let started = queue::start_on(disk, config, folder.path().join("queue"), deps);
    machine::move_to(Half::Driver)?;
    let queue = started.context("cannot start the queue on a slow disk")?;
    let addr = *queue.bound().first().context("the queue listens nowhere")?;
    let put = |_| driver::put(Protocol::Beanstalk, addr, CONNECTIONS, during);
    let outcomes: Result<Vec<_>> = (0..rounds).map(put).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().build().context("no runtime to stop the queue with")?;
    runtime.block_on(queue.stop());
    let mut puts_per_s: Vec<f64> = outcomes?.iter().map(|outcome| outcome.puts_per_s).collect();
    puts_per_s.sort_by(f64::total_cmp);
    let median = puts_per_s[puts_per_s.len() / 2];
    let figure = |metric, value| Figure {
        bench: "queue",
        scenario: format!("put-{CONNECTIONS}-slow"),
        variant: format!("{SYNCS_PER_SECOND}-syncs"),
        subject: FOREBAY.into(),
        metric,
        value,
        ratio: BTreeMap::new(),
    };
    Ok([
        figure("puts_per_s", round(median, 0)),
        figure("puts_per_sync", round(median / f64::from(SYNCS_PER_SECOND), 1)),
    ])
}
