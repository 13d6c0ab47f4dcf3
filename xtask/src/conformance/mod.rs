//! `cargo xtask conformance cache`: the public cache tests (npm `http-cache-tests`) against `forebay router
//! serve`, with a route that caches all that it may.

mod score;
mod suite;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
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
    let forebay = build()?;
    let origin = suite::origin(&folder)?;
    let (_router, address) = start(&forebay, &folder, origin.port)?;
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

fn build() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(workspace::root()).args(["build", "--locked", "--package", "forebay"]);
    if !command.stdin(Stdio::null()).status().context("cannot run cargo")?.success() {
        bail!("the build failed");
    }
    Ok(workspace::target().join("debug/forebay"))
}

/// All that RFC 9111 allows, so that the suite sees it. The router does nothing beside: an answer is the origin's or its
/// failure.
fn config(origin: u16) -> String {
    format!(
        r#"schema = 1
[router]
listen = ["127.0.0.1:0"]
workers = 2

[upstreams.origin]
endpoints = ["127.0.0.1:{origin}"]

[[routes]]
upstream = "origin"
hold_ms = 0
retries_max = 0

[routes.cache]
heuristic_percent = 10
set_cookie = "always"
language_by_quality = true
stale_if_error_s = 60
"#
    )
}

fn start(forebay: &Path, folder: &Path, origin: u16) -> Result<(Running, String)> {
    let file = folder.join("router.toml");
    std::fs::write(&file, config(origin)).with_context(|| format!("cannot write {}", file.display()))?;
    let mut command = Command::new(forebay);
    command.args(["router", "serve", "--config"]).arg(&file);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().context("cannot start the router")?;
    let stderr = child.stderr.take().context("the router says nothing")?;
    let running = Running(child);
    let mut lines = BufReader::new(stderr).lines();
    let address = lines.find_map(|line| Some(line.ok()?.strip_prefix("http")?.trim().to_string()));
    // What it says later is nobody's concern, and must not fill the pipe.
    std::thread::spawn(move || lines.for_each(drop));
    Ok((running, address.context("the router does not listen")?))
}
