//! `cargo xtask conformance cache`: the public cache tests (npm `http-cache-tests`) against a proxy over `http-cache`.

mod score;
mod suite;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::workspace;

/// What to run.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// `cache`
    name: String,
    /// One JSON object per line on standard output; the last one is the score with or without this.
    #[arg(long)]
    json: bool,
}

/// Runs a suite and prints its score; fails when a test fails that is not named in `score`.
///
/// # Errors
/// When there is no such suite, it cannot be had or run, or it fails.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.name != "cache" {
        bail!("there is no such suite; there is: cache");
    }
    let folder = suite::fetch()?;
    let proxy = build()?;
    let origin = suite::origin(&folder)?;
    let (_proxy, address) = start(&proxy, origin.port)?;
    let results = suite::results(&folder, &address)?;
    let tests = suite::tests(&folder)?;
    let score = score::of(&tests, &results);
    score.print(args.json);
    let unnamed = score.unnamed();
    if unnamed.is_empty() { Ok(()) } else { bail!("these fail and are not named: {}", unnamed.join(", ")) }
}

/// A program that ends with its owner.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(error) = self.0.kill().and_then(|()| self.0.wait()) {
            eprintln!("a program was not stopped: {error}");
        }
    }
}

fn build() -> Result<std::path::PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(workspace::root()).args(["build", "--locked", "--package", "http-cache", "--example", "proxy"]);
    if !command.stdin(Stdio::null()).status().context("cannot run cargo")?.success() {
        bail!("the build failed");
    }
    Ok(workspace::target().join("debug/examples/proxy"))
}

fn start(proxy: &Path, origin: u16) -> Result<(Running, String)> {
    let mut command = Command::new(proxy);
    command.args(["127.0.0.1:0", &format!("127.0.0.1:{origin}")]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().context("cannot start the proxy")?;
    let stdout = child.stdout.take().context("the proxy has no output")?;
    let running = Running(child);
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    let address = line.trim().strip_prefix("listening on ").context("the proxy does not listen")?;
    Ok((running, address.to_string()))
}
