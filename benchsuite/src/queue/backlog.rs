//! Far more than fits into memory: five gigabytes of jobs wait, and are then finished, while the server's memory is watched.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::figures::{Figure, round};
use crate::queue::load::{self, Target};
use crate::queue::many;
use crate::queue::rounds::Data;
use crate::queue::subject::{Class, Running, Subject};
use crate::queue::{BACKLOG, Effort, figure};

const BODY_BYTES: usize = 8 << 10;
/// A tube holds two gigabytes unless it is told otherwise.
const TUBES: [&str; 3] = ["one", "two", "three"];
const WORKERS: usize = 16;
const LOOK: Duration = Duration::from_millis(100);

/// Forebay alone, with the limits that it has by itself.
pub(super) fn measure(subjects: &[Subject], effort: &Effort, folder: &Path) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for subject in subjects.iter().filter(|subject| matches!(subject, Subject::Forebay(_))) {
        let data = Data::below(folder, subject.name())?;
        let running = subject.start(Class::Durable, &data.folder)?;
        let jobs = effort.backlog_bytes / BODY_BYTES as u64 / TUBES.len() as u64;
        let to = |queue| Target { protocol: subject.protocol(), addr: running.server.addr, queue };
        let began = Instant::now();
        let filled_max =
            watched(&running, || TUBES.iter().try_for_each(|tube| many::fill(to(tube), jobs, 0, BODY_BYTES)))?;
        let (filling, disk_bytes) = (began.elapsed(), data.bytes());
        let began = Instant::now();
        let drained_max = watched(&running, || {
            TUBES.iter().try_for_each(|tube| {
                let finished = load::finish(to(tube), WORKERS, jobs)?;
                ensure!(finished.jobs == jobs, "{} of {jobs} jobs came back", finished.jobs);
                Ok(())
            })
        })?;
        let total = (jobs * TUBES.len() as u64) as f64;
        let of = |metric, value| figure(BACKLOG, "durable", subject.name(), metric, value);
        figures.extend([
            of("backlog_mb", round(total * BODY_BYTES as f64 / 1e6, 0)),
            of("disk_mb", round(disk_bytes as f64 / 1e6, 0)),
            of("resident_mb_max_filling", round(filled_max as f64 / 1e6, 1)),
            of("resident_mb_max_draining", round(drained_max as f64 / 1e6, 1)),
            of("loaded_jobs_per_s", round(total / filling.as_secs_f64(), 0)),
            of("drained_jobs_per_s", round(total / began.elapsed().as_secs_f64(), 0)),
        ]);
    }
    Ok(figures)
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
