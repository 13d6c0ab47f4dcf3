//! What an application writes while nobody takes it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::rig::{Node, eventually};

/// Lines of 60 bytes; three times what an init keeps.
const LINES: u64 = 50_000;

/// Writes numbered lines when the file `go` appears in its folder, then the file `through`.
const WRITER: &str = "import os, pathlib, sys, time
while not pathlib.Path('/proc/self/cwd/go').exists(): time.sleep(0.02)
begun = time.monotonic()
for n in range(50000): sys.stdout.write(f'number {n:06} ' + 'x' * 45 + '\\n')
sys.stdout.flush()
print('took', int((time.monotonic() - begun) * 1000), flush=True)
time.sleep(1000)
";

fn writer() -> (Node, PathBuf) {
    let node = Node::start();
    let manifest = "schema = 1\napp = \"writer\"\n[processes.worker]\ncommand = \"python3 write.py\"\n";
    let folder = node.home.write("writer/forebay.toml", manifest).parent().unwrap().to_path_buf();
    node.home.write("writer/write.py", WRITER);
    node.home.forebay(&["deploy".as_ref(), folder.as_os_str()]).ok();
    node.ready("worker", 1);
    let go = node.home.data().join("releases/writer/production/1/go");
    (node, go)
}

/// Numbers that were delivered, and how many lines were said to be dropped.
fn account(node: &Node) -> (Vec<u64>, u64) {
    let rows = node.lines(&["logs", "--app", "writer"]);
    let number = |row: &serde_json::Value| row["message"].as_str()?.strip_prefix("number ")?[..6].parse().ok();
    let dropped = |row: &serde_json::Value| row["fields"]["dropped_lines"].as_u64();
    (rows.iter().filter_map(number).collect(), rows.iter().filter_map(dropped).sum())
}

fn until_all_is_told(node: &Node) -> (Vec<u64>, u64) {
    eventually("every line is delivered or counted", || {
        let (numbers, dropped) = account(node);
        (numbers.len() as u64 + dropped >= LINES).then_some((numbers, dropped))
    })
}

#[test]
fn lines_written_without_a_node_are_kept_up_to_a_bound_and_counted_beyond_it() {
    let (mut node, go) = writer();
    let pid = node.ready("worker", 1)[0].pid;
    node.kill();
    std::fs::write(&go, "").unwrap();
    // Without a node nothing is read beyond the bound: it gets through because lines are dropped.
    let wrote = || std::fs::read_to_string(format!("/proc/{pid}/io")).ok()?.lines().find_map(written);
    eventually("it has written", || wrote().filter(|bytes| *bytes > LINES * 59));

    node.start_again();
    let (numbers, dropped) = until_all_is_told(&node);
    let distinct: BTreeSet<u64> = numbers.iter().copied().collect();
    assert_eq!(distinct.len(), numbers.len(), "no line is told twice");
    assert_eq!(numbers.len() as u64 + dropped, LINES);
    assert!(dropped > LINES / 3 && numbers.len() > 5_000, "{} kept, {dropped} dropped", numbers.len());
    assert!(distinct.contains(&0) && distinct.contains(&(LINES - 1)), "the first and the last lines are kept");
}

#[test]
fn a_flood_is_taken_or_counted_and_its_writer_gets_through() {
    let (node, go) = writer();
    std::fs::write(&go, "").unwrap();
    let (numbers, dropped) = until_all_is_told(&node);
    assert_eq!(numbers.len() as u64 + dropped, LINES);
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "in the order in which they were written");
    eventually("it is through", || node.lines(&["logs", "--app", "writer", "took"]).pop());
}

/// The line `wchar: N` of `/proc/PID/io`.
fn written(line: &str) -> Option<u64> {
    line.strip_prefix("wchar: ")?.parse().ok()
}
