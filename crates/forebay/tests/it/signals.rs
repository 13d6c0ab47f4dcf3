//! Signals: what docs/signals.md says.

use rustix::process::Signal;

use crate::rig::{Node, eventually, raw};

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
fn usr1_drains_the_queue_and_everything_else_goes_on() {
    let node = Node::start();
    assert_eq!(raw(node.queue(), PUT).unwrap(), "INSERTED 1\r\n");
    node.signal(Signal::USR1);
    eventually("new jobs are refused", || (raw(node.queue(), PUT).ok()? == "DRAINING\r\n").then_some(()));
    assert_eq!(raw(node.queue(), b"reserve\r\ndelete 1\r\nquit\r\n").unwrap(), "RESERVED 1 1\r\nx\r\nDELETED\r\n");
}
