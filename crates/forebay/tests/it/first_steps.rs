//! What a newcomer does, in order.

use rustix::process::Signal;

use crate::rig::{Home, Node, eventually, example};

#[test]
fn up_starts_a_node_deploys_and_answers_and_ctrl_c_stops_it_all() {
    let shop = example("shop");
    let mut node = Node::start_in(Home::new(), &["up", shop.to_str().unwrap()]);
    node.ready("web", 2);
    let reply = node.get("/");
    assert_eq!(reply.status, 200);
    assert!(reply.body.contains("<h1>The shop</h1>"), "{reply:?}");
    let trace = reply.field("forebay-trace").unwrap();
    assert!(trace.len() == 32 && trace.bytes().all(|byte| byte.is_ascii_hexdigit()), "{trace}");

    let instances = [node.instances("web"), node.instances("worker")].concat();
    assert_eq!(instances.len(), 3);
    assert_eq!(node.stop(Signal::INT), Some(0));
    for instance in instances {
        assert!(!std::path::Path::new(&format!("/proc/{}", instance.pid)).exists(), "{} still runs", instance.name);
    }
    assert!(!node.home.data().join("ports.json").exists());
    assert!(!node.home.said().contains("crashed"), "what is told to stop has not crashed: {}", node.home.said());
}

#[test]
fn up_again_starts_what_ran_and_deploys_nothing_when_nothing_has_changed() {
    let shop = example("shop");
    let up = ["up", shop.to_str().unwrap()];
    let mut node = Node::start_in(Home::new(), &up);
    node.ready("web", 2);
    assert_eq!(node.stop(Signal::INT), Some(0));
    node.start_again_with(&up);
    assert!(node.ready("web", 2).iter().all(|instance| instance.release == 1));
    assert_eq!(node.items(&["releases", "shop"]).len(), 1);
}

#[test]
fn an_order_is_worked_and_its_trace_tells_the_whole_story() {
    let node = Node::with_shop();
    let reply = node.order("tea").unwrap();
    let order = reply.json()["order"].as_str().unwrap().to_string();
    let trace = reply.field("forebay-trace").unwrap().to_string();

    let story = eventually("the order is done", || {
        let rows = node.trace(&trace);
        let done = rows.iter().any(|row| row["message"] == "order done" && row["fields"]["order"] == order.as_str());
        let told = |source: &str| rows.iter().any(|row| row["source"] == source);
        (done && told("router") && told("queue")).then_some(rows)
    });

    assert!(story.iter().all(|row| row["trace"] == trace.as_str()));
    let message =
        |process: &str, message: &str| story.iter().any(|row| row["process"] == process && row["message"] == message);
    assert!(message("web", "order taken"), "{story:#?}");
    assert!(message("worker", "order done"), "{story:#?}");
    let times: Vec<u64> = story.iter().map(|row| row["time_ns"].as_u64().unwrap()).collect();
    assert!(times.is_sorted(), "oldest first: {times:?}");
}

#[test]
fn a_scaled_process_stops_and_the_queue_shows_what_waits() {
    let node = Node::with_shop();
    node.home.forebay(&["scale", "shop", "worker=0"]).ok();
    assert_eq!(node.instances("worker"), []);
    node.order("cup").unwrap();
    let orders = |node: &Node| node.items(&["queue", "ls"]).into_iter().find(|row| row["tube"] == "orders");
    let row = orders(&node).unwrap();
    assert_eq!((&row["app"], &row["ready"]), (&"shop".into(), &1.into()));

    node.home.forebay(&["scale", "shop", "worker=1"]).ok();
    eventually("the queue is empty", || orders(&node).filter(|row| row["ready"] == 0 && row["reserved"] == 0));
}

#[test]
fn a_rollback_is_a_new_release_with_the_old_content() {
    let node = Node::with_shop();
    let changed = node.home.path("changed");
    copy(&example("shop"), &changed);
    let page = std::fs::read_to_string(changed.join("web.py")).unwrap();
    std::fs::write(changed.join("web.py"), page.replace("<h1>The shop</h1>", "<h1>The new shop</h1>")).unwrap();

    assert_eq!(node.home.forebay(&["deploy", "--json", changed.to_str().unwrap()]).release(), 2);
    assert!(node.get("/").body.contains("The new shop"));
    assert_eq!(node.home.forebay(&["rollback", "shop", "--json"]).release(), 3);
    assert!(node.get("/").body.contains("<h1>The shop</h1>"));
    let releases = node.items(&["releases", "shop"]);
    let digest = |n: u64| releases.iter().find(|row| row["release"] == n).unwrap()["digest"].clone();
    assert_eq!(digest(1), digest(3));
    assert_ne!(digest(1), digest(2));
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten().filter(|entry| entry.path().is_file()) {
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
