//! Signals: what docs/signals.md says.

use rustix::process::{Pid, Signal, kill_process};

use crate::rig::alone::{self, Alone};
use crate::rig::{Node, eventually, raw, send};

const PUT: &[u8] = b"put 0 0 60 1\r\nx\r\nquit\r\n";

#[test]
fn hup_applies_the_limits_of_the_queue_and_a_file_with_an_error_changes_nothing() {
    let node = Node::start();
    let before = std::fs::read_to_string(node.home.path("node.toml")).unwrap();
    assert_eq!(raw(node.queue(), PUT).unwrap(), "INSERTED 1\r\n");

    node.home.write("node.toml", &format!("{before}[queue]\njobs_max = 1\n"));
    node.signal(Signal::HUP);
    eventually("the limit is in force", || (raw(node.queue(), PUT).ok()? == "OUT_OF_MEMORY\r\n").then_some(()));

    node.home.write("node.toml", &format!("{before}[queue]\njobs_maximum = 5\n"));
    node.signal(Signal::HUP);
    eventually("the error is told", || node.home.said().contains("was not read again").then_some(()));
    assert_eq!(raw(node.queue(), PUT).unwrap(), "OUT_OF_MEMORY\r\n");
}

#[test]
fn hup_names_what_counts_at_once_and_what_waits_for_a_restart() {
    let node = Node::with_shop();
    node.ready("web", 2);
    node.order("tea").unwrap();
    let before = std::fs::read_to_string(node.home.path("node.toml")).unwrap();
    let more = "[router]\nbody_bytes_max = 5\nworkers = 3\n[queue]\njobs_max = 7\nconnections_max = 9\n\
                [logs]\ntails_max = 1\ncommit_interval_ms = 900\n";
    node.home.write("node.toml", &format!("{before}{more}"));
    node.signal(Signal::HUP);
    let applied = "applied=router.body_bytes_max, queue.jobs_max, logs.tails_max";
    let later = "needs_restart=router.workers, queue.connections_max, logs.commit_interval_ms";
    eventually("it is said", || node.home.said().contains(&format!("{applied} {later}")).then_some(()));
    eventually("the limit of the router is in force", || node.order("tea").is_none().then_some(()));
    let order = "POST /orders HTTP/1.1\r\nHost: shop\r\nContent-Length: 6\r\nConnection: close\r\n\r\n123456";
    assert_eq!(send(node.http(), order).unwrap().status, 413);
    node.home.write("node.toml", &before);
    node.signal(Signal::HUP);
    eventually("and out of force", || node.order("tea").map(drop));
    assert!(node.home.said().contains(&format!("{applied} needs_restart=nothing")), "{}", node.home.said());
}

#[test]
fn hup_swaps_the_routes_of_a_router_alone_and_an_error_changes_none() {
    let router = Alone::in_front_of(&[alone::endpoint("first")], &[]);
    let hup = || kill_process(Pid::from_child(&router.child.0), Signal::HUP).unwrap();
    assert_eq!(router.get("/").body, "first");
    alone::write_config(&router.home, &[alone::endpoint("second")]);
    let config = std::fs::read_to_string(router.home.path("router.toml")).unwrap();
    let held = config.replace("workers = 2", "workers = 4\nheld_max = 9");
    router.home.write("router.toml", &format!("{held}path_prefix = \"/shop\"\n"));
    hup();
    eventually("the new route", || (router.get("/shop/cart").body == "second").then_some(()));
    assert_eq!(router.get("/").status, 404, "the old one is gone");
    let log = || std::fs::read_to_string(router.home.data().join("node.log")).unwrap();
    let said =
        "read again: routes and upstreams are as the file says applied=router.held_max needs_restart=router.workers";
    eventually("it is said", || log().contains(said).then_some(()));
    router.home.write("router.toml", "schema = 1\nroutes = []\nrutes = 1\n");
    hup();
    eventually("the error is told", || router.home.said().contains("the routes stay as they were").then_some(()));
    assert_eq!(router.get("/shop").body, "second");
}

#[test]
fn usr1_drains_the_queue_and_everything_else_goes_on() {
    let node = Node::start();
    assert_eq!(raw(node.queue(), PUT).unwrap(), "INSERTED 1\r\n");
    node.signal(Signal::USR1);
    eventually("new jobs are refused", || (raw(node.queue(), PUT).ok()? == "DRAINING\r\n").then_some(()));
    assert_eq!(raw(node.queue(), b"reserve\r\ndelete 1\r\nquit\r\n").unwrap(), "RESERVED 1 1\r\nx\r\nDELETED\r\n");
}
