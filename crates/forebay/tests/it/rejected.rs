//! Releases that do not become healthy: refused, with the reason, while the one before serves on.

use crate::rig::{Node, Ran, example};

#[test]
fn a_release_that_is_not_healthy_is_rejected_and_says_why() {
    let node = Node::with_shop();
    let before = node.ready("web", 2);
    let ran = node.home.forebay(&["deploy".as_ref(), example("shop-broken").as_os_str()]);
    assert_eq!(ran.code, Some(5), "{ran:#?}");
    // The instance's own last words, and the rule that failed.
    ran.says(&["cannot read prices.csv", "/health", "500"]);

    assert_eq!(node.ready("web", 2), before, "the old instances were not touched");
    assert_eq!(node.get("/").status, 200);
    let releases = node.items(&["releases", "shop"]);
    let state = |n: u64| releases.iter().find(|row| row["release"] == n).unwrap()["state"].clone();
    assert_eq!((state(1), state(2)), ("serving".into(), "failed".into()));
}

#[test]
fn a_command_that_is_not_there_is_rejected() {
    let ran = deploy(&Node::start(), "command = \"no-such-program --serve\"\nhealth = { path = \"/\" }");
    assert_eq!(ran.code, Some(5), "{ran:#?}");
    ran.says(&["no-such-program", "not found"]);
}

#[test]
fn a_health_path_that_never_answers_is_rejected() {
    let silent = "import os, socket, time; s = socket.create_server((\\\"127.0.0.1\\\", int(os.environ[\\\"PORT\\\"]))); time.sleep(600)";
    let process = format!("command = \"python3 -c '{silent}'\"\nhealth = {{ path = \"/ready\", timeout_ms = 200 }}");
    let ran = deploy(&Node::start(), &process);
    assert_eq!(ran.code, Some(5), "{ran:#?}");
    ran.says(&["/ready"]);
}

/// Deploys an application whose only process is this, with little patience.
fn deploy(node: &Node, process: &str) -> Ran {
    let manifest = format!(
        "schema = 1\napp = \"one\"\n[processes.web]\n{process}\n[[routes]]\npath_prefix = \"/\"\nprocess = \"web\"\n"
    );
    let path = node.home.write("one/forebay.toml", &manifest);
    node.home.forebay(&["deploy".as_ref(), path.parent().unwrap().as_os_str()])
}
