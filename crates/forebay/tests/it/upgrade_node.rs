//! USR2 to `forebay node`: the same process goes on with another program; connections wait meanwhile, instances serve on.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use benchsuite::load::{self, Plan};
use serde_json::Value;

use crate::rig::steady::{Speaks, Steady};
use crate::rig::{Node, eventually, order, raw};
use crate::upgrade::{install, upgrade};

fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

fn started(node: &Node) -> u64 {
    let ran = node.home.forebay(&["upgrade", "--json"]).ok();
    let told: Value = serde_json::from_str(&ran.stdout).unwrap();
    told["new"]["started_ns"].as_u64().unwrap()
}

#[test]
fn a_node_goes_on_as_the_same_process_and_no_request_fails() {
    let node = Node::with_shop();
    let before = [node.ready("web", 2), node.ready("worker", 1)].concat();
    let load = load::start(Plan {
        rate: 500,
        connections: 32,
        duration: Duration::from_secs(300),
        ..Plan::to(&format!("http://{}/", node.http())).unwrap()
    });
    let http2 = Steady::start(node.http(), false, Speaks::Http2);
    let binary = fs::read(node.home.path("forebay")).unwrap();
    assert_eq!(node.get("/said-before").status, 404);
    let mut open = Vec::new();
    for _ in 0..3 {
        let goal = load.answered() + 500;
        eventually("more answers", || (load.answered() >= goal).then_some(()));
        install(&node.home, &binary);
        let (old, new) = upgrade(&node.home);
        assert_eq!((old, new), (node.pid(), node.pid()), "the process stays");
        open.push(descriptors(new));
    }
    let goal = load.answered() + 500;
    eventually("more answers", || (load.answered() >= goal).then_some(()));
    let report = load.finish();
    assert!(report.failed.is_empty() && report.attempted == report.answered, "{report}");
    assert_eq!(http2.finish(), [""; 0]);
    let after = [node.ready("web", 2), node.ready("worker", 1)].concat();
    assert_eq!(after, before, "the same processes on the same ports");
    assert!(open[2] <= open[0] + 40, "descriptors are left open: {open:?}");
    let told = || node.lines(&["logs", "--app", "shop", "--process", "web", "\"GET /said-before\""]);
    eventually("the log has it, once", || (told().len() == 1).then_some(()));
    let lock = fs::read_to_string(node.home.data().join("queue/LOCK")).unwrap();
    assert!(lock.starts_with(&format!("pid {} ", node.pid())), "{lock}");
    node.home.forebay(&["node", "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"]).failed(7, "data_folder_locked");
}

#[test]
fn jobs_outlive_the_upgrade_and_clients_come_back_to_the_same_port() {
    let node = Node::start();
    let mut client = TcpStream::connect(node.queue()).unwrap();
    client.write_all(b"put 5 0 60 3\r\none\r\nreserve\r\n").unwrap();
    let expected = "INSERTED 1\r\nRESERVED 1 3\r\none\r\n";
    let mut said = vec![0; expected.len()];
    client.read_exact(&mut said).unwrap();
    assert_eq!(String::from_utf8_lossy(&said), expected);
    assert_eq!(raw(node.queue(), b"put 5 0 60 3\r\ntwo\r\nquit\r\n").unwrap(), "INSERTED 2\r\n");
    let first = started(&node);
    assert_eq!(client.read(&mut [0]).unwrap(), 0, "the old connection has ended");
    let all = raw(node.queue(), b"reserve\r\nreserve\r\nput 5 0 60 5\r\nthree\r\nquit\r\n").unwrap();
    assert_eq!(all, "RESERVED 1 3\r\none\r\nRESERVED 2 3\r\ntwo\r\nINSERTED 3\r\n");
    assert!(started(&node) > first, "once more");
    let stats = raw(node.queue(), b"peek-ready\r\nstats-job 3\r\nquit\r\n").unwrap();
    assert!(stats.contains("three") || stats.contains("state: ready"), "{stats}");
}

#[test]
fn a_connection_that_is_opened_meanwhile_waits_and_is_answered() {
    let node = Node::with_shop();
    node.ready("web", 2);
    let (http, admin) = (node.http(), node.home.data());
    let mut slow = TcpStream::connect(http).unwrap();
    slow.write_all(b"GET /?delay_ms=2000 HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n").unwrap();
    eventually("it is under way", || {
        let rows = node.items(&["upstreams", "--window", "1ms"]);
        rows.iter().any(|row| row["in_flight"].as_u64() > Some(0)).then_some(())
    });
    node.signal(rustix::process::Signal::USR2);
    let log = || fs::read_to_string(admin.join("node.log")).unwrap();
    eventually("it drains", || log().contains("new connections wait").then_some(()));
    // The slow request keeps the old program; this connection is for the new one.
    let waiting = std::thread::spawn(move || order(http, "tea"));
    let mut text = String::new();
    slow.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    assert!(waiting.join().unwrap().is_some(), "the order was taken");
    eventually("the new program serves", || (log().matches("the node is ready").count() == 2).then_some(()));
}

#[test]
fn a_binary_that_could_not_serve_changes_nothing() {
    let node = Node::with_shop();
    let before = node.ready("web", 2);
    let good = fs::read_to_string(node.home.path("node.toml")).unwrap();
    let log = || fs::read_to_string(node.home.data().join("node.log")).unwrap();
    let mut times = 0;
    let mut fails = |word: &str| {
        times += 1;
        node.signal(rustix::process::Signal::USR2);
        let failures = || log().matches("the upgrade failed; this process goes on as before").count();
        eventually("it fails", || (failures() == times).then_some(()));
        assert!(log().contains(word), "{}", log());
        assert_eq!(node.get("/").status, 200);
    };
    node.home.write("node.toml", &format!("{good}[router]\nworkerz = 1\n"));
    fails("workerz");
    node.home.write("node.toml", &format!("{good}[router]\ntrusted_peers = [\"nobody\"]\n"));
    fails("nobody");
    node.home.write("node.toml", &good);
    let format = node.home.data().join("queue/FORMAT");
    let present = fs::read_to_string(&format).unwrap();
    fs::write(&format, present.replace('1', "9")).unwrap();
    fails("has format 9 of the queue plane");
    fs::write(&format, present).unwrap();
    let binary = fs::read(node.home.path("forebay")).unwrap();
    install(&node.home, b"\x7fELF of another machine");
    fails("cannot start the new binary");
    install(&node.home, b"#!/bin/sh\nexit 9\n");
    fails("exit status: 9");
    install(&node.home, &binary);
    let (old, new) = upgrade(&node.home);
    assert_eq!(old, new);
    assert_eq!(node.ready("web", 2), before);
}
