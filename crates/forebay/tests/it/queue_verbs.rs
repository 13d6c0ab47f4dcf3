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

#[test]
fn dead_jobs_pauses_and_alerts_are_seen_and_dealt_with_by_hand() {
    let home = Home::new();
    let config = home
        .write("queue.toml", "schema = 1\n[queue.tube]\nattempts_max = 1\ndead_letter = \"dead\"\nalert_age_ms = 1\n");
    let mut command = home.command();
    let config = config.display().to_string();
    let words = ["queue", "serve", "--listen", "127.0.0.1:0", "--config", &config];
    let _queue = Stray(command.args(words).spawn().unwrap());
    eventually("the queue answers", || (home.forebay(&["queue", "show"]).code == Some(0)).then_some(()));
    let forebay = |line: &str| home.forebay(&line.split(' ').collect::<Vec<_>>());
    let ports: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(home.data().join("ports.json")).unwrap()).unwrap();
    let queue = ports["queue"].as_str().unwrap().parse().unwrap();
    for (tube, reason) in [("mail", "no route"), ("orders", "refused")] {
        let said = format!("use {tube}\r\nput 0 0 60 1\r\nx\r\nwatch {tube}\r\nreserve\r\n");
        let id = if tube == "mail" { 1 } else { 2 };
        let said = crate::rig::raw(queue, format!("{said}fail {id} {reason}\r\nquit\r\n").as_bytes()).unwrap();
        assert!(said.contains("BURIED"), "{said}");
    }

    let listed = out(forebay("queue dead"));
    assert!(listed.starts_with("JOB") && listed.contains("no route") && listed.contains("refused"), "{listed}");
    assert!(!out(forebay("queue dead --from mail")).contains("refused"));
    assert!(out(forebay("queue dead 1")).contains("in mail, "));
    let row: serde_json::Value = serde_json::from_str(&out(forebay("queue dead --reason refused --json"))).unwrap();
    assert_eq!((row["items"][0]["id"].as_u64(), row["items"][0]["from"].as_str()), (Some(2), Some("orders")));
    forebay("queue dead 7").failed(3, "no_such_job");
    forebay("queue dead --end tired").says(&["possible values"]);
    forebay("queue replay").failed(2, "replay_unbounded");
    forebay("queue replay 7").failed(3, "no_such_job");
    forebay("queue replay --all --into a,b").failed(2, "tube_name_malformed");
    let preview = out(forebay("queue replay --from mail --preview"));
    assert!(preview.ends_with("1 would be replayed\n") && preview.contains("no route"), "{preview}");
    assert_eq!(out(forebay("queue replay 1")), "1 replayed\n");
    assert_eq!(out(forebay("queue replay --all --into slow")), "1 replayed\n");
    assert_eq!(out(forebay("queue replay --all")), "0 replayed\n");

    assert_eq!(out(forebay("queue pause mail --for 15m --why moving")), "mail paused for 15m\n");
    let shown = out(forebay("queue show mail"));
    assert!(shown.contains(" by uid ") && shown.contains(": moving"), "{shown}");
    assert!(out(forebay("queue ls")).contains("by uid "));

    eventually("the alert is raised", || out(forebay("ps")).contains("alert: tube mail (shared): age ").then_some(()));
    assert!(out(forebay("queue ls")).contains("age "));
    assert!(out(forebay("queue show mail")).contains("alerts      age "));
    out(forebay("queue delete 1"));
    out(forebay("queue delete 2"));
    eventually("the alert is cleared", || (!out(forebay("ps")).contains("alert")).then_some(()));
}

/// A worker that knows nothing but its environment and Python's own library.
const WORKER: &str = r#"
import json, os, sys, time, urllib.error, urllib.parse, urllib.request

url = urllib.parse.urlsplit(os.environ["FOREBAY_QUEUE_HTTP_URL"])
base = f"http://{url.hostname}:{url.port}/v1/queue"

def ask(method, path, body=None, token=url.password):
    request = urllib.request.Request(base + path, method=method, data=body)
    if token:
        request.add_header("Authorization", "Bearer " + token)
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)

def reserve(jobs, wait_s=20):
    ask_for = json.dumps({"tubes": ["mail"], "wait_s": wait_s, "jobs": jobs}).encode()
    return ask("POST", "/reserve", ask_for)[1]["items"]

status, put = ask("POST", "/tubes/mail/jobs?pri=1", b"one")
assert status == 201, (status, put)
batch = {"jobs": [{"body": "two"}, {"body_base64": "/wA="}]}
status, puts = ask("POST", "/tubes/mail/batch", json.dumps(batch).encode())
assert status == 201 and len(puts["items"]) == 2, (status, puts)
jobs = reserve(10)
assert [job["id"] for job in jobs] == [put["id"]] + [item["id"] for item in puts["items"]], jobs
assert jobs[1]["body"] == "two" and jobs[2]["body_base64"] == "/wA=", jobs
one, two, three = jobs
assert ask("POST", f"/jobs/{one['id']}/touch?lease={one['lease']}")[1]["outcome"] == "touched"
assert ask("POST", f"/jobs/{one['id']}/finish?lease={one['lease']}")[1]["outcome"] == "finished"
assert ask("POST", f"/jobs/{one['id']}/finish?lease={one['lease']}")[0] == 404
assert ask("POST", f"/jobs/{two['id']}/fail?lease={two['lease']}&reason=not%20today")[1]["outcome"] == "released"
again = reserve(1)[0]
assert (again["id"], again["lease"]) == (two["id"], 2), again
assert ask("POST", f"/jobs/{two['id']}/finish?lease=1")[1]["error"]["code"] == "lease_lost"
assert ask("GET", f"/jobs/{two['id']}")[1]["body"] == "two"
status, tube = ask("GET", "/tubes/mail")
assert (tube["app"], tube["reserved"]) == ("post", 2), tube
assert ask("GET", "/tubes/mail", token=None)[0] == 404, "the shared tubes are others"
assert ask("GET", "/tubes/mail", token="0" * 32)[0] == 401
print("all said and done", flush=True)
time.sleep(3600)
"#;

#[test]
fn an_application_works_over_http_with_what_its_environment_says() {
    if std::process::Command::new("python3").arg("--version").output().is_err() {
        return eprintln!("python3 is not installed: not tested");
    }
    let home = Home::new();
    let settings = std::fs::read_to_string(home.path("node.toml")).unwrap();
    home.write("node.toml", &format!("{settings}[queue]\nhttp_listen = [\"127.0.0.1:0\"]\n"));
    home.write("post/worker.py", WORKER);
    home.write(
        "post/forebay.toml",
        "schema = 1\napp = \"post\"\n[processes.worker]\ncommand = \"python3 worker.py\"\n",
    );
    let node = Node::start_in(home, &["node"]);
    node.home.forebay(&["deploy", &node.home.path("post").display().to_string()]).ok();
    eventually("the worker is done", || {
        let lines = node.lines(&["logs", "--app", "post"]);
        let said = |text: &str| {
            lines.iter().any(|line| line["message"].as_str().is_some_and(|message| message.contains(text)))
        };
        assert!(!said("Error"), "{lines:#?}");
        said("all said and done").then_some(())
    });
}
