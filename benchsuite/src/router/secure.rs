//! What TLS and HTTP/2 cost: CPU time per request and per handshake, with h2load and OpenSSL as clients.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::backend::Backend;
use super::proxies::{self, Log, Proxy, Told};
use super::{Effort, WARM_UP};
use crate::figures::{Figure, round};
use crate::server::{self, Server};

/// One kind of load.
struct Scenario {
    name: &'static str,
    variant: &'static str,
    target: &'static str,
    client: Client,
}

#[derive(Clone, Copy)]
enum Client {
    /// h2load with these words.
    H2load(&'static [&'static str]),
    /// A new session for each request.
    Openssl,
}

const HTTP1: &[&str] = &["--h1", "-c", "32"];
const HTTP2: &[&str] = &["-c", "32", "-m", "4"];

const SCENARIOS: &[Scenario] = &[
    Scenario { name: "tls", variant: "small", target: "/100", client: Client::H2load(HTTP1) },
    Scenario { name: "tls", variant: "100kB", target: "/100000", client: Client::H2load(HTTP1) },
    Scenario { name: "handshake", variant: "full", target: "/100", client: Client::Openssl },
    Scenario { name: "h2", variant: "small", target: "/100", client: Client::H2load(HTTP2) },
    Scenario { name: "h2", variant: "100kB", target: "/100000", client: Client::H2load(HTTP2) },
];

/// Measures the wanted ones; nothing where their clients are not installed.
pub(super) fn measure(
    forebay: &Path,
    folder: &Path,
    effort: &Effort,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let scenarios: Vec<&Scenario> = SCENARIOS.iter().filter(|one| wanted(one.name)).collect();
    if scenarios.is_empty() {
        return Ok(figures);
    }
    let (Some(pair), Some(_)) = (Pair::make(folder)?, server::find("h2load")) else {
        eprintln!("without tls, handshake and h2: openssl or h2load is not there");
        return Ok(figures);
    };
    let backend = Backend::start()?;
    let mut running = Vec::new();
    for proxy in [Proxy::Forebay(forebay.into()), Proxy::Haproxy, Proxy::Nginx] {
        match pair.start(&proxy, backend.addr, folder)? {
            Some(server) => running.push((proxy.name(), server)),
            None => eprintln!("without {}: it is not there", proxy.name()),
        }
    }
    for scenario in scenarios {
        for (name, server) in &running {
            scenario.load(server.addr, WARM_UP).with_context(|| format!("{name}, {}", scenario.name))?;
        }
        let mut costs = vec![Vec::new(); running.len()];
        for _ in 0..effort.rounds {
            for (costs, (name, server)) in costs.iter_mut().zip(&running) {
                let cost = scenario.cost(server, effort.round);
                costs.push(cost.with_context(|| format!("{name}, {}", scenario.name))?);
            }
        }
        for ((name, _), mut costs) in running.iter().zip(costs) {
            costs.sort_by(f64::total_cmp);
            let figure = |metric, value| Figure {
                bench: "router",
                scenario: scenario.name.into(),
                variant: scenario.variant.into(),
                subject: (*name).into(),
                metric,
                value: round(value, 2),
                ratio: BTreeMap::new(),
            };
            figures.push(figure("cpu_us_per_request", costs[0]));
            figures.push(figure("cpu_us_per_request_median", costs[costs.len() / 2]));
        }
    }
    Ok(figures)
}

/// A certificate and its key, in files of their own and in one together.
struct Pair {
    cert: PathBuf,
    key: PathBuf,
    both: PathBuf,
}

impl Pair {
    /// Makes one of P-256; `None` without OpenSSL.
    fn make(folder: &Path) -> Result<Option<Pair>> {
        let Some(openssl) = server::find("openssl") else { return Ok(None) };
        let pair = Pair { cert: folder.join("cert.pem"), key: folder.join("key.pem"), both: folder.join("both.pem") };
        let mut command = Command::new(openssl);
        command.args(["req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=bench", "-newkey", "ec"]);
        command.args(["-pkeyopt", "ec_paramgen_curve:prime256v1", "-addext", "subjectAltName=DNS:localhost"]);
        let made = command.arg("-keyout").arg(&pair.key).arg("-out").arg(&pair.cert).output();
        let made = made.context("cannot run openssl")?;
        ensure!(made.status.success(), "no certificate: {}", String::from_utf8_lossy(&made.stderr));
        let both = [std::fs::read(&pair.cert)?, std::fs::read(&pair.key)?].concat();
        std::fs::write(&pair.both, both).context("cannot write the certificate")?;
        Ok(Some(pair))
    }

    /// Starts a proxy in front of `backend` with TLS 1.2 and 1.3, HTTP/1.1 and HTTP/2; `None` when it is not installed.
    fn start(&self, proxy: &Proxy, backend: SocketAddr, folder: &Path) -> Result<Option<Server>> {
        proxy.start_with(&format!("{}-tls", proxy.name()), folder, |listen, home| {
            let (cert, key) = (self.cert.display(), self.key.display());
            let plain = format!("listen = [\"{listen}\"]");
            Told::config(match proxy {
                Proxy::Haproxy => proxies::haproxy(listen, backend, None, 1).replace(
                    &format!("bind {listen}"),
                    &format!("bind {listen} ssl crt {} alpn h2,http/1.1", self.both.display()),
                ),
                Proxy::Nginx => proxies::nginx(listen, backend, Log::Off, home).replace(
                    &format!("listen {listen};"),
                    &format!("listen {listen} ssl http2; ssl_certificate {cert}; ssl_certificate_key {key};"),
                ),
                _ => proxies::forebay(listen, backend, 1).replace(&plain, "").replace(
                    "workers = 1\n",
                    &format!(
                        "workers = 1\n[router.tls]\n{plain}\ncertificates = [{{ cert = \"{cert}\", key = \"{key}\" }}]\n"
                    ),
                ),
            })
        })
    }
}

impl Scenario {
    /// CPU time per request, in microseconds.
    fn cost(&self, server: &Server, during: Duration) -> Result<f64> {
        let before = server.cpu_time()?;
        let requests = self.load(server.addr, during)?;
        let cpu = server.cpu_time()?.saturating_sub(before);
        Ok(cpu.as_secs_f64() * 1e6 / requests.max(1) as f64)
    }

    /// Sends for a time; how many requests were answered. One that was not ends the measurement.
    fn load(&self, addr: SocketAddr, during: Duration) -> Result<u64> {
        let seconds = during.as_secs().max(1).to_string();
        let mut command = match self.client {
            Client::H2load(words) => {
                let mut command = Command::new("h2load");
                command.args(words).args(["-t", "1", "-D", &seconds]);
                command.arg(format!("https://localhost:{}{}", addr.port(), self.target));
                command.args(["--connect-to", &addr.to_string()]);
                command
            }
            Client::Openssl => {
                let mut command = Command::new("openssl");
                command.args(["s_time", "-new", "-time", &seconds, "-www", self.target]);
                command.args(["-connect", &addr.to_string()]);
                command
            }
        };
        let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let answered = match self.client {
            Client::H2load(_) => h2load(&said),
            Client::Openssl => openssl(&said),
        };
        let errors = String::from_utf8_lossy(&output.stderr);
        answered.with_context(|| format!("{command:?} said\n{said}{errors}"))
    }
}

/// How many requests h2load saw answered with 2xx.
fn h2load(said: &str) -> Result<u64> {
    let codes = said.lines().find_map(|line| line.strip_prefix("status codes: ")).context("no status codes")?;
    let mut counts = codes.split(", ").map(|part| part.split(' ').next().and_then(|number| number.parse::<u64>().ok()));
    let [good, others @ ..] = [counts.next(), counts.next(), counts.next(), counts.next()].map(Option::flatten);
    ensure!(others.iter().all(|other| *other == Some(0)), "not all was well");
    good.filter(|good| *good > 0).context("nothing was answered")
}

/// How many connections OpenSSL made: `812 connections in 1.02s; ...`, the first such line.
fn openssl(said: &str) -> Result<u64> {
    let line = said.lines().find(|line| line.contains(" connections in ")).context("no connections")?;
    let count = line.split(' ').next().and_then(|number| number.parse::<u64>().ok());
    count.filter(|count| *count > 0).context("no connection was made")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_clients_say_is_understood() {
        assert_eq!(h2load("x\nstatus codes: 812 2xx, 0 3xx, 0 4xx, 0 5xx\n").unwrap(), 812);
        assert!(h2load("status codes: 812 2xx, 0 3xx, 0 4xx, 1 5xx\n").is_err());
        assert!(h2load("status codes: 0 2xx, 0 3xx, 0 4xx, 0 5xx\n").is_err());
        let said = "\n\n812 connections in 0.33s; 2460.61 connections/user sec, bytes read 0\n812 connections in 2 real seconds\n";
        assert_eq!(openssl(said).unwrap(), 812);
        assert!(openssl("0 connections in 0.33s").is_err());
    }
}
