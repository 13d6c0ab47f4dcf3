//! Far more than fits into memory: five gigabytes of jobs wait on a hundred megabytes of budget, are there again after a kill,
//! and are then finished, each once, while the server's memory is watched.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::figures::{Figure, round};
use crate::queue::load::{self, Target};
use crate::queue::many;
use crate::queue::rounds::Data;
use crate::queue::subject::{Class, Running, Subject};
use crate::queue::{BACKLOG, Effort, figure};

const BODY_BYTES: usize = 4 << 10;
/// A tube holds a million jobs and two gigabytes unless it is told otherwise.
const TUBES: [&str; 3] = ["one", "two", "three"];
const WORKERS: usize = 16;
const LOOK: Duration = Duration::from_millis(100);

/// The budget: what is known of jobs, bodies kept beside the disk, bodies and answers on their way. Connections, code and
/// what the allocator holds come beside it.
const BUDGET: [(&str, u64); 4] = [
    ("index_bytes_max", 80 << 20),
    ("body_cache_bytes_max", 8 << 20),
    ("input_bytes_max", 8 << 20),
    ("volatile_bytes_max", 4 << 20),
];

/// Forebay alone.
pub(super) fn measure(subjects: &[Subject], effort: &Effort, folder: &Path) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for subject in subjects.iter().filter(|subject| matches!(subject, Subject::Forebay(_))) {
        figures.extend(one(subject, effort, folder)?);
    }
    Ok(figures)
}

fn one(subject: &Subject, effort: &Effort, folder: &Path) -> Result<Vec<Figure>> {
    let data = Data::below(folder, subject.name())?;
    let config = data.folder.with_extension("toml");
    std::fs::write(&config, node_toml()).context("cannot write a configuration")?;
    let start = || subject.start_with(Class::Durable, &data.folder, Some(&config));
    let running = start()?;
    let jobs = effort.backlog_bytes / BODY_BYTES as u64 / TUBES.len() as u64;
    let to = |running: &Running, queue| Target { protocol: subject.protocol(), addr: running.server.addr, queue };
    let began = Instant::now();
    let fill = |tube: &&'static str| many::fill(to(&running, tube), jobs, 0, BODY_BYTES);
    let filled_max = watched(&running, || TUBES.iter().try_for_each(fill))?;
    let (filling, disk_bytes) = (began.elapsed(), data.bytes());
    // Dropped is killed.
    drop(running);

    let began = Instant::now();
    let running = start()?;
    for tube in TUBES {
        let counted = count(to(&running, tube))?;
        ensure!(counted == jobs, "{counted} of {jobs} jobs are there again");
    }
    let (recovery, recovered_bytes) = (began.elapsed(), running.server.resident_bytes());

    let began = Instant::now();
    let drained_max = watched(&running, || {
        TUBES.iter().try_for_each(|tube| {
            let finished = load::finish(to(&running, tube), WORKERS, jobs)?;
            ensure!(finished.jobs == jobs, "{} of {jobs} jobs came back", finished.jobs);
            let left = count(to(&running, tube))?;
            ensure!(left == 0, "{left} jobs more than were put");
            Ok(())
        })
    })?;
    let total = (jobs * TUBES.len() as u64) as f64;
    let of = |metric, value| figure(BACKLOG, "durable", subject.name(), metric, value);
    let mb = |bytes: u64| round(bytes as f64 / 1e6, 1);
    Ok(vec![
        of("backlog_mb", round(total * BODY_BYTES as f64 / 1e6, 0)),
        of("disk_mb", mb(disk_bytes)),
        of("resident_mb_max_filling", mb(filled_max)),
        of("loaded_jobs_per_s", round(total / filling.as_secs_f64(), 0)),
        of("recovery_s", round(recovery.as_secs_f64(), 2)),
        of("recovered_resident_mb", mb(recovered_bytes)),
        of("resident_mb_max_draining", mb(drained_max)),
        of("drained_jobs_per_s", round(total / began.elapsed().as_secs_f64(), 0)),
    ])
}

fn count(to: Target<'_>) -> Result<u64> {
    load::run(async { load::connect(to, 1).await?.remove(0).count().await })
}

fn node_toml() -> String {
    let mut text = String::from("schema = 1\n\n[queue]\n");
    for (key, bytes) in BUDGET {
        writeln!(text, "{key} = {bytes}").expect("a string takes all");
    }
    text
}

/// The most memory that the server had while something was done.
fn watched(running: &Running, work: impl FnOnce() -> Result<()>) -> Result<u64> {
    let (done, is_done) = std::sync::mpsc::sync_channel::<()>(0);
    let server = &running.server;
    std::thread::scope(|scope| {
        let watcher = scope.spawn(move || {
            let mut most = 0;
            while is_done.recv_timeout(LOOK) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                most = most.max(server.resident_bytes());
            }
            most
        });
        let worked = work();
        drop(done);
        let most = watcher.join().ok().context("the watcher panicked")?;
        worked.map(|()| most)
    })
}
