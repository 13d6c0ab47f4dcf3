//! What people and networks get wrong: each a clear answer, and the node serves on.

use std::net::TcpListener;

use crate::rig::{Addresses, Home, Node, Stray, eventually, raw};

#[test]
fn a_malformed_manifest_is_told_with_file_line_and_key() {
    let node = Node::start();
    let manifest = "schema = 1\napp = \"shop\"\n\n[processes.web]\ncomand = \"python3 web.py\"\n";
    let path = node.home.write("shop/forebay.toml", manifest);
    let ran = node.home.forebay(&["deploy".as_ref(), path.parent().unwrap().as_os_str()]);
    assert_eq!(ran.code, Some(2), "{ran:#?}");
    ran.says(&["forebay.toml:5", "comand", "did you mean `command`"]);
}

#[test]
fn a_manifest_of_a_newer_schema_is_told() {
    let node = Node::start();
    let path = node.home.write("shop/forebay.toml", "schema = 99\napp = \"shop\"\n");
    let ran = node.home.forebay(&["deploy".as_ref(), path.parent().unwrap().as_os_str()]);
    assert_eq!(ran.code, Some(2), "{ran:#?}");
    ran.says(&["schema", "99"]);
}

#[test]
fn a_port_in_use_is_an_error_that_names_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    for on in [
        Addresses { http: addr.clone(), ..Addresses::any() },
        Addresses { queue: addr.clone(), ..Addresses::any() },
        Addresses { admin: addr.clone(), ..Addresses::any() },
    ] {
        let home = Home::new();
        fails(&home, &on, 1, &["port_in_use", &addr]);
        assert!(!home.data().join("ports.json").exists());
    }
}

#[test]
fn a_second_node_with_other_data_does_not_share_the_port() {
    let node = Node::start();
    let other = Home::beside(&node.home);
    fails(&other, &Addresses { http: node.at.http.clone(), ..Addresses::any() }, 1, &["port_in_use", &node.at.http]);
    assert_eq!(node.get("/").status, 404);
}

#[test]
fn a_second_node_on_the_same_folder_is_told_who_has_it() {
    let node = Node::start();
    let mut second = Stray(node.home.spawn(&["node"], &Addresses::any()));
    let status = eventually("the second node gives up", || second.0.try_wait().unwrap());
    assert_eq!(status.code(), Some(7), "{}", node.home.said());
    let said = node.home.said();
    assert!(said.contains("is in use by pid") && said.contains("(forebay node)"), "{said}");
    node.home.forebay(&["ps"]).ok();
}

#[test]
fn a_folder_of_a_newer_format_is_refused_and_left_alone() {
    for plane in ["state", "queue", "logs"] {
        let home = Home::new();
        let format = home.write(&format!("data/{plane}/FORMAT"), &format!("forebay {plane} 99\n"));
        fails(&home, &Addresses::any(), 1, &["format_newer", "99", plane]);
        assert_eq!(std::fs::read_to_string(format).unwrap(), format!("forebay {plane} 99\n"));
    }
}

#[test]
fn a_header_of_1_mb_is_too_large() {
    let node = Node::with_shop();
    let long = "x".repeat(1 << 20);
    let reply = raw(node.http(), format!("GET / HTTP/1.1\r\nHost: a\r\nX-Long: {long}\r\n\r\n").as_bytes()).unwrap();
    assert!(reply.starts_with("HTTP/1.1 431 "), "{reply}");
    assert_eq!(node.get("/").status, 200);
}

#[test]
fn a_body_of_10_gb_is_refused_before_it_is_sent() {
    let node = Node::with_shop();
    let head = "POST /orders HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000000\r\n\r\n{\"item\":";
    let reply = raw(node.http(), head.as_bytes()).unwrap();
    assert!(reply.starts_with("HTTP/1.1 413 "), "{reply}");
    assert_eq!(node.get("/").status, 200);
}

#[test]
fn garbage_on_the_queue_port_is_answered_and_http_is_shown_the_door() {
    let node = Node::start();
    let reply = raw(node.queue(), b"make me a sandwich\r\nquit\r\n").unwrap();
    assert_eq!(reply, "UNKNOWN_COMMAND\r\n");
    let reply = raw(node.queue(), b"POST / HTTP/1.1\r\nHost: a\r\n\r\nput 0 0 60 1\r\nx\r\n").unwrap_or_default();
    assert!(!reply.contains("INSERTED"), "{reply}");
    assert_eq!(node.items(&["queue", "ls"]).iter().filter(|row| row["total"] != 0).count(), 0);
}

#[test]
fn a_verb_without_a_node_says_so() {
    let home = Home::new();
    let ran = home.forebay(&["ps"]);
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    ran.says(&["error: ", "hint: "]);
}

#[test]
fn an_unknown_application_is_not_found() {
    Node::start().home.forebay(&["rollback", "nobody"]).failed(3, "app_not_found");
}

/// A node that must not start.
fn fails(home: &Home, on: &Addresses, exit: i32, words: &[&str]) {
    let mut node = Stray(home.spawn(&["node"], on));
    let status = eventually("the node gives up", || node.0.try_wait().unwrap());
    let said = home.said();
    assert_eq!(status.code(), Some(exit), "{said}");
    for word in words {
        assert!(said.contains(word), "`{word}` is missing in: {said}");
    }
}
