//! `kill -9` of the node: instances run on, and the next node takes them over.

use crate::rig::{Instance, Node, eventually};

#[test]
fn the_next_node_adopts_the_same_instances() {
    let mut node = Node::with_shop();
    let before = [node.ready("web", 2), node.ready("worker", 1)].concat();
    let (http, queue) = (node.http(), node.queue());
    node.kill();
    assert!(before.iter().all(is_alive));

    node.start_again();
    let after = [node.ready("web", 2), node.ready("worker", 1)].concat();
    assert_eq!(after, before, "the same pids and ports, nothing was started twice");
    assert_eq!((node.http(), node.queue()), (http, queue), "port 0 is the port that the instances know");
    assert_eq!(node.get("/").status, 200);
    assert_eq!(node.items(&["ps"]).len(), 3);
    node.order("tea").unwrap();
}

#[test]
fn what_instances_logged_without_a_node_is_kept_and_told_once() {
    let mut node = Node::with_shop();
    let web = node.ready("web", 2);
    node.kill();
    for instance in &web {
        let reply = direct(instance, "/said-to-nobody");
        assert_eq!(reply, 404, "an instance answers without its node");
    }

    node.start_again();
    let told = || node.lines(&["logs", "--app", "shop", "--process", "web", "\"GET /said-to-nobody\""]);
    eventually("both lines", || (told().len() == 2).then_some(()));
    node.get("/");
    assert_eq!(told().len(), 2, "no line is told twice");
}

#[test]
fn an_instance_that_died_with_the_node_is_started_again() {
    let mut node = Node::with_shop();
    let before = node.ready("web", 2);
    node.kill();
    before[0].kill();

    node.start_again();
    let after = node.ready("web", 2);
    assert!(after.iter().all(|instance| instance.pid != before[0].pid));
    assert!(after.contains(&before[1]), "{after:?}");
}

fn is_alive(instance: &Instance) -> bool {
    std::path::Path::new(&format!("/proc/{}", instance.pid)).exists()
}

/// A request to an instance's own port.
fn direct(instance: &Instance, target: &str) -> u16 {
    let addr = std::net::SocketAddr::from(([127, 0, 0, 1], instance.port));
    let request = format!("GET {target} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n");
    crate::rig::send(addr, &request).unwrap().status
}
