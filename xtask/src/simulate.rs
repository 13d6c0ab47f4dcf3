//! `cargo xtask simulate`: the queue and its log on a disk that loses power, fails and fills up, for as many seeds as there
//! is time.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::workspace;

/// How much, or what again.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Seeds per kind of faults.
    #[arg(long, default_value_t = 1000, conflicts_with = "hours")]
    seeds: u64,
    /// Goes on for so long, with new seeds all the time.
    #[arg(long)]
    hours: Option<f64>,
    /// This seed alone, of all kinds of faults: a failure prints it.
    #[arg(long)]
    seed: Option<u64>,
}

/// Seeds in one round of `--hours`.
const ROUND: u64 = 2_000;

/// Runs the seeds; each kind of faults has its own part of the range.
///
/// # Errors
/// When a seed fails; it was printed then.
pub(crate) fn run(args: &Args) -> Result<()> {
    if let Some(seed) = args.seed {
        return round(&[("FOREBAY_SEED", seed)]);
    }
    let Some(hours) = args.hours else {
        return round(&[("FOREBAY_SEEDS", args.seeds)]);
    };
    let end = Instant::now() + Duration::from_secs_f64(hours * 3600.0);
    // The time makes them other seeds than those of yesterday; they are printed.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).context("the clock is before 1970")?;
    let mut from = now.as_secs() * 1_000;
    while Instant::now() < end {
        round(&[("FOREBAY_SEEDS", ROUND), ("FOREBAY_SEEDS_FROM", from)])?;
        from += ROUND;
    }
    Ok(())
}

fn round(environment: &[(&str, u64)]) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(workspace::root()).args(["test", "--locked", "--package", "queue", "--lib", "--"]);
    command.args(["simulation::promises", "--nocapture"]).stdin(Stdio::null());
    for (name, value) in environment {
        eprintln!("{name}={value}");
        command.env(name, value.to_string());
    }
    if !command.status().context("cannot run cargo")?.success() {
        bail!("a seed failed; it stands above, run it again with --seed");
    }
    Ok(())
}
