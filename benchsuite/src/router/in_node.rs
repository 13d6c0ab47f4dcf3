//! What a request costs a node that keeps its access record: the router's threads, and those of the logs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::figures::{FOREBAY, Figure, round};
use crate::machine::{self, Part};
use crate::node::Node;
use crate::router::{CONNECTIONS, Effort, SMALL, WARM_UP, clients};

/// The groups of a node's threads, by how their names begin, and the figure of each.
const GROUPS: [(&str, &[&str]); 3] = [
    ("cpu_us_per_request_of_router", &["router-"]),
    ("cpu_us_per_request_of_logs", &["access-log", "logs-"]),
    ("cpu_us_per_request_of_all", &[""]),
];

/// Measures `small` through a node with one worker and its one application.
pub(super) fn measure(forebay: &Path, effort: &Effort) -> Result<Vec<Figure>> {
    machine::move_to(Part::Subject)?;
    let node = Node::start_with(forebay, "[router]\nworkers = 1\n");
    machine::move_to(Part::Driver)?;
    let node = node?;
    let folder = tempfile::tempdir().context("no folder for the application")?;
    let program = std::env::current_exe().context("who am I?")?;
    fs::write(folder.path().join("forebay.toml"), manifest(&program)).context("cannot write the manifest")?;
    node.deploy(folder.path())?;
    let http = node.http()?;
    clients::closed_loop(http, SMALL.target, CONNECTIONS, SMALL.keep, WARM_UP)?;
    let mut rounds = Vec::new();
    for _ in 0..effort.rounds {
        let before = spent(node.pid())?;
        let load = clients::closed_loop(http, SMALL.target, CONNECTIONS, SMALL.keep, effort.round)?;
        let after = spent(node.pid())?;
        let requests = load.requests.max(1) as f64;
        rounds.push(std::array::from_fn(|group| (after[group] - before[group]) * 1e6 / requests));
    }
    Ok(best(&rounds))
}

fn manifest(program: &Path) -> String {
    format!(
        r#"schema = 1
app = "bench"
[processes.web]
command = "{} application"
health = {{ path = "/1" }}
[[routes]]
path_prefix = "/"
process = "web"
"#,
        program.display()
    )
}

/// Seconds of processor time of each group so far.
fn spent(pid: u32) -> Result<[f64; GROUPS.len()]> {
    let threads = machine::cpu_time_of_threads(pid)?;
    Ok(GROUPS.map(|(_, names)| {
        let ours = threads.iter().filter(|(name, _)| names.iter().any(|begin| name.starts_with(begin)));
        ours.map(|(_, time)| time.as_secs_f64()).sum()
    }))
}

/// The round in which the whole was cheapest.
fn best(rounds: &[[f64; GROUPS.len()]]) -> Vec<Figure> {
    let whole = GROUPS.len() - 1;
    let best = rounds.iter().min_by(|a, b| a[whole].total_cmp(&b[whole]));
    let figure = |(metric, value): (&'static str, f64)| Figure {
        bench: "router",
        scenario: "node".into(),
        variant: "log-on".into(),
        subject: FOREBAY.into(),
        metric,
        value: round(value, 2),
        ratio: BTreeMap::new(),
    };
    best.into_iter().flat_map(|round| GROUPS.iter().map(|(metric, _)| *metric).zip(*round)).map(figure).collect()
}
