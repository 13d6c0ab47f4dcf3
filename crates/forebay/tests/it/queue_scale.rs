//! As many connections as a queue takes, and one more.

use std::io::{Read, Write};
use std::net::TcpStream;

use benchsuite::processes;

use crate::rig::Home;
use crate::rig::queue::QueueAlone;

#[test]
fn ten_thousand_connections_are_served_the_next_is_told_and_none_costs_much() {
    const CONNECTIONS: usize = 10_000;
    /// Of the server: what is known of a client, its task and its socket's place.
    const BYTES_EACH_MAX: u64 = 6_000;
    if let Err(error) = runtime::raise_nofile() {
        return eprintln!("skipped: {error}");
    }
    let home = Home::new();
    let queue = QueueAlone::serve(&home, &home.path("queue-alone"));
    let before = processes::resident_bytes(queue.child.0.id());
    let mut all = Vec::with_capacity(CONNECTIONS);
    while all.len() < CONNECTIONS {
        match TcpStream::connect(queue.addr) {
            Ok(stream) => all.push(stream),
            Err(error) => return eprintln!("skipped: {} connections and no more here: {error}", all.len()),
        }
    }
    for stream in &mut all {
        stream.write_all(b"list-tube-used\r\n").unwrap();
    }
    for stream in &mut all {
        let mut answer = [0; 15];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"USING default\r\n");
    }
    let mut refused = String::new();
    TcpStream::connect(queue.addr).unwrap().read_to_string(&mut refused).unwrap();
    assert_eq!(refused, "OUT_OF_MEMORY\r\n");
    let each = (processes::resident_bytes(queue.child.0.id()) - before) / CONNECTIONS as u64;
    assert!(each <= BYTES_EACH_MAX, "{each} bytes for a connection");
    // A job goes to the last of them although all the others are there.
    all[0].write_all(b"put 0 0 60 1\r\nx\r\n").unwrap();
    let mut answer = [0; 12];
    all[0].read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"INSERTED 1\r\n");
    let last = all.last_mut().unwrap();
    last.write_all(b"reserve\r\n").unwrap();
    let mut answer = [0; 17];
    last.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"RESERVED 1 1\r\nx\r\n");
}
