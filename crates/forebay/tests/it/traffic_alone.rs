//! Requests that keep coming to `forebay router serve`, through everything that happens behind it: none fails.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::Duration;

use benchsuite::load::{self, Plan, Running};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::rig::alone::{self, Alone};
use crate::rig::{Home, Stray, eventually, example};

#[test]
fn no_request_fails_when_endpoints_are_killed_and_replaced_and_the_file_is_read_again() {
    through_everything("/");
}

#[test]
fn no_request_in_flight_at_a_router_alone_is_lost_when_handlers_take_200_ms() {
    through_everything("/?delay_ms=200");
}

/// A process of its own that answers requests.
struct Endpoint {
    addr: SocketAddr,
    process: Stray,
}

impl Endpoint {
    /// The shop's web process, which needs nothing of a node for its page.
    fn start(home: &Home, name: &str) -> Endpoint {
        let said = home.path(name);
        let mut command = Command::new("python3");
        command.arg(example("shop").join("web.py")).env("PORT", "0");
        command.stdin(Stdio::null()).stdout(File::create(&said).unwrap());
        let process = Stray(command.spawn().unwrap());
        let port = eventually("an endpoint listens", || {
            let text = std::fs::read_to_string(&said).unwrap();
            let line: Value = serde_json::from_str(text.split_once('\n')?.0).unwrap();
            Some(u16::try_from(line["port"].as_u64()?).unwrap())
        });
        Endpoint { addr: (Ipv4Addr::LOCALHOST, port).into(), process }
    }

    /// `kill -9`; what it was answering is cut off.
    fn kill(mut self) {
        self.process.0.kill().unwrap();
        self.process.0.wait().unwrap();
    }
}

/// 500 requests a second, sent when they are due whatever became of those before.
fn through_everything(target: &str) {
    let home = Home::new();
    let mut endpoints = ["1", "2", "3"].map(|name| Endpoint::start(&home, name)).into_iter().collect::<Vec<_>>();
    alone::write_config(&home, &addrs(&endpoints));
    let router = Alone::serve(home, &[]);
    let load = load::start(Plan {
        rate: 500,
        connections: 256,
        duration: Duration::from_secs(300),
        timeout: Duration::from_secs(30),
        ..Plan::to(&format!("http://{}{target}", router.http)).unwrap()
    });
    a_thousand_more(&load);

    endpoints.remove(0).kill();
    a_thousand_more(&load);

    let old = std::mem::replace(&mut endpoints, ["4", "5", "6"].map(|name| Endpoint::start(&router.home, name)).into());
    alone::write_config(&router.home, &addrs(&endpoints));
    hang_up(&router);
    eventually("the new endpoints are routed to", || (routed(&router) == sorted(addrs(&endpoints))).then_some(()));
    for endpoint in old {
        endpoint.kill();
    }
    a_thousand_more(&load);

    for _ in 0..5 {
        hang_up(&router);
        let goal = load.answered() + 200;
        eventually("more answers", || (load.answered() >= goal).then_some(()));
    }

    let report = load.finish();
    assert!(report.failed.is_empty() && report.attempted == report.answered, "{report}");
    assert!(report.answered >= 4_000, "{report}");
}

fn addrs(endpoints: &[Endpoint]) -> Vec<SocketAddr> {
    endpoints.iter().map(|endpoint| endpoint.addr).collect()
}

fn sorted(mut addrs: Vec<SocketAddr>) -> Vec<SocketAddr> {
    addrs.sort();
    addrs
}

/// The endpoints that the router lists.
fn routed(router: &Alone) -> Vec<SocketAddr> {
    let ran = router.home.forebay(&["upstreams", "--json", "--window", "1ms"]).ok();
    let listing: Value = serde_json::from_str(&ran.stdout).unwrap();
    let rows = listing["items"].as_array().unwrap().iter();
    sorted(rows.map(|row| row["endpoint"].as_str().unwrap().parse().unwrap()).collect())
}

fn hang_up(router: &Alone) {
    kill_process(Pid::from_child(&router.child.0), Signal::HUP).unwrap();
}

fn a_thousand_more(load: &Running) {
    let goal = load.answered() + 1_000;
    eventually("a thousand more answers", || (load.answered() >= goal).then_some(()));
}
