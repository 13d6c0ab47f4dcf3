//! What a node costs while it has nothing to do: time to start, memory, processor time, the size of its binary.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::figures::{self, FOREBAY, Figure, Format, round};
use crate::{machine, processes, server};

const READY_TIMEOUT: Duration = Duration::from_secs(30);
const MEGABYTE: f64 = 1e6;

/// How much is measured.
struct Effort {
    starts: usize,
    /// How long the node is watched doing nothing.
    idle: Duration,
}

const FULL: Effort = Effort { starts: 11, idle: Duration::from_secs(20) };
const QUICK: Effort = Effort { starts: 3, idle: Duration::from_secs(3) };

/// Measures and prints.
///
/// # Errors
/// When there is no binary, the node does not start, or `examples/shop` cannot be deployed.
pub fn run(forebay: &Path, quick: bool, format: Format) -> Result<()> {
    let effort = if quick { QUICK } else { FULL };
    ensure!(forebay.is_file(), "there is no {}", forebay.display());
    let mut starts_ms = Vec::new();
    for _ in 0..effort.starts {
        starts_ms.push(Node::start(forebay)?.ready_after.as_secs_f64() * 1e3);
    }
    starts_ms.sort_by(f64::total_cmp);
    let mut figures = vec![
        figure("start", "ready_ms", round(starts_ms[starts_ms.len() / 2], 1)),
        figure("start", "ready_ms_max", round(starts_ms[starts_ms.len() - 1], 1)),
        figure("start", "binary_mb", round(fs::metadata(forebay)?.len() as f64 / MEGABYTE, 1)),
    ];
    figures.extend(idle(&Node::start(forebay)?, effort.idle)?);
    figures::print(figures, format)
}

/// The node and its init processes, with the example's three instances, which do not count.
fn idle(node: &Node, watched: Duration) -> Result<Vec<Figure>> {
    node.deploy_shop()?;
    std::thread::sleep(watched / 2);
    let ours = processes::running(&node.binary);
    let cpu = || ours.iter().map(|pid| machine::cpu_time(*pid)).sum::<Result<Duration>>();
    let before = cpu()?;
    std::thread::sleep(watched);
    let busy = cpu()?.saturating_sub(before);
    let sum = |of: fn(u32) -> u64, pids: &[u32]| pids.iter().map(|pid| of(*pid)).sum::<u64>() as f64 / MEGABYTE;
    let inits: Vec<u32> = ours.iter().copied().filter(|pid| *pid != node.child.id()).collect();
    Ok(vec![
        figure("idle-shop", "resident_mb", round(sum(processes::resident_bytes, &ours), 1)),
        figure("idle-shop", "proportional_mb", round(sum(processes::proportional_bytes, &ours), 1)),
        figure("idle-shop", "resident_mb_of_inits", round(sum(processes::resident_bytes, &inits), 1)),
        figure("idle-shop", "processes", ours.len() as f64),
        figure("idle-shop", "cpu_percent", round(busy.as_secs_f64() / watched.as_secs_f64() * 100.0, 2)),
    ])
}

fn figure(scenario: &str, metric: &'static str, value: f64) -> Figure {
    let (scenario, variant, subject) = (scenario.into(), "release".into(), FOREBAY.into());
    Figure { bench: "node", scenario, variant, subject, metric, value, ratio: BTreeMap::new() }
}

/// A node in a folder of its own; it and its instances are gone when it is dropped.
pub(crate) struct Node {
    child: Child,
    ready_after: Duration,
    /// A copy, so that its processes can be told from others.
    binary: PathBuf,
    folder: tempfile::TempDir,
}

impl Node {
    fn start(forebay: &Path) -> Result<Node> {
        Node::start_with(forebay, "")
    }

    /// With more for its `node.toml`.
    pub(crate) fn start_with(forebay: &Path, more: &str) -> Result<Node> {
        let folder = server::work_folder()?;
        let binary = folder.path().join("forebay");
        fs::copy(forebay, &binary).context("cannot copy the binary")?;
        let config = folder.path().join("node.toml");
        let key = folder.path().join("key");
        fs::write(&config, format!("schema = 1\nkey_file = \"{}\"\n{more}", key.display()))
            .context("cannot write node.toml")?;
        let log = fs::File::create(folder.path().join("output")).context("cannot create a log")?;
        let mut command = Command::new(&binary);
        command.arg("node").arg("--data").arg(folder.path().join("data")).arg("--config").arg(config);
        command.args(["--http", "127.0.0.1:0", "--queue", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let started = Instant::now();
        let child = command.spawn().context("cannot start the node")?;
        let mut node = Node { child, ready_after: Duration::ZERO, binary, folder };
        node.wait_until_ready(started)?;
        Ok(node)
    }

    fn wait_until_ready(&mut self, started: Instant) -> Result<()> {
        while !self.folder.path().join("data/ports.json").exists() {
            if let Some(status) = self.child.try_wait().context("cannot ask for its state")? {
                let said = fs::read_to_string(self.folder.path().join("output")).unwrap_or_default();
                bail!("the node ended with {status}: {said}");
            }
            ensure!(started.elapsed() < READY_TIMEOUT, "the node is not ready after {} s", READY_TIMEOUT.as_secs());
            std::thread::sleep(Duration::from_micros(500));
        }
        self.ready_after = started.elapsed();
        Ok(())
    }

    fn deploy_shop(&self) -> Result<()> {
        self.deploy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/shop"))
    }

    /// The node's process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it takes requests.
    ///
    /// # Errors
    /// When `ports.json` does not say it.
    pub(crate) fn http(&self) -> Result<std::net::SocketAddr> {
        let text = fs::read_to_string(self.folder.path().join("data/ports.json")).context("no ports.json")?;
        let ports: serde_json::Value = serde_json::from_str(&text).context("ports.json is no JSON")?;
        let http = ports["http"].as_str().context("ports.json has no http")?;
        http.parse().with_context(|| format!("{http} is no address"))
    }

    /// Deploys the application of a folder and waits until it serves.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) fn deploy(&self, application: &Path) -> Result<()> {
        let mut command = Command::new(&self.binary);
        command.arg("deploy").arg(application).arg("--data").arg(self.folder.path().join("data")).stdin(Stdio::null());
        let output = command.output().context("cannot deploy")?;
        ensure!(output.status.success(), "cannot deploy: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // The node first, or it would start its instances again.
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("the node may still run, pid {}: {error}", self.child.id());
        }
        processes::kill(&processes::running(&self.binary));
        processes::kill(&processes::working_below(self.folder.path()));
        if let Ok(runtime) = fs::read_to_string(self.folder.path().join("data/runtime")) {
            fs::remove_dir_all(runtime.trim()).unwrap_or_default();
        }
    }
}
