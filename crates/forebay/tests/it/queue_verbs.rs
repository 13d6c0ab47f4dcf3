//! What operators type to see and move jobs, with a node and with the queue alone.

use std::process::Child;

use crate::rig::{Home, Node, Ran, Stray, eventually};

/// The queue served alone in a folder, ready.
fn queue_alone(home: &Home) -> Stray {
    let mut command = home.command();
    let child: Child = command.args(["queue", "serve", "--listen", "127.0.0.1:0"]).spawn().unwrap();
    eventually("the queue answers", || (home.forebay(&["queue", "show"]).code == Some(0)).then_some(()));
    Stray(child)
}

fn out(ran: Ran) -> String {
    ran.ok().stdout
}

#[test]
fn jobs_are_put_seen_and_moved_by_hand() {
    let home = Home::new();
    let _queue = queue_alone(&home);
    let forebay = |line: &str| home.forebay(&line.split(' ').collect::<Vec<_>>());
    assert_eq!(out(forebay("queue put orders tea --pri 5 --ttr 2m")), "1\n");
    assert_eq!(out(forebay("queue put orders milk --delay 1h")), "2\n");
    assert_eq!(out(forebay("queue peek 1")), "tea\n");
    assert_eq!(out(forebay("queue peek --tube orders --state delayed")), "milk\n");
    assert_eq!(out(forebay("queue bury 1")), "1 buried\n");
    forebay("queue peek --tube orders").failed(3, "no_such_job");
    assert_eq!(out(forebay("queue kick orders 10")), "1 ready\n");
    assert_eq!(out(forebay("queue kick --job 2")), "1 ready\n");
    assert_eq!(out(forebay("queue pause orders --for 15m")), "orders paused for 15m\n");
    let shown = out(forebay("queue show orders"));
    assert!(
        shown.contains("2 ready, 0 reserved, 0 delayed, 0 buried") && shown.contains("paused      until "),
        "{shown}"
    );
    assert_eq!(out(forebay("queue resume orders")), "orders goes on\n");
    let row: serde_json::Value = serde_json::from_str(&out(forebay("queue ls --json"))).unwrap();
    let tube = row["items"].as_array().unwrap().iter().find(|row| row["tube"] == "orders").unwrap().clone();
    assert_eq!((tube["ready"].as_u64(), tube["total"].as_u64()), (Some(2), Some(2)));
    assert!(tube["burden"]["arrivals_per_s"].as_f64().unwrap() > 0.0);
    assert!(out(forebay("queue ls")).lines().next().unwrap().starts_with("APP"));
    assert_eq!(out(forebay("queue delete 2")), "2 deleted\n");
    forebay("queue delete 2").failed(3, "no_such_job");
    forebay("queue show nothing").failed(3, "no_such_tube");
    forebay("queue put -- -bad x").failed(2, "tube_name_malformed");
    assert!(out(forebay("queue show")).contains("takes jobs  yes"));
    assert!(out(forebay("ps")).lines().next().is_some_and(|line| !line.contains("failed")));
}

/// Waits for a port and speaks beanstalkd's protocol there.
fn speak(port: u16, lines: &str) -> String {
    let addr = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    eventually("beanstalkd answers", || crate::rig::raw(addr, format!("{lines}quit\r\n").as_bytes()).ok())
}

#[test]
fn the_jobs_of_a_beanstalkd_come_over_with_their_states() {
    let home = Home::new();
    let theirs = home.path("theirs");
    std::fs::create_dir(&theirs).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let spawned = std::process::Command::new("beanstalkd")
        .args(["-l", "127.0.0.1", "-p", &port.to_string(), "-f", "0", "-b"])
        .arg(&theirs)
        .spawn();
    let Ok(child) = spawned else { return eprintln!("beanstalkd is not installed: not tested") };
    let beanstalkd = Stray(child);
    let said = speak(
        port,
        "use mail\r\nput 5 0 90 3\r\none\r\nput 6 1000 60 3\r\ntwo\r\nput 7 0 60 5\r\nthree\r\nput 8 0 60 4\r\ngone\r\n\
         watch mail\r\ndelete 4\r\nreserve-job 3\r\nbury 3 9\r\n",
    );
    assert!(said.contains("BURIED") && said.contains("DELETED"), "{said}");
    drop(beanstalkd);

    let _queue = queue_alone(&home);
    let folder = theirs.display().to_string();
    let told = "3 jobs found, 1 of them buried, 1 delayed\n";
    assert_eq!(out(home.forebay(&["queue", "import", &folder, "--dry-run"])), told);
    assert_eq!(out(home.forebay(&["queue", "import", &folder])), told.replace("found", "imported"));
    let shown: serde_json::Value =
        serde_json::from_str(&out(home.forebay(&["queue", "show", "mail", "--json"]))).unwrap();
    let jobs: Vec<_> = shown["jobs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|job| (job["state"].clone(), job["pri"].clone(), job["ttr_s"].clone()))
        .collect();
    assert_eq!(
        jobs,
        [
            ("ready".into(), 5.into(), 90.into()),
            ("delayed".into(), 6.into(), 60.into()),
            ("buried".into(), 9.into(), 60.into())
        ]
    );
    assert_eq!(out(home.forebay(&["queue", "peek", "--tube", "mail", "--state", "buried"])), "three\n");
    home.forebay(&["queue", "import", "/nowhere"]).failed(1, "import_unreadable");
    home.forebay(&["queue", "import", &home.path("").display().to_string()]).failed(3, "import_empty");
}

#[test]
fn a_queue_is_copied_looked_through_and_brought_back() {
    let home = Home::new();
    let copy = home.path("copy").display().to_string();
    {
        let _queue = queue_alone(&home);
        assert_eq!(out(home.forebay(&["queue", "put", "orders", "tea"])), "1\n");
        assert!(out(home.forebay(&["queue", "snapshot", &copy])).starts_with("1 segments, "));
        home.forebay(&["queue", "snapshot", &copy]).failed(7, "folder_not_empty");
        assert!(out(home.forebay(&["queue", "verify"])).starts_with("1 jobs in 1 tubes, 3 bytes; "));
        home.forebay(&["queue", "restore", &copy]).failed(7, "folder_in_use");
    }
    std::fs::remove_dir_all(home.data().join("queue")).unwrap();
    assert!(out(home.forebay(&["queue", "restore", &copy])).starts_with("1 jobs in 1 tubes"));
    let _queue = queue_alone(&home);
    assert_eq!(out(home.forebay(&["queue", "peek", "1"])), "tea\n");
}

#[test]
fn an_application_s_tubes_are_its_own() {
    let node = Node::start();
    let forebay = |line: &str| node.home.forebay(&line.split(' ').collect::<Vec<_>>());
    assert_eq!(out(forebay("queue put mail letter --app shop")), "1\n");
    assert_eq!(out(forebay("queue put mail draft --app shop --env staging")), "2\n");
    forebay("queue peek 1").failed(3, "no_such_job");
    assert_eq!(out(forebay("queue peek 1 --app shop")), "letter\n");
    let tubes = |args: &[&str]| {
        let rows = node.items(&[&["queue", "ls"], args].concat());
        rows.into_iter().filter(|row| row["tube"] == "mail").count()
    };
    assert_eq!((tubes(&[]), tubes(&["--app", "shop"]), tubes(&["--app", "shop", "--env", "staging"])), (2, 1, 1));
    assert_eq!(tubes(&["--app", "blog"]), 0);
}
