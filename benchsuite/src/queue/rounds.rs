//! The rounds of one scenario: interleaved, each with a fresh server and an empty folder; medians.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::figures::{Figure, round};
use crate::queue::disk;
use crate::queue::load::{self, Outcome, Target};
use crate::queue::subject::{Class, Running, Subject};
use crate::queue::{Effort, figure};

/// What the connections do.
#[derive(Clone, Copy, Debug)]
pub(super) enum Work {
    /// Each of so many puts.
    Put(usize),
    /// So many workers finish what was put before.
    Drain(usize),
    /// So many put, and as many finish.
    Mixed(usize),
}

impl Work {
    pub(super) fn name(self) -> String {
        match self {
            Work::Put(connections) => format!("put-{connections}"),
            Work::Drain(workers) => format!("drain-{workers}"),
            Work::Mixed(_) => "mixed".into(),
        }
    }

    /// One round.
    fn run(self, to: Target<'_>, effort: &Effort) -> Result<Outcome> {
        match self {
            Work::Put(connections) => load::put(to, connections, effort.round),
            Work::Drain(workers) => {
                let jobs = if workers == 1 { effort.drained } else { effort.drained * 6 };
                load::drain(to, workers, jobs, effort.round * 2)
            }
            Work::Mixed(pairs) => load::mixed(to, pairs, effort.round),
        }
    }
}

/// One subject's results so far.
struct Rounds<'a> {
    subject: &'a Subject,
    kept: Option<Running>,
    outcomes: Vec<Measured>,
}

struct Measured {
    outcome: Outcome,
    /// Of the server, without what was put before a drain being told apart.
    cpu: Duration,
    resident_bytes: u64,
}

const WARM_UP: Duration = Duration::from_millis(200);

/// Measures all subjects that offer the class.
pub(super) fn measure(
    subjects: &[Subject],
    class: Class,
    work: Work,
    effort: &Effort,
    folder: &Path,
) -> Result<Vec<Figure>> {
    let scenario = work.name();
    let mut all: Vec<Rounds<'_>> = subjects
        .iter()
        .filter(|subject| subject.offers(class))
        .map(|subject| Rounds { subject, kept: None, outcomes: Vec::new() })
        .collect();
    let before = disk::raw(folder, effort.disk)?;
    for n in 0..effort.rounds {
        for rounds in &mut all {
            let name = rounds.subject.name();
            rounds.one(class, work, n, effort, folder).with_context(|| format!("{scenario}, {name}"))?;
        }
    }
    let after = disk::raw(folder, effort.disk)?;
    let mut figures: Vec<Figure> = all.iter().flat_map(|rounds| rounds.summarise(&scenario, class, work)).collect();
    if class == Class::Durable {
        figures.extend(disk::figures(&scenario, &before, &after));
    }
    Ok(figures)
}

impl Rounds<'_> {
    fn one(&mut self, class: Class, work: Work, n: usize, effort: &Effort, folder: &Path) -> Result<()> {
        let data = Data::below(folder, self.subject.name())?;
        let running = match self.kept.take() {
            Some(running) => running,
            None => self.subject.start(class, &data.folder)?,
        };
        let queue = format!("bench-{n}");
        let to = Target { protocol: self.subject.protocol(), addr: running.server.addr, queue: &queue };
        load::put(Target { queue: "warm", ..to }, 1, WARM_UP)?;
        let cpu = running.server.cpu_time()?;
        let outcome = work.run(to, effort)?;
        let cpu = running.server.cpu_time()?.saturating_sub(cpu);
        self.outcomes.push(Measured { outcome, cpu, resident_bytes: running.server.resident_bytes() });
        if self.subject.is_kept_running() {
            // Its folder must live as long.
            self.kept = Some(running.with_data(data));
        }
        Ok(())
    }

    fn summarise(&self, scenario: &str, class: Class, work: Work) -> Vec<Figure> {
        let name = self.subject.name();
        let median = |of: &dyn Fn(&Measured) -> f64| {
            let mut values: Vec<f64> = self.outcomes.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let of = |metric, value| figure(scenario, class.name(), name, metric, value);
        let mut figures = vec![
            of("jobs_per_s", round(median(&|one| one.outcome.jobs_per_s()), 0)),
            of("ack_ms_p50", round(median(&|one| one.outcome.ack_ms(50.0)), 3)),
            of("ack_ms_p99", round(median(&|one| one.outcome.ack_ms(99.0)), 2)),
        ];
        // A drain's processor time would have that of the puts in it.
        if !matches!(work, Work::Drain(_)) {
            let cpu_us = |one: &Measured| one.cpu.as_secs_f64() * 1e6 / one.outcome.jobs.max(1) as f64;
            figures.push(of("cpu_us_per_job", round(median(&cpu_us), 1)));
        }
        figures.push(of("resident_mb", round(median(&|one| one.resident_bytes as f64 / 1e6), 1)));
        figures
    }
}

/// A server's folder, removed when it is dropped; what the server says stands beside it, so that the folder is empty.
#[derive(Debug)]
pub(super) struct Data {
    pub(super) folder: PathBuf,
    _home: tempfile::TempDir,
}

impl Data {
    pub(super) fn below(folder: &Path, name: &str) -> Result<Data> {
        let home = tempfile::Builder::new().prefix(name).tempdir_in(folder).context("no folder for a server")?;
        let folder = home.path().join("data");
        std::fs::create_dir(&folder).context("no folder for a server's data")?;
        Ok(Data { folder, _home: home })
    }

    /// Bytes that its files take on the disk.
    pub(super) fn bytes(&self) -> u64 {
        bytes_below(&self.folder)
    }
}

/// A file that goes while one looks has no bytes.
fn bytes_below(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = entries.map(|entry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => bytes_below(&entry.path()),
        Ok(meta) => meta.blocks() * 512,
        Err(_) => 0,
    });
    bytes.sum()
}
