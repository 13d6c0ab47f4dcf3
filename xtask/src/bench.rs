//! `cargo xtask bench`: builds what is measured, finds the peers, and hands over to `benchsuite`.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::packages::{self, Program};
use crate::workspace;

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// `node`, `router` or `queue`; all when absent.
    name: Option<String>,
    /// Of the router only one scenario: `small`, `100kB`, `connect`, `idle`, `all-cores`, `node`, `overload`, `tail`, `storm`,
    /// `own-writes` or `idempotency`.
    #[arg(requires = "name")]
    scenario: Option<String>,
    /// Fewer and shorter rounds: to see that it works, not to quote.
    #[arg(long)]
    quick: bool,
    /// Of the queue's scenarios only those whose names begin so: `drain`, `put-64`.
    #[arg(long, requires = "name")]
    only: Option<String>,
    /// One JSON object per line on standard output instead of tables.
    #[arg(long)]
    json: bool,
}

struct Bench {
    name: &'static str,
    peers: &'static [Program],
}

const BENCHES: &[Bench] = &[
    Bench { name: "node", peers: &[packages::PYTHON] },
    Bench { name: "router", peers: &[packages::HAPROXY, packages::NGINX, packages::VARNISH, packages::H2LOAD] },
    Bench { name: "queue", peers: &[packages::BEANSTALKD, packages::REDIS, packages::RABBITMQ] },
];

/// Runs one benchmark or all.
///
/// # Errors
/// When there is none of that name, the build fails, or a benchmark does.
pub(crate) fn run(args: &Args) -> Result<()> {
    let wanted: Vec<&Bench> =
        BENCHES.iter().filter(|bench| args.name.as_deref().is_none_or(|name| name == bench.name)).collect();
    if wanted.is_empty() {
        bail!(
            "there is no such benchmark; there are: {}",
            BENCHES.iter().map(|bench| bench.name).collect::<Vec<_>>().join(", ")
        );
    }
    if args.scenario.is_some() && args.name.as_deref() != Some("router") {
        bail!("only the router has scenarios of their own");
    }
    let benchsuite = build()?;
    for bench in wanted {
        for peer in bench.peers {
            if let Err(why) = packages::ensure(peer) {
                eprintln!("without {}: {why}", peer.name);
            }
        }
        measure(&benchsuite, bench.name, args)?;
    }
    Ok(())
}

fn build() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // What is shipped is measured: `dist` is `release` with link-time optimisation.
    command.current_dir(workspace::root()).args(["build", "--profile", "dist", "--locked"]);
    command.args(["--package", "forebay", "--package", "benchsuite"]).stdin(Stdio::null());
    if !command.status().context("cannot run cargo")?.success() {
        bail!("the build failed");
    }
    Ok(workspace::target().join("dist/benchsuite"))
}

fn measure(benchsuite: &PathBuf, name: &str, args: &Args) -> Result<()> {
    let mut command = Command::new(benchsuite);
    command.arg(name).arg("--forebay").arg(workspace::target().join("dist/forebay"));
    command.args(&args.scenario);
    if args.quick {
        command.arg("--quick");
    }
    if let Some(only) = &args.only {
        command.args(["--only", only]);
    }
    if args.json {
        command.arg("--json");
    }
    if !command.stdin(Stdio::null()).status().context("cannot run benchsuite")?.success() {
        bail!("the benchmark {name} failed");
    }
    Ok(())
}
