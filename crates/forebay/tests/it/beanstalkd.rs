//! The queue in beanstalkd's place: called by its name, with its flags and its signals.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::rig::{Home, eventually, raw};

const PUT: &[u8] = b"put 0 0 60 1\r\nx\r\nquit\r\n";

/// Starts the binary under beanstalkd's name.
fn beanstalkd(home: &Home, flags: &[&str]) -> Command {
    let link = home.path("beanstalkd");
    if !link.exists() {
        std::os::unix::fs::symlink("forebay", &link).unwrap();
    }
    let mut command = Command::new(link);
    command.args(flags).stdin(Stdio::null()).stderr(Stdio::null());
    command
}

fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

fn put(addr: SocketAddr) -> Option<String> {
    raw(addr, PUT).ok()
}

#[test]
fn its_name_is_enough_and_its_version_is_told() {
    let home = Home::new();
    let said = beanstalkd(&home, &["-v"]).output().unwrap();
    assert_eq!(String::from_utf8(said.stdout).unwrap(), format!("beanstalkd {}\n", queue::PROTOCOL_VERSION));
    let as_verb = home.forebay(&["beanstalkd", "-v"]).ok();
    assert_eq!(as_verb.stdout, format!("beanstalkd {}\n", queue::PROTOCOL_VERSION));
    assert_eq!(beanstalkd(&home, &["-x"]).status().unwrap().code(), Some(5));
}

#[test]
fn it_serves_drains_and_keeps_its_jobs_in_the_folder_of_b() {
    let home = Home::new();
    let (addr, folder) = (free_port(), home.path("binlog"));
    let port = addr.port().to_string();
    let flags = ["-l", "127.0.0.1", "-p", &port, "-b", folder.to_str().unwrap(), "-f0", "-z", "10"];
    let mut child = beanstalkd(&home, &flags).spawn().unwrap();
    assert_eq!(eventually("it serves", || put(addr)), "INSERTED 1\r\n");
    let big = raw(addr, b"put 0 0 60 11\r\n12345678901\r\nquit\r\n").unwrap();
    assert_eq!(big, "JOB_TOO_BIG\r\n");
    let stats = raw(addr, b"stats\r\nquit\r\n").unwrap();
    assert!(stats.contains(&format!("\npid: {}\n", child.id())), "nothing was forked: {stats}");
    signal(&child, Signal::USR1);
    eventually("it drains", || (put(addr)? == "DRAINING\r\n").then_some(()));
    signal(&child, Signal::KILL);
    assert_eq!(child.wait().unwrap().signal(), Some(9));

    let mut child = beanstalkd(&home, &flags).spawn().unwrap();
    let next = eventually("it serves again", || put(addr));
    assert!(next.starts_with("INSERTED ") && next != "INSERTED 1\r\n", "{next}");
    let kept = raw(addr, b"reserve\r\nquit\r\n").unwrap();
    assert_eq!(kept, "RESERVED 1 1\r\nx\r\n");
    signal(&child, Signal::TERM);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn without_a_folder_jobs_end_with_the_process_and_nothing_is_left() {
    let home = Home::new();
    let socket = home.path("b.sock");
    let listen = format!("unix:{}", socket.display());
    for _ in 0..2 {
        let mut child = beanstalkd(&home, &["-l", &listen]).spawn().unwrap();
        let mut stream = eventually("it serves", || UnixStream::connect(&socket).ok());
        stream.write_all(PUT).unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        assert_eq!(said, "INSERTED 1\r\n", "each time it begins anew");
        let left = format!("/dev/shm/forebay-beanstalkd-{}", child.id());
        signal(&child, Signal::TERM);
        assert_eq!(child.wait().unwrap().code(), Some(0));
        assert!(!std::path::Path::new(&left).exists());
    }
}

#[test]
fn addresses_that_others_can_reach_are_refused() {
    let home = Home::new();
    let said = beanstalkd(&home, &["-l", "0.0.0.0", "-p", "0"]).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(said.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&said.stderr).contains("code: queue_exposed"), "{said:?}");
}
