//! The router beside haproxy and nginx: CPU time per request.
//!
//! On a machine that does other things too, throughput and latency say little, but the processor time that a proxy spends
//! on a request can be compared. Each proxy has one worker on the first processor; load and backend are on the others.
//! Rounds are interleaved, so that a slow minute is everybody's.

mod backend;
mod cached;
mod clients;
mod cold;
mod idempotency;
mod idle;
mod in_node;
mod overload;
mod own_writes;
mod pages;
mod proxies;
mod secure;
mod storm;
mod syslog;
mod tail;

pub use backend::serve_as_application;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::figures::{self, Figure, Format, round};
use crate::machine::{self, Part};
use crate::router::backend::Backend;
use crate::router::clients::Keep;
use crate::router::proxies::{Cores, Log, Proxy};
use crate::server::{self, Server};

/// What the requests ask for.
struct Scenario {
    name: &'static str,
    target: &'static str,
    keep: Keep,
}

const SMALL: Scenario = Scenario { name: "small", target: "/100", keep: Keep::Alive };

const SCENARIOS: &[Scenario] = &[
    SMALL,
    Scenario { name: "100kB", target: "/100000", keep: Keep::Alive },
    Scenario { name: "connect", target: "/100", keep: Keep::Close },
];

const CONNECTIONS: usize = 32;
const WARM_UP: Duration = Duration::from_millis(500);

/// How much is measured.
struct Effort {
    rounds: usize,
    round: Duration,
    /// Of what is counted and not timed, one in so many is done.
    share: u64,
}

const FULL: Effort = Effort { rounds: 7, round: Duration::from_secs(3), share: 1 };
const QUICK: Effort = Effort { rounds: 3, round: Duration::from_secs(1), share: 10 };

/// What one round of one proxy gave.
#[derive(Clone, Copy, Debug)]
struct Round {
    cpu_us_per_request: f64,
    requests_per_s: f64,
}

/// Scenarios that are not of CPU time per request.
const OTHERS: [&str; 14] = [
    "idle",
    "all-cores",
    "node",
    "tls",
    "handshake",
    "h2",
    "cache-hit",
    "coalesce",
    "esi",
    "overload",
    "tail",
    "storm",
    "own-writes",
    "idempotency",
];

/// Measures and prints; everything, or one scenario.
///
/// # Errors
/// When there is no Forebay or no such scenario, or a proxy that is there cannot be started or does not answer. One that is
/// not installed is left out.
pub fn run(forebay: &Path, only: Option<&str>, quick: bool, format: Format) -> Result<()> {
    let effort = if quick { QUICK } else { FULL };
    ensure!(forebay.is_file(), "there is no {}", forebay.display());
    let known: Vec<&str> = SCENARIOS.iter().map(|one| one.name).chain(OTHERS).collect();
    ensure!(
        only.is_none_or(|only| known.contains(&only)),
        "there is no such scenario; there are: {}",
        known.join(", ")
    );
    if !machine::move_to(Part::Driver)? {
        eprintln!("one processor only: load and proxies share it, compare with care");
    }
    let wanted = |name: &str| only.is_none_or(|only| only == name);
    let folder = server::work_folder()?;
    let mut figures = costs(forebay, folder.path(), &effort, wanted)?;
    if wanted("all-cores") {
        figures.extend(all_cores(forebay, folder.path(), &effort)?);
    }
    if wanted("node") {
        figures.extend(in_node::measure(forebay, &effort)?);
    }
    figures.extend(secure::measure(forebay, folder.path(), &effort, wanted)?);
    if wanted("cache-hit") {
        figures.extend(cached::measure(forebay, folder.path(), &effort)?);
    }
    if wanted("coalesce") {
        figures.extend(cold::measure(forebay, folder.path(), effort.rounds)?);
    }
    if wanted("esi") {
        figures.extend(pages::measure(forebay, folder.path(), effort.rounds)?);
    }
    if wanted("overload") {
        figures.extend(overload::measure(forebay, folder.path(), effort.round * 3)?);
    }
    if wanted("tail") {
        figures.extend(tail::measure(forebay, folder.path(), effort.rounds, effort.round * 2)?);
    }
    if wanted("storm") {
        figures.extend(storm::measure(forebay, folder.path(), effort.round * 2)?);
    }
    if wanted("own-writes") {
        figures.extend(own_writes::measure(forebay, folder.path(), effort.share)?);
    }
    if wanted("idempotency") {
        figures.extend(idempotency::measure(forebay, folder.path(), effort.share)?);
    }
    figures::print(figures, format)
}

/// What a request and an idle connection cost.
fn costs(forebay: &Path, folder: &Path, effort: &Effort, wanted: impl Fn(&str) -> bool) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    if !wanted("idle") && !SCENARIOS.iter().any(|one| wanted(one.name)) {
        return Ok(figures);
    }
    let backend = Backend::start()?;
    for log in [Log::Off, Log::On] {
        let all = [Proxy::Forebay(forebay.into()), Proxy::Haproxy, Proxy::Nginx];
        let proxies = start_all(&all, backend.addr, log, Cores::One, folder)?;
        for scenario in SCENARIOS.iter().filter(|one| wanted(one.name)) {
            figures.extend(measure(&proxies, scenario, log.variant(), effort)?);
        }
        if log == Log::Off && wanted("idle") {
            figures.extend(idle::measure(&proxies, log.variant())?);
        }
    }
    Ok(figures)
}

/// `small` once more with a worker on each processor. Without nginx, whose workers are processes.
fn all_cores(forebay: &Path, folder: &Path, effort: &Effort) -> Result<Vec<Figure>> {
    let backend = Backend::start()?;
    let proxies =
        start_all(&[Proxy::Forebay(forebay.into()), Proxy::Haproxy], backend.addr, Log::Off, Cores::All, folder)?;
    let scenario = Scenario { name: "all-cores", target: SMALL.target, keep: SMALL.keep };
    measure(&proxies, &scenario, Log::Off.variant(), effort)
}

fn start_all(
    wanted: &[Proxy],
    backend: std::net::SocketAddr,
    log: Log,
    cores: Cores,
    folder: &Path,
) -> Result<Vec<(&'static str, Server)>> {
    let mut running = Vec::new();
    for proxy in wanted {
        match proxy.start(backend, log, cores, folder)? {
            Some(server) => running.push((proxy.name(), server)),
            None => eprintln!("without {}: it is not there", proxy.name()),
        }
    }
    Ok(running)
}

fn measure(
    proxies: &[(&'static str, Server)],
    scenario: &Scenario,
    variant: &str,
    effort: &Effort,
) -> Result<Vec<Figure>> {
    let mut rounds: Vec<Vec<Round>> = vec![Vec::new(); proxies.len()];
    for (_, server) in proxies {
        clients::closed_loop(server.addr, scenario.target, CONNECTIONS, scenario.keep, WARM_UP)?;
    }
    for _ in 0..effort.rounds {
        for (of_proxy, (name, server)) in rounds.iter_mut().zip(proxies) {
            of_proxy.push(one_round(server, scenario, effort).with_context(|| format!("{name}, {}", scenario.name))?);
        }
    }
    Ok(proxies.iter().zip(rounds).flat_map(|((name, _), rounds)| summarise(name, scenario, variant, &rounds)).collect())
}

fn one_round(server: &Server, scenario: &Scenario, effort: &Effort) -> Result<Round> {
    let before = server.cpu_time()?;
    let load = clients::closed_loop(server.addr, scenario.target, CONNECTIONS, scenario.keep, effort.round)?;
    let cpu = server.cpu_time()?.saturating_sub(before);
    Ok(Round {
        cpu_us_per_request: cpu.as_secs_f64() * 1e6 / load.requests.max(1) as f64,
        requests_per_s: load.requests as f64 / load.took.as_secs_f64(),
    })
}

fn summarise(name: &str, scenario: &Scenario, variant: &str, rounds: &[Round]) -> [Figure; 3] {
    let mut cpu: Vec<f64> = rounds.iter().map(|round| round.cpu_us_per_request).collect();
    let mut rate: Vec<f64> = rounds.iter().map(|round| round.requests_per_s).collect();
    cpu.sort_by(f64::total_cmp);
    rate.sort_by(f64::total_cmp);
    let figure = |metric, value| Figure {
        bench: "router",
        scenario: scenario.name.into(),
        variant: variant.into(),
        subject: name.into(),
        metric,
        value,
        ratio: std::collections::BTreeMap::new(),
    };
    [
        // The best round is the one that the rest of the machine disturbed least.
        figure("cpu_us_per_request", round(cpu[0], 2)),
        figure("cpu_us_per_request_median", round(cpu[cpu.len() / 2], 2)),
        figure("requests_per_s_median", round(rate[rate.len() / 2], 0)),
    ]
}
