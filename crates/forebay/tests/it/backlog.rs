//! Orders that were acknowledged are worked, whatever happens between.

use std::collections::BTreeSet;

use crate::rig::{Node, eventually};

const ORDERS: usize = 1_000;

#[test]
fn no_acknowledged_order_is_lost_when_the_node_is_killed_on_the_way() {
    let mut node = Node::with_shop();
    node.home.forebay(&["scale", "shop", "worker=0"]).ok();

    let mut taken = post(&node, ORDERS / 2);
    // These are on their way when the node dies; those that got their answer before count.
    taken.extend(std::thread::scope(|scope| {
        let addresses = node.at.clone();
        let posting = scope.spawn(move || post_until_refused(&addresses));
        eventually("orders flow", || (waiting(&node) > ORDERS as u64 / 2 + 20).then_some(()));
        node.kill();
        posting.join().unwrap()
    }));
    node.start_again();
    node.ready("web", 2);
    assert_eq!(node.instances("worker"), [], "the scale is kept");
    let missing = ORDERS.saturating_sub(taken.len());
    taken.extend(post(&node, missing));
    assert!(waiting(&node) >= taken.len() as u64);

    node.home.forebay(&["scale", "shop", "worker=1"]).ok();
    eventually("every order is worked", || {
        let done = done(&node);
        taken.iter().all(|order| done.contains(order)).then_some(())
    });
    assert!(taken.len() >= ORDERS);
}

/// Posts that many, all of which must be taken.
fn post(node: &Node, count: usize) -> BTreeSet<String> {
    (0..count).map(|_| order_of(&node.order("tea").expect("the order is taken"))).collect()
}

/// Posts until an answer fails to come, and returns what was acknowledged.
fn post_until_refused(at: &crate::rig::Addresses) -> BTreeSet<String> {
    let addr = at.http.parse().unwrap();
    std::iter::from_fn(|| crate::rig::order(addr, "cup")).map(|reply| order_of(&reply)).collect()
}

fn order_of(reply: &crate::rig::Reply) -> String {
    reply.json()["order"].as_str().unwrap().to_string()
}

fn waiting(node: &Node) -> u64 {
    let tubes = node.items(&["queue", "ls"]);
    tubes.iter().filter(|row| row["tube"] == "orders").filter_map(|row| row["ready"].as_u64()).sum()
}

fn done(node: &Node) -> BTreeSet<String> {
    let lines = node.lines(&["logs", "--app", "shop", "--process", "worker", "\"order done\""]);
    lines.iter().filter_map(|row| row["fields"]["order"].as_str()).map(String::from).collect()
}
