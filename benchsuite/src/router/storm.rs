//! Endpoints in trouble, and clients that ask on: how many requests reach the endpoints for each that a client made.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::figures::{Figure, round};
use crate::load::{self, Plan};
use crate::router::backend::{Backend, Manner};
use crate::router::proxies::{Proxy, Told};

const RATE_PER_S: u32 = 500;
/// A try may take this long; three more may follow it.
const TRY_MS: u32 = 50;

/// What is wrong with all three endpoints.
const TROUBLES: &[(&str, Manner)] = &[
    ("all-fail", Manner::Fails { percent: 100 }),
    ("half-fail", Manner::Fails { percent: 50 }),
    ("all-slow", Manner::Stalls { percent: 100, time: Duration::from_millis(300) }),
];

/// Measures the router, and haproxy with as many retries where it is there.
pub(super) fn measure(forebay: &Path, folder: &Path, time: Duration) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (trouble, manner) in TROUBLES {
        for proxy in [Proxy::Forebay(forebay.into()), Proxy::Haproxy] {
            let with = || Backend::with(manner.clone());
            let backends = [with()?, with()?, with()?];
            let addrs = backends.each_ref().map(|backend| backend.addr);
            let told = |listen, _: &Path| {
                Told::config(match proxy {
                    Proxy::Forebay(_) => config(listen, addrs),
                    _ => haproxy(listen, addrs),
                })
            };
            let name = format!("{}-storm-{trouble}", proxy.name());
            let Some(server) = proxy.start_with(&name, folder, told)? else { continue };
            let plan = Plan {
                addr: server.addr,
                host: "bench".into(),
                target: "/100".into(),
                rate: RATE_PER_S,
                duration: time,
                connections: 600,
                timeout: Duration::from_secs(5),
            };
            let report = load::start(plan).wait();
            let sent: u64 = backends.iter().map(Backend::requests).sum();
            let share = |part: u64| round(part as f64 / report.attempted.max(1) as f64, 3);
            figures.push(figure(trouble, proxy.name(), "upstream_per_offered", share(sent)));
            figures.push(figure(trouble, proxy.name(), "answered_share", share(report.answered)));
        }
    }
    Ok(figures)
}

fn figure(trouble: &str, subject: &str, metric: &'static str, value: f64) -> Figure {
    let (scenario, variant, subject) = ("storm".into(), trouble.into(), subject.into());
    Figure { bench: "router", scenario, variant, subject, metric, value, ratio: BTreeMap::new() }
}

fn config(listen: SocketAddr, [a, b, c]: [SocketAddr; 3]) -> String {
    format!(
        r#"schema = 1
[router]
listen = ["{listen}"]
workers = 1
[upstreams.backend]
endpoints = ["{a}", "{b}", "{c}"]
[[routes]]
upstream = "backend"
try_timeout_ms = {TRY_MS}
retries_max = 3
hedge = "always"
[routes.retry]
statuses = [503]
"#
    )
}

fn haproxy(listen: SocketAddr, [a, b, c]: [SocketAddr; 3]) -> String {
    format!(
        "global
  nbthread 1
  maxconn 4000
defaults
  mode http
  option forwardfor
  http-reuse always
  retries 3
  retry-on conn-failure response-timeout 503
  option redispatch 1
  timeout connect 5s
  timeout client 30s
  timeout server {TRY_MS}ms
frontend front
  bind {listen}
  default_backend back
backend back
  server one {a}
  server two {b}
  server three {c}
"
    )
}
