//! `cargo xtask test`: one list of steps, each named and timed. All are run, so that one look shows all that is wrong.
//!
//! Everything is built in the dev profile and with the same features, so that the steps share what they compile. The
//! tests come last: what their runner says at its end is the end of the output that matters.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::{packages, tidy, workspace};

/// What became of a step.
enum Outcome {
    Passed,
    Failed(String),
    Skipped(String),
}

struct Step {
    name: &'static str,
    run: fn(&Needs) -> Outcome,
}

const STEPS: &[Step] = &[
    Step { name: "format", run: |_| cargo(&["fmt", "--all", "--check"]) },
    Step { name: "tidy", run: |_| tidy_step() },
    Step {
        name: "clippy",
        run: |_| cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]),
    },
    Step { name: "docs", run: |_| docs() },
    Step { name: "licences", run: |_| licences() },
    Step { name: "doc tests", run: |needs| doc_tests(needs) },
    Step { name: "tests", run: |needs| tests(needs) },
];

/// Runs every step.
///
/// # Errors
/// When a step failed; it has been said which.
pub(crate) fn run() -> Result<()> {
    std::env::set_current_dir(workspace::root())?;
    let needs = Needs::look();
    let results: Vec<(&str, Outcome, Duration)> = STEPS
        .iter()
        .map(|step| {
            println!("\n== {}", step.name);
            let started = Instant::now();
            let outcome = (step.run)(&needs);
            (step.name, outcome, started.elapsed())
        })
        .collect();
    summarise(&needs, &results)
}

fn summarise(needs: &Needs, results: &[(&str, Outcome, Duration)]) -> Result<()> {
    println!("\n== summary");
    for (name, outcome, took) in results {
        let took = took.as_secs_f32();
        match outcome {
            Outcome::Passed => println!("{name:<10} ok       {took:>6.1} s"),
            Outcome::Skipped(why) => println!("{name:<10} skipped  {took:>6.1} s  {why}"),
            Outcome::Failed(why) => println!("{name:<10} FAILED   {took:>6.1} s  {why}"),
        }
    }
    for missing in &needs.missing {
        println!("{missing}");
    }
    let failed: Vec<&str> = results
        .iter()
        .filter(|(_, outcome, _)| matches!(outcome, Outcome::Failed(_)))
        .map(|(name, ..)| *name)
        .collect();
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

/// What some tests want from outside. A test whose need is missing says so and does nothing.
struct Needs {
    /// `FOREBAY_TEST_PYTHON`: a Python with `greenstalk`.
    python: Option<PathBuf>,
    /// Which checks are not made, and why.
    missing: Vec<String>,
}

impl Needs {
    fn look() -> Needs {
        let mut missing = Vec::new();
        let python = packages::python_with_greenstalk(&workspace::target().join("test-python"))
            .map_err(|why| missing.push(format!("skipped: the queue with the client greenstalk: {why}")))
            .ok();
        if let Err(why) = packages::ensure(&packages::BEANSTALKD) {
            missing.push(format!("skipped: the queue's transcripts against beanstalkd itself: {why}"));
        }
        if let Err(why) = packages::ensure(&packages::PEBBLE) {
            missing.push(format!("skipped: certificates from pebble: {why}"));
        }
        if let Err(why) = packages::ensure(&packages::PYTHON) {
            missing.push(format!("skipped: examples/shop from end to end: {why}"));
        }
        Needs { python, missing }
    }

    fn hand_to(&self, command: &mut Command) {
        if let Some(python) = &self.python {
            command.env("FOREBAY_TEST_PYTHON", python);
        }
    }
}

fn tidy_step() -> Outcome {
    match tidy::run(false) {
        Ok(()) => Outcome::Passed,
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

fn docs() -> Outcome {
    let mut command = cargo_command(&["doc", "--workspace", "--no-deps", "--locked"]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    finish(command)
}

fn licences() -> Outcome {
    if packages::find("cargo-deny").is_none() {
        return Outcome::Skipped("cargo-deny is not installed".into());
    }
    cargo(&["deny", "--locked", "check", "bans", "licenses", "sources"])
}

fn doc_tests(needs: &Needs) -> Outcome {
    let mut command = cargo_command(&["test", "--workspace", "--doc", "--locked", "--quiet"]);
    needs.hand_to(&mut command);
    finish(command)
}

fn tests(needs: &Needs) -> Outcome {
    let nextest = packages::find("cargo-nextest").is_some();
    let mut command = if nextest {
        cargo_command(&["nextest", "run", "--workspace", "--locked", "--no-fail-fast"])
    } else {
        cargo_command(&["test", "--workspace", "--lib", "--bins", "--tests", "--locked", "--no-fail-fast"])
    };
    needs.hand_to(&mut command);
    finish(command)
}

fn cargo(arguments: &[&str]) -> Outcome {
    finish(cargo_command(arguments))
}

fn cargo_command(arguments: &[&str]) -> Command {
    // Cargo says which cargo runs us, so that every step uses the same toolchain.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(Path::new(&cargo));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn finish(mut command: Command) -> Outcome {
    match command.status() {
        Ok(status) if status.success() => Outcome::Passed,
        Ok(status) => Outcome::Failed(status.to_string()),
        Err(error) => Outcome::Failed(format!("cannot run cargo: {error}")),
    }
}
