//! The queue beside beanstalkd and redis: puts per second, each acknowledged only when it is on disk.
//!
//! All subjects are told to sync before they answer. Each connection has one put outstanding, of 300 bytes that do not
//! compress. The disk's own rate of small syncs is measured before and after, because it is what everybody is up against.

mod driver;
mod servers;
mod slow_disk;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::figures::{self, Figure, Format, round};
use crate::machine::{self, Half};
use crate::queue::driver::Outcome;
use crate::queue::servers::Subject;
use crate::server;

const CONNECTIONS: &[usize] = &[1, 16, 64, 256];

/// How much is measured.
struct Effort {
    rounds: usize,
    round: Duration,
}

const FULL: Effort = Effort { rounds: 5, round: Duration::from_secs(3) };
const QUICK: Effort = Effort { rounds: 3, round: Duration::from_secs(1) };

const WARM_UP: Duration = Duration::from_millis(200);
const DISK_MEASURE: Duration = Duration::from_secs(1);

/// Measures and prints.
///
/// # Errors
/// When there is no Forebay, or a server that is there cannot be started or refuses a put. One that is not installed is left out.
pub fn run(forebay: &Path, quick: bool, format: Format) -> Result<()> {
    let effort = if quick { QUICK } else { FULL };
    ensure!(forebay.is_file(), "there is no {}", forebay.display());
    if !machine::move_to(Half::Driver)? {
        eprintln!("one processor only: driver and servers share it, compare with care");
    }
    let folder = server::work_folder()?;
    let subjects: Vec<Subject> = [Subject::Forebay(forebay.into()), Subject::Beanstalkd, Subject::Redis]
        .into_iter()
        .filter(|subject| {
            let there = subject.program().is_some();
            if !there {
                eprintln!("without {}: it is not there", subject.name());
            }
            there
        })
        .collect();
    let mut figures = Vec::new();
    for connections in CONNECTIONS {
        figures.extend(scenario(&subjects, *connections, &effort, folder.path())?);
    }
    figures.extend(slow_disk::measure(effort.rounds, effort.round)?);
    figures::print(figures, format)
}

fn scenario(subjects: &[Subject], connections: usize, effort: &Effort, folder: &Path) -> Result<Vec<Figure>> {
    let mut rounds: Vec<Vec<Outcome>> = vec![Vec::new(); subjects.len()];
    let before = machine::syncs_per_second(folder, DISK_MEASURE)?;
    for _ in 0..effort.rounds {
        for (of_subject, subject) in rounds.iter_mut().zip(subjects) {
            let outcome = one_round(subject, connections, effort.round, folder);
            of_subject.push(outcome.with_context(|| format!("{} with {connections} connections", subject.name()))?);
        }
    }
    let after = machine::syncs_per_second(folder, DISK_MEASURE)?;
    let name = format!("put-{connections}");
    let mut figures: Vec<Figure> =
        subjects.iter().zip(rounds).flat_map(|(subject, rounds)| summarise(&name, subject.name(), &rounds)).collect();
    figures.push(figure(&name, "disk", "syncs_per_s_before", round(before, 0)));
    figures.push(figure(&name, "disk", "syncs_per_s_after", round(after, 0)));
    Ok(figures)
}

/// A fresh server with an empty folder for each round: nobody pays for the rounds before.
fn one_round(subject: &Subject, connections: usize, during: Duration, folder: &Path) -> Result<Outcome> {
    let data = tempfile::Builder::new().prefix(subject.name()).tempdir_in(folder).context("no folder for a server")?;
    let server = subject.start(data.path())?;
    driver::put(subject.protocol(), server.addr, connections, WARM_UP)?;
    driver::put(subject.protocol(), server.addr, connections, during)
}

fn summarise(scenario: &str, subject: &str, rounds: &[Outcome]) -> [Figure; 3] {
    let median = |of: fn(&Outcome) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    [
        figure(scenario, subject, "puts_per_s", round(median(|outcome| outcome.puts_per_s), 0)),
        figure(scenario, subject, "ack_ms_p50", round(median(|outcome| outcome.ack_ms_p50), 2)),
        figure(scenario, subject, "ack_ms_p99", round(median(|outcome| outcome.ack_ms_p99), 2)),
    ]
}

fn figure(scenario: &str, subject: &str, metric: &'static str, value: f64) -> Figure {
    let (scenario, variant, subject) = (scenario.into(), "durable".into(), subject.into());
    Figure { bench: "queue", scenario, variant, subject, metric, value, ratio: BTreeMap::new() }
}
