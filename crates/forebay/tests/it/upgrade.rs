//! USR2 to `forebay router serve`: a new process takes the place of the running one, and no request fails.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use benchsuite::load::{self, Plan};
use benchsuite::processes;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::rig::alone::{Alone, bound, endpoint, write_config};
use crate::rig::steady::{Speaks, Steady};
use crate::rig::{Home, eventually, send};
use crate::tls::Authority;

/// A router with TLS and without in front of one endpoint.
fn with_tls(workers: u16) -> (Alone, SocketAddr) {
    let home = Home::new();
    Authority::new(&home, "site").issue(&home, "site");
    write_tls_config(&home, endpoint("hello"), workers);
    let alone = Alone::serve(home, &[]);
    let https = eventually("HTTPS is served", || bound(&alone.home.said(), "https"));
    (alone, https)
}

fn write_tls_config(home: &Home, endpoint: SocketAddr, workers: u16) {
    home.write(
        "router.toml",
        &format!(
            "schema = 1\n[router]\nlisten = [\"127.0.0.1:0\"]\nworkers = {workers}\n[router.tls]\n\
             listen = [\"127.0.0.1:0\"]\ncertificates = [{{ cert = \"site.pem\", key = \"site.key\" }}]\n\
             [upstreams.shop]\nendpoints = [\"{endpoint}\"]\n[[routes]]\nupstream = \"shop\"\n"
        ),
    );
}

/// Upgrades; the process ids of before and after.
pub(crate) fn upgrade(home: &Home) -> (u32, u32) {
    let ran = home.forebay(&["upgrade", "--json"]).ok();
    let told: Value = serde_json::from_str(&ran.stdout).unwrap();
    let pid = |which: &str| u32::try_from(told[which]["pid"].as_u64().unwrap()).unwrap();
    assert_eq!(told["new"]["version"], env!("CARGO_PKG_VERSION"));
    (pid("old"), pid("new"))
}

/// Puts another file in the place of the binary, as an installation does.
pub(crate) fn install(home: &Home, content: &[u8]) {
    let new = home.path("forebay.new");
    fs::write(&new, content).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(new, home.path("forebay")).unwrap();
}

fn is_gone(pid: u32) {
    eventually("the old process ends", || (!processes::is_alive(pid)).then_some(()));
}

/// Requests each on a connection of its own, one after the other.
fn new_connections(addr: SocketAddr) -> (Arc<AtomicBool>, JoinHandle<u32>) {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let thread = std::thread::spawn(move || {
        let mut answered = 0;
        while !stopped.load(Relaxed) {
            let reply = send(addr, "GET / HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n").unwrap();
            assert_eq!(reply.status, 200);
            answered += 1;
        }
        answered
    });
    (stop, thread)
}

#[test]
fn no_request_fails_on_upgrade_by_h1_h2_and_tls() {
    let (alone, https) = with_tls(2);
    let mut pid = alone.child.0.id();
    for (addr, tls) in [(alone.http, false), (https, true)] {
        for speaks in [Speaks::Http1, Speaks::Http2] {
            let steady = Steady::start(addr, tls, speaks);
            let (stop, connecting) = new_connections(alone.http);
            for upgrades in 1..=3 {
                eventually("more answers", || (steady.answered() >= upgrades * 500).then_some(()));
                let (old, new) = upgrade(&alone.home);
                assert_eq!(old, pid);
                is_gone(old);
                pid = new;
            }
            eventually("more answers", || (steady.answered() >= 2_000).then_some(()));
            assert_eq!(steady.finish(), [""; 0], "{speaks:?}, TLS: {tls}");
            stop.store(true, Relaxed);
            assert!(connecting.join().unwrap() > 100);
        }
    }
}

#[test]
fn no_request_of_many_connections_fails_whatever_the_number_of_workers() {
    let (alone, _) = with_tls(3);
    let load = load::start(Plan {
        rate: 500,
        connections: 128,
        duration: Duration::from_secs(300),
        ..Plan::to(&format!("http://{}/", alone.http)).unwrap()
    });
    let config = fs::read_to_string(alone.home.path("router.toml")).unwrap();
    for workers in [1, 4, 2] {
        let goal = load.answered() + 500;
        eventually("more answers", || (load.answered() >= goal).then_some(()));
        alone.home.write("router.toml", &config.replace("workers = 3", &format!("workers = {workers}")));
        let (old, _) = upgrade(&alone.home);
        is_gone(old);
    }
    let goal = load.answered() + 500;
    eventually("more answers", || (load.answered() >= goal).then_some(()));
    let report = load.finish();
    assert!(report.failed.is_empty() && report.attempted == report.answered, "{report}");
}

#[test]
fn an_upgrade_that_fails_leaves_the_old_process_serving_and_says_why() {
    let alone = Alone::in_front_of(&[endpoint("hello")], &[]);
    let home = &alone.home;
    let good = fs::read_to_string(home.path("router.toml")).unwrap();
    let binary = fs::read(home.path("forebay")).unwrap();
    let fails = |code: &str, words: &[&str]| {
        // The verb itself is run from the file that an operator has elsewhere.
        let mut verb = Command::new(env!("CARGO_BIN_EXE_forebay"));
        verb.arg("--data").arg(home.data()).arg("upgrade").stdin(Stdio::null());
        let output = verb.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(5), "{said}");
        assert!(said.contains(&format!("code: {code}")) && words.iter().all(|word| said.contains(word)), "{said}");
        assert_eq!(alone.get("/").body, "hello");
    };

    home.write("router.toml", &format!("{good}rutes = 1\n"));
    fails("router_config_unknown_key", &["rutes"]);
    let first = fs::read_to_string(home.data().join("node.log")).unwrap();
    assert!(first.contains("the upgrade failed; this process goes on as before"), "{first}");
    home.write("router.toml", &good.replace("127.0.0.1:0", "192.0.2.1:1"));
    fails("listen_failed", &["192.0.2.1:1"]);
    home.write("router.toml", &good);

    install(home, b"\x7fELF of another machine");
    fails("upgrade_failed", &["cannot start the new binary"]);
    install(home, b"#!/bin/sh\nexit 7\n");
    fails("upgrade_failed", &["exit status: 7"]);
    fs::remove_file(home.path("forebay")).unwrap();
    fails("upgrade_failed", &["cannot start the new binary", "o such file"]);
    install(home, b"#!/bin/sh\nexec sleep 1000\n");
    home.write("router.toml", &good.replace("workers = 2\n", "workers = 2\nupgrade_timeout_ms = 300\n"));
    kill_process(Pid::from_child(&alone.child.0), Signal::HUP).unwrap();
    let log = || fs::read_to_string(home.data().join("node.log")).unwrap();
    eventually("the time is set", || log().contains("applied=router.upgrade_timeout_ms").then_some(()));
    fails("upgrade_failed", &["was not ready within 300 ms"]);

    install(home, &binary);
    assert_eq!(upgrade(home).0, alone.child.0.id());
    assert_eq!(alone.get("/").body, "hello");
}

#[test]
fn a_second_upgrade_while_one_is_under_way_is_refused() {
    let alone = Alone::in_front_of(&[endpoint("hello")], &[]);
    let home = &alone.home;
    let log = || fs::read_to_string(home.data().join("node.log")).unwrap();
    let binary = fs::read(home.path("forebay")).unwrap();
    install(home, format!("#!/bin/sh\nread line < {}\nexit 3\n", home.path("fifo").display()).as_bytes());
    assert!(Command::new("mkfifo").arg(home.path("fifo")).status().unwrap().success());
    let usr2 = || kill_process(Pid::from_child(&alone.child.0), Signal::USR2).unwrap();
    usr2();
    eventually("it begins", || log().contains("an upgrade begins").then_some(()));
    usr2();
    eventually("the second is refused", || log().contains("no upgrade error=an upgrade is under way").then_some(()));
    fs::write(home.path("fifo"), "go\n").unwrap();
    eventually("the first has failed", || log().contains("the upgrade failed").then_some(()));
    install(home, &binary);
    usr2();
    is_gone(alone.child.0.id());
    assert_eq!(alone.get("/").body, "hello");
}

#[test]
fn what_is_set_by_hand_and_the_folder_s_lock_go_over() {
    let alone = Alone::in_front_of(&[endpoint("hello")], &[]);
    let home = &alone.home;
    home.forebay(&["breaker", "trip", "/", "--why", "trying"]).ok();
    let (old, new) = upgrade(home);
    is_gone(old);
    assert_eq!(alone.get("/").status, 503);
    let lock = fs::read_to_string(home.data().join("router/LOCK")).unwrap();
    assert!(lock.starts_with(&format!("pid {new} ")), "{lock}");
    let config = home.path("router.toml");
    let again = home.forebay(&["router", "serve", "--config", config.to_str().unwrap()]);
    again.failed(7, "data_folder_locked").says(&[&format!("pid {new} ")]);
    home.forebay(&["breaker", "auto", "/"]).ok();
    assert_eq!(alone.get("/").body, "hello");
}

/// An endpoint that counts the requests that it got, and answers each when it is let go.
fn slow_endpoint() -> (SocketAddr, std::sync::mpsc::Receiver<()>, std::sync::mpsc::SyncSender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (came, comes) = std::sync::mpsc::sync_channel(8);
    let (go, gone) = std::sync::mpsc::sync_channel::<()>(8);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut lines = BufReader::new(&stream).lines();
            while lines.next().is_some_and(|line| !line.unwrap_or_default().is_empty()) {}
            came.send(()).unwrap_or_default();
            gone.recv().unwrap_or_default();
            (&stream)
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\ndone")
                .unwrap_or_default();
        }
    });
    (addr, comes, go)
}

#[test]
fn a_request_with_a_key_is_carried_out_once_although_it_comes_to_both_processes() {
    let (addr, comes, go) = slow_endpoint();
    let home = Home::new();
    write_config(&home, &[addr]);
    let config = fs::read_to_string(home.path("router.toml")).unwrap();
    home.write("router.toml", &format!("{config}idempotency = {{}}\n"));
    let alone = Alone::serve(home, &[]);
    let post =
        "POST / HTTP/1.1\r\nHost: shop\r\nIdempotency-Key: \"k1\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let ask = |addr: SocketAddr| {
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.write_all(post.as_bytes()).unwrap();
        stream
    };
    let read = |mut stream: TcpStream| {
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("HTTP/1.1 200 ") && text.ends_with("done"), "{text}");
    };
    let first = ask(alone.http);
    comes.recv().unwrap();
    let (old, _) = upgrade(&alone.home);
    let second = ask(alone.http);
    go.send(()).unwrap();
    read(first);
    read(second);
    is_gone(old);
    read(ask(alone.http));
    assert!(comes.try_recv().is_err(), "the endpoint got it once");
}
