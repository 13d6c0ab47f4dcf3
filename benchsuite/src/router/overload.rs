//! Three times as much as an application can do, in two priorities: what the important requests notice, and how much of
//! the application's capacity still ends in answers.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::figures::{Figure, round};
use crate::load::{self, Plan, Report};
use crate::router::backend::Backend;
use crate::router::proxies::{Proxy, Told};
use crate::server::Server;

/// What the application can do at once, and how long each answer takes it: 400 a second.
const AT_ONCE: u32 = 8;
const ANSWER: Duration = Duration::from_millis(20);
const CAPACITY_PER_S: u32 = 400;
/// Of 1,200 requests a second so many are important.
const HIGH_PER_S: u32 = 120;
const LOW_PER_S: u32 = 3 * CAPACITY_PER_S - HIGH_PER_S;
/// How long a request may wait for its turn.
const WAIT_MS: u32 = 500;

/// Measures the router, and haproxy with its priority classes where it is there.
pub(super) fn measure(forebay: &Path, folder: &Path, time: Duration) -> Result<Vec<Figure>> {
    let backend = Backend::busy(AT_ONCE as usize, ANSWER)?;
    let mut figures = Vec::new();
    for proxy in [Proxy::Forebay(forebay.into()), Proxy::Haproxy] {
        let name = format!("{}-overload", proxy.name());
        let told = |listen, _: &Path| match proxy {
            Proxy::Forebay(_) => Told::config(config(listen, backend.addr)),
            _ => Told::config(haproxy(listen, backend.addr)),
        };
        let Some(server) = proxy.start_with(&name, folder, told)? else { continue };
        figures.extend(one(proxy.name(), &server, time));
    }
    Ok(figures)
}

fn one(name: &str, server: &Server, time: Duration) -> [Figure; 4] {
    let quiet = load(server, "/high/100", HIGH_PER_S, time).wait();
    let peak = load(server, "/low/100", CAPACITY_PER_S, time).wait();
    let (high, low) = (load(server, "/high/100", HIGH_PER_S, time), load(server, "/low/100", LOW_PER_S, time));
    let (high, low) = (high.wait(), low.wait());
    let per_s = |report: &Report| report.summary().answered_per_s;
    let p99_ms = |report: &Report| report.summary().latency_us.p99 as f64 / 1_000.0;
    let figure = |metric, value| Figure {
        bench: "router",
        scenario: "overload".into(),
        variant: "log-off".into(),
        subject: name.into(),
        metric,
        value: round(value, 2),
        ratio: std::collections::BTreeMap::new(),
    };
    [
        figure("quiet_p99_ms", p99_ms(&quiet)),
        figure("high_p99_ms", p99_ms(&high)),
        figure("high_answered_percent", 100.0 * high.answered as f64 / high.attempted.max(1) as f64),
        figure("goodput_percent_of_peak", 100.0 * (per_s(&high) + per_s(&low)) / per_s(&peak).max(1.0)),
    ]
}

fn load(server: &Server, target: &str, rate: u32, duration: Duration) -> load::Running {
    load::start(Plan {
        addr: server.addr,
        host: "bench".into(),
        target: target.into(),
        rate,
        duration,
        connections: 600,
        timeout: Duration::from_secs(5),
    })
}

fn config(listen: std::net::SocketAddr, backend: std::net::SocketAddr) -> String {
    format!(
        r#"schema = 1
[router]
listen = ["{listen}"]
workers = 1
[upstreams.backend]
endpoints = ["{backend}"]
[upstreams.backend.limit]
in_flight_max = {AT_ONCE}
waiting_max = 200
wait_ms = {WAIT_MS}
[[routes]]
path_prefix = "/high"
upstream = "backend"
[routes.priority]
default = 0
[[routes]]
path_prefix = "/low"
upstream = "backend"
"#
    )
}

fn haproxy(listen: std::net::SocketAddr, backend: std::net::SocketAddr) -> String {
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
  timeout server 30s
  timeout queue {WAIT_MS}ms
frontend front
  bind {listen}
  http-request set-priority-class int(-10) if {{ path_beg /high }}
  default_backend back
backend back
  server one {backend} maxconn {AT_ONCE} maxqueue 200
"
    )
}
