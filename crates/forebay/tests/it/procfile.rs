//! A `Procfile` alone is enough.

use std::process::Command;

use crate::rig::{Node, eventually, send};

const PROCFILE: &str = "web: python3 -m http.server $PORT --bind 127.0.0.1\n";

#[test]
fn an_application_with_only_a_procfile_answers() {
    let node = Node::start();
    node.home.write("Hello World/Procfile", PROCFILE);
    node.home.write("Hello World/greeting.txt", "good day");
    let folder = node.home.path("Hello World");
    let ran = node.home.forebay(&["deploy".as_ref(), folder.as_os_str()]).ok();
    ran.says(&["Procfile", "hello-world"]);
    let rows = node.items(&["ps"]);
    assert_eq!((rows[0]["app"].as_str(), rows[0]["process"].as_str()), (Some("hello-world"), Some("web")));
    let reply = eventually("it answers", || Some(node.get("/greeting.txt")).filter(|reply| reply.status == 200));
    assert_eq!(reply.body, "good day");
}

#[test]
fn a_manifest_of_another_application_is_refused_by_the_node_too() {
    let node = Node::start();
    node.home.write("one/forebay.toml", "schema = 1\napp = \"one\"\n[processes.web]\ncommand = \"sleep 9\"\n");
    // The command line names the application of the manifest; somebody else may not.
    let packed = Command::new("tar").args(["-c", "forebay.toml"]).current_dir(node.home.path("one")).output().unwrap();
    let archive = String::from_utf8(packed.stdout).unwrap();
    let token = std::fs::read_to_string(node.home.data().join("admin.token")).unwrap();
    let head = format!(
        "POST /v1/deploys?app=two HTTP/1.1\r\nHost: node\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        token.trim(),
        archive.len()
    );
    let reply = send(node.at.admin.parse().unwrap(), &(head + &archive)).unwrap();
    assert_eq!(reply.status, 400, "{reply:?}");
    let text = reply.json().to_string();
    assert!(text.contains("the manifest is of the application `one`") && text.contains("forebay.toml"), "{text}");
    assert_eq!(node.items(&["releases"]), Vec::<serde_json::Value>::new());
}
