//! One of three endpoints stalls on some of its requests: what clients notice of it, and what that costs the endpoints.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::figures::{Figure, round};
use crate::load::{self, Plan};
use crate::router::backend::{Backend, Manner};
use crate::router::proxies::{Proxy, Told};
use crate::server::Server;

/// 30 of 100 requests lie for 200 ms, at one of three endpoints.
const STALLS: Manner = Manner::Stalls { percent: 30, time: Duration::from_millis(200) };
/// Times that are fixed in advance.
const RATE_PER_S: u32 = 500;
/// Before each round, so that what is measured is not the beginning: connections, latencies, budgets.
const WARM_UP: Duration = Duration::from_secs(1);

/// A proxy and how it meets slow answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// As it comes.
    Plain,
    /// Forebay hedges, as a route does that says `hedge = {}`; the others give up after 50 ms and ask another endpoint.
    Tuned,
    /// Forebay hedges after 10 ms and takes endpoints in turn, so that nobody avoids the slow one.
    InTurn,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Way::Plain => "plain",
            Way::Tuned => "tuned",
            Way::InTurn => "in-turn",
        }
    }
}

/// What a proxy is told: its way, where it listens, the endpoints, its folder.
type Config = fn(Way, SocketAddr, [SocketAddr; 3], &Path) -> String;

/// What one round of one proxy gave.
#[derive(Clone, Copy, Debug)]
struct Round {
    p50_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
    /// Requests at the endpoints beyond those of clients, per hundred of these.
    extra_percent: f64,
    failed: f64,
}

/// Measures every way, interleaved.
pub(super) fn measure(forebay: &Path, folder: &Path, rounds: usize, time: Duration) -> Result<Vec<Figure>> {
    let backends = [Backend::with(STALLS)?, Backend::start()?, Backend::start()?];
    let addrs = backends.each_ref().map(|backend| backend.addr);
    let mut running = Vec::new();
    let of_forebay: Config = |way, listen, addrs, _| of_forebay(way, listen, addrs);
    let of_haproxy: Config = |way, listen, addrs, _| of_haproxy(way, listen, addrs);
    for (proxy, config, ways) in [
        (Proxy::Forebay(forebay.into()), of_forebay, &[Way::Plain, Way::Tuned, Way::InTurn][..]),
        (Proxy::Haproxy, of_haproxy, &[Way::Plain, Way::Tuned]),
        (Proxy::Nginx, of_nginx, &[Way::Plain, Way::Tuned]),
    ] {
        for way in ways {
            let told = |listen, home: &Path| Told::config(config(*way, listen, addrs, home));
            let name = format!("{}-tail-{}", proxy.name(), way.name());
            if let Some(server) = proxy.start_with(&name, folder, told)? {
                running.push((proxy.name(), *way, server, Vec::new()));
            }
        }
    }
    for _ in 0..rounds {
        for (name, way, server, rounds) in &mut running {
            let round = one_round(server, &backends, time);
            rounds.push(round.with_context(|| format!("{name}, tail, {}", way.name()))?);
        }
    }
    Ok(running.iter().flat_map(|(name, way, _, rounds)| summarise(name, *way, rounds)).collect())
}

fn one_round(server: &Server, backends: &[Backend], time: Duration) -> Result<Round> {
    load::start(plan(server, WARM_UP)).wait();
    // What lies at an endpoint when it begins has been counted, and what lies there when it ends is.
    let count = || backends.iter().map(Backend::requests).sum::<u64>();
    let before = count();
    let report = load::start(plan(server, time)).wait();
    let sent = count() - before;
    let latency = report.summary().latency_us;
    let ms = |us: u64| us as f64 / 1_000.0;
    Ok(Round {
        p50_ms: ms(latency.p50),
        p99_ms: ms(latency.p99),
        p999_ms: ms(latency.p999),
        extra_percent: 100.0 * (sent as f64 / report.attempted.max(1) as f64 - 1.0),
        failed: (report.attempted - report.answered) as f64,
    })
}

fn plan(server: &Server, duration: Duration) -> Plan {
    Plan {
        addr: server.addr,
        host: "bench".into(),
        target: "/100".into(),
        rate: RATE_PER_S,
        duration,
        connections: 256,
        timeout: Duration::from_secs(5),
    }
}

fn summarise(name: &str, way: Way, rounds: &[Round]) -> [Figure; 5] {
    let figure = |metric, of: fn(&Round) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        Figure {
            bench: "router",
            scenario: "tail".into(),
            variant: way.name().into(),
            subject: name.into(),
            metric,
            value: round(values[values.len() / 2], 2),
            ratio: BTreeMap::new(),
        }
    };
    [
        figure("p99_ms", |round| round.p99_ms),
        figure("p50_ms", |round| round.p50_ms),
        figure("p999_ms", |round| round.p999_ms),
        figure("extra_percent", |round| round.extra_percent),
        figure("failed", |round| round.failed),
    ]
}

fn of_forebay(way: Way, listen: SocketAddr, [a, b, c]: [SocketAddr; 3]) -> String {
    let (balance, hedge) = match way {
        Way::Plain => ("", ""),
        Way::Tuned => ("", "hedge = {}\n"),
        Way::InTurn => ("balance = { method = \"round_robin\" }\n", "hedge = { delay_ms = 10 }\n"),
    };
    format!(
        r#"schema = 1
[router]
listen = ["{listen}"]
workers = 1
[upstreams.backend]
endpoints = ["{a}", "{b}", "{c}"]
{balance}[[routes]]
upstream = "backend"
{hedge}"#
    )
}

fn of_haproxy(way: Way, listen: SocketAddr, [a, b, c]: [SocketAddr; 3]) -> String {
    let (time, retry) = match way {
        Way::Plain => ("30s", ""),
        _ => ("50ms", "  retries 2\n  retry-on conn-failure response-timeout\n  option redispatch 1\n"),
    };
    format!(
        "global
  nbthread 1
  maxconn 4000
defaults
  mode http
  option forwardfor
  http-reuse always
  timeout connect 5s
  timeout client 30s
  timeout server {time}
{retry}frontend front
  bind {listen}
  default_backend back
backend back
  server one {a}
  server two {b}
  server three {c}
"
    )
}

fn of_nginx(way: Way, listen: SocketAddr, [a, b, c]: [SocketAddr; 3], home: &Path) -> String {
    let home = home.display();
    let retry = match way {
        Way::Plain => "",
        _ => "      proxy_read_timeout 50ms;\n      proxy_next_upstream error timeout;\n",
    };
    format!(
        "daemon off;
master_process off;
worker_processes 1;
pid {home}/pid;
error_log {home}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_requests 100000000;
  client_body_temp_path {home}/body;
  proxy_temp_path {home}/proxy;
  fastcgi_temp_path {home}/fastcgi;
  uwsgi_temp_path {home}/uwsgi;
  scgi_temp_path {home}/scgi;
  upstream back {{
    server {a};
    server {b};
    server {c};
    keepalive 64;
    keepalive_requests 100000000;
  }}
  server {{
    listen {listen};
    location / {{
      proxy_pass http://back;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
{retry}    }}
  }}
}}
"
    )
}
