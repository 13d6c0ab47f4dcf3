//! A plane fails alone, or is full alone: it says so, refuses in its protocol's words, and the router serves on.

use serde_json::Value;

use crate::rig::{Home, Node, eventually, raw};

/// A node that serves the example, with more in its `node.toml`.
fn node_with(settings: &str) -> Node {
    let home = Home::new();
    let key = home.path("key").display().to_string();
    home.write("node.toml", &format!("schema = 1\nkey_file = \"{key}\"\n{settings}"));
    let node = Node::start_in(home, &["node"]);
    node.deploy("shop");
    node
}

/// A plane's row in `ps`.
fn plane(node: &Node, name: &str) -> Value {
    let ps: Value = serde_json::from_str(&node.home.forebay(&["ps", "--json"]).ok().stdout).unwrap();
    ps["planes"].as_array().unwrap().iter().find(|row| row["plane"] == name).unwrap().clone()
}

#[test]
fn a_queue_that_lost_its_folder_refuses_and_the_rest_goes_on() {
    let node = node_with("[queue]\nsegment_bytes_max = 8192\n");
    let folder = node.home.data().join("queue/log");
    std::fs::rename(&folder, folder.with_file_name("gone")).unwrap();
    let put = format!("put 0 0 60 60000\r\n{}\r\n", "x".repeat(60_000));
    let replies = raw(node.queue(), (put.repeat(3) + "quit\r\n").as_bytes()).unwrap();
    assert!(replies.ends_with("INTERNAL_ERROR\r\n"), "{replies}");
    assert_eq!(raw(node.queue(), b"stats\r\nquit\r\n").unwrap(), "INTERNAL_ERROR\r\n");
    let row = plane(&node, "queue");
    assert_eq!(row["state"], "failed");
    assert!(row["reason"].as_str().unwrap().contains("queue/log"), "{row}");
    node.home.forebay(&["queue", "ls"]).failed(1, "queue_unavailable");

    assert_eq!(node.get("/").status, 200);
    assert_eq!(node.deploy("shop"), 2, "deploys need no queue");
    assert_eq!(plane(&node, "logs")["state"], "running");
}

#[test]
fn a_log_store_that_lost_its_folder_is_read_on_but_cannot_be_followed() {
    let node = node_with("[logs]\nsegment_bytes_max = 65536\n");
    node.get("/kept");
    eventually("the line", || (!node.lines(&["logs", "\"GET /kept\""]).is_empty()).then_some(()));
    let folder = node.home.data().join("logs/segments");
    std::fs::rename(&folder, folder.with_file_name("gone")).unwrap();
    eventually("the store fails", || {
        assert!([200, 404].contains(&node.get(&format!("/{}", "x".repeat(2000))).status));
        (plane(&node, "logs")["state"] == "failed").then_some(())
    });
    node.home.forebay(&["logs", "-f"]).failed(1, "logs_failed");
    assert_eq!(node.get("/").status, 200);
    assert!(node.order("tea").is_some());
}

#[test]
fn a_full_log_store_is_told_and_nobody_waits_for_it() {
    let node = node_with("[logs]\ndisk_reserve_bytes = 1000000000000000000\n");
    eventually("the store is full", || (plane(&node, "logs")["state"] == "full").then_some(()));
    let row = plane(&node, "logs");
    assert!(row["reason"].as_str().unwrap().contains("logs.disk_reserve_bytes"), "{row}");
    assert!(node.home.forebay(&["ps"]).ok().stdout.contains("plane logs is full: "));
    assert_eq!(node.get("/").status, 200);
    assert!(node.order("tea").is_some());
}

#[test]
fn a_queue_without_disk_space_refuses_puts_and_says_why() {
    let node = node_with("[queue]\ndisk_reserve_bytes = 1000000000000000000\n");
    assert_eq!(raw(node.queue(), b"put 0 0 60 1\r\nx\r\nquit\r\n").unwrap(), "OUT_OF_MEMORY\r\n");
    assert_eq!(plane(&node, "queue")["state"], "full");
    assert_eq!(node.order("tea").map(|reply| reply.status), None);
    assert_eq!(node.get("/").status, 200);
}
