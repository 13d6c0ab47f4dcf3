//! The queue beside its peers: jobs per second, each acknowledged only when it is as safe as was asked for; what a million
//! of them cost; how long a start takes; what endless churn leaves on the disk.
//!
//! The disk's own rate of small syncs is measured beside, because it is what everybody is up against. Forebay runs as
//! `queue serve`, without a node: it writes no job records.

mod backlog;
mod churn;
mod client;
mod disk;
mod jitter;
mod load;
mod many;
mod rabbitmq;
mod rounds;
mod subject;
mod syncs;
mod wide;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::figures::{self, Figure, Format};
use crate::machine::{self, Part};
use crate::queue::rounds::Work;
use crate::queue::subject::{Class, Subject};
use crate::server;

/// How much is measured.
struct Effort {
    rounds: usize,
    round: Duration,
    /// For the disk alone.
    disk: Duration,
    /// Jobs that one worker finishes in a round; sixteen have six times as many.
    drained: u64,
    /// Jobs of `delayed-1M` and `recovery-1M`.
    many: u64,
    /// Jobs that are due within one second.
    due: u64,
    churn: Duration,
    backlog_bytes: u64,
}

const FULL: Effort = Effort {
    rounds: 5,
    round: Duration::from_secs(3),
    disk: Duration::from_secs(1),
    drained: 5_000,
    many: 1_000_000,
    due: 100_000,
    churn: Duration::from_secs(30),
    backlog_bytes: 5_000_000_000,
};
const QUICK: Effort = Effort {
    rounds: 3,
    round: Duration::from_secs(1),
    disk: Duration::from_millis(300),
    drained: 1_000,
    many: 100_000,
    due: 10_000,
    churn: Duration::from_secs(5),
    backlog_bytes: 500_000_000,
};

/// Only when asked for: it takes five gigabytes of disk.
const BACKLOG: &str = "backlog-5G";

/// Pairs of producers and workers in `mixed`.
const PAIRS: usize = 16;

/// Measures and prints; with `only`, the scenarios whose names begin so.
///
/// # Errors
/// When there is no Forebay, no such scenario, or a server that is there cannot be started or refuses a job. One that is
/// not installed is left out.
pub fn run(forebay: &Path, quick: bool, only: Option<&str>, format: Format) -> Result<()> {
    let effort = if quick { QUICK } else { FULL };
    ensure!(forebay.is_file(), "there is no {}", forebay.display());
    if !machine::move_to(Part::Driver)? {
        eprintln!("one processor only: driver and servers share it, compare with care");
    }
    let subjects = subjects(forebay);
    let folder = server::work_folder()?;
    let folder = folder.path();
    let measured = scenarios(&subjects, &effort, folder)
        .into_iter()
        .filter(|(name, _)| only.map_or(name != BACKLOG, |only| name.starts_with(only)))
        .map(|(_, measure)| figures::print(measure()?, format))
        .collect::<Result<Vec<()>>>()?;
    ensure!(!measured.is_empty(), "there is no scenario whose name begins with {}", only.unwrap_or_default());
    Ok(())
}

/// A scenario's measurement.
type Measure<'a> = Box<dyn FnOnce() -> Result<Vec<Figure>> + 'a>;

/// All of them by name, in the order in which they are measured.
fn scenarios<'a>(subjects: &'a [Subject], effort: &'a Effort, folder: &'a Path) -> Vec<(String, Measure<'a>)> {
    let mut all: Vec<(String, Measure<'a>)> = Vec::new();
    for connections in [1, 16, 64, 256] {
        let work = Work::Put(connections);
        for class in [Class::Durable, Class::Interval, Class::Memory] {
            all.push((work.name(), Box::new(move || rounds::measure(subjects, class, work, effort, folder))));
        }
        all.push((work.name(), Box::new(move || syncs::measure(connections, effort, folder))));
    }
    all.push(("put-64-slow".into(), Box::new(|| syncs::measure_slow(effort))));
    for work in [Work::Drain(1), Work::Drain(16), Work::Mixed(PAIRS)] {
        all.push((work.name(), Box::new(move || rounds::measure(subjects, Class::Durable, work, effort, folder))));
    }
    all.push(("tubes-10k".into(), Box::new(|| wide::measure(subjects, effort, folder))));
    all.push(("delayed-1M".into(), Box::new(|| many::delayed(subjects, effort, folder))));
    all.push(("recovery-1M".into(), Box::new(|| many::recovery(subjects, effort, folder))));
    all.push(("churn".into(), Box::new(|| churn::measure(subjects, effort, folder))));
    all.push((BACKLOG.into(), Box::new(|| backlog::measure(subjects, effort, folder))));
    all
}

fn subjects(forebay: &Path) -> Vec<Subject> {
    let all = [Subject::Forebay(forebay.into()), Subject::Beanstalkd, Subject::Redis, Subject::RabbitMq];
    let there = |subject: &Subject| {
        let there = subject.program().is_some();
        if !there {
            eprintln!("without {}: it is not there", subject.name());
        }
        there
    };
    all.into_iter().filter(there).collect()
}

fn figure(scenario: &str, variant: &str, subject: &str, metric: &'static str, value: f64) -> Figure {
    let (scenario, variant, subject) = (scenario.into(), variant.into(), subject.into());
    Figure { bench: "queue", scenario, variant, subject, metric, value, ratio: BTreeMap::new() }
}
