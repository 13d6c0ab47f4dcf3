//! Clients that are broken, lost or hostile.

use queue::config::{Config, TubeConfig};

use crate::rig::{Forebay, config, start_in};

#[test]
fn an_http_request_is_not_answered_and_puts_no_job() {
    let ours = Forebay::start();
    for request in [
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 30\r\n\r\nput 0 0 60 1\r\nx\r\n",
        "PROPFIND / HTTP/1.1\r\n\r\nput 0 0 60 1\r\nx\r\n",
    ] {
        let mut browser = ours.connect();
        browser.try_send(request.as_bytes());
        assert_eq!(browser.hear_to_the_end(), b"", "{request}");
    }
    assert_eq!(ours.connect().stat("stats", "total-jobs"), "0");
}

#[test]
fn garbage_is_answered_in_the_protocols_words_and_kept_nowhere() {
    let ours = Forebay::start();
    let mut client = ours.connect();
    client.send(&[0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3]);
    client.send(b"\r\n");
    assert_eq!(client.hear(), "BAD_FORMAT");
    for _ in 0..64 {
        client.send(&vec![b'g'; 64 << 10]);
    }
    client.send(b"\r\nlist-tube-used\r\n");
    assert_eq!(client.hear(), "BAD_FORMAT");
    assert_eq!(client.hear(), "USING default");
}

#[test]
fn an_announced_gigabyte_is_thrown_away_as_it_comes() {
    let ours = Forebay::start();
    let mut client = ours.connect();
    client.say("put 0 0 60 1073741824");
    let chunk = vec![b'x'; 1 << 20];
    for _ in 0..1024 {
        client.send(&chunk);
    }
    client.send(b"\r\n");
    assert_eq!(client.hear(), "JOB_TOO_BIG");
    assert_eq!(client.ask("list-tube-used"), "USING default");
}

#[test]
fn bodies_being_received_have_a_budget_over_all_connections() {
    let ours = Forebay::start_with(Config { input_bytes_max: 1000, ..config() });
    let (mut first, mut second) = (ours.connect(), ours.connect());
    first.say("put 0 0 60 900\r\nbegun and not ended");
    // Wait until the server has seen the first line.
    while second.stat("stats", "cmd-put") != "1" {}
    second.say(&format!("put 0 0 60 200\r\n{}", "y".repeat(200)));
    assert_eq!(second.hear(), "OUT_OF_MEMORY");
    drop(first);
    while second.stat("stats", "current-connections") != "1" {}
    second.put("0 0 60", &"y".repeat(200));
}

#[test]
fn one_client_cannot_make_tubes_without_end() {
    let ours = Forebay::start_with(Config { tubes_max: 1000, connection_tubes_max: 5000, ..config() });
    let mut client = ours.connect();
    let mut watched = 1;
    for n in 0..3000 {
        match client.ask(&format!("watch tube-{n}")).as_str() {
            "OUT_OF_MEMORY" => {}
            answer => {
                watched += 1;
                assert_eq!(answer, format!("WATCHING {watched}"));
            }
        }
    }
    assert_eq!(watched, 1000);
    assert_eq!(client.ask("use another"), "OUT_OF_MEMORY");
    assert_eq!(client.ask("use default"), "USING default");
    drop(client);
    let mut next = ours.connect();
    while next.stat("stats", "current-tubes") != "1" {}
    assert_eq!(next.ask("watch another"), "WATCHING 2");
}

#[test]
fn a_put_beyond_a_limit_is_refused_at_once() {
    let tube = TubeConfig { jobs_max: 3, bytes_max: 10, ..TubeConfig::default() };
    let ours = Forebay::start_with(Config { tube, jobs_max: 5, ..config() });
    let mut client = ours.connect();
    client.put("0 0 60", "12345678");
    assert_eq!(client.ask("put 0 0 60 3\r\nabc"), "OUT_OF_MEMORY", "bytes of the tube");
    client.put("0 0 60", "");
    client.put("0 0 60", "");
    assert_eq!(client.ask("put 0 0 60 0\r\n"), "OUT_OF_MEMORY", "jobs of the tube");
    assert_eq!(client.ask("use b"), "USING b");
    client.put("0 0 60", "");
    client.put("0 0 60", "");
    assert_eq!(client.ask("put 0 0 60 0\r\n"), "OUT_OF_MEMORY", "jobs of all tubes");
    assert_eq!(client.ask("delete 1"), "DELETED");
    client.put("0 0 60", "");
}

#[test]
fn connections_beyond_the_limit_are_told_and_closed() {
    let ours = Forebay::start_with(Config { connections_max: 2, ..config() });
    let (mut first, mut second) = (ours.connect(), ours.connect());
    assert_eq!(first.ask("list-tube-used"), "USING default");
    assert_eq!(second.ask("list-tube-used"), "USING default");
    assert_eq!(ours.connect().hear_to_the_end(), b"OUT_OF_MEMORY\r\n");
    drop(second);
    while first.stat("stats", "current-connections") != "1" {}
    assert_eq!(ours.connect().ask("list-tube-used"), "USING default");
}

#[test]
fn a_client_that_does_not_read_its_answers_is_not_read_either_and_in_the_end_closed() {
    let ours = Forebay::start_with(Config { output_stall_ms: 300, connection_output_bytes_max: 100_000, ..config() });
    let mut other = ours.connect();
    let id = other.put("0 0 60", &"z".repeat(60_000));
    let mut deaf = ours.connect();
    // Far more answers than all buffers between us hold.
    let commands = format!("peek {id}\r\n").repeat(1000);
    let mut taken = 0;
    while taken < 1000 && deaf.try_send(commands.as_bytes()) {
        taken += 1;
    }
    assert!(taken < 1000, "it was read on and on");
    while other.stat("stats", "current-connections") != "1" {}
}

#[test]
fn beyond_loopback_it_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let open = Config { listen: vec!["0.0.0.0:0".parse().unwrap()], ..config() };
    let error = start_in(folder.path(), open).err().unwrap();
    assert_eq!(error.code(), "queue_exposed");
    assert_eq!(
        error.to_string(),
        "the queue does not listen on 0.0.0.0:0 without TLS: it can be reached from other machines"
    );
}

#[test]
fn a_folder_or_a_port_in_use_is_a_clear_error() {
    let ours = Forebay::start();
    let same_folder = start_in(ours.folder.path(), config()).err().unwrap();
    assert_eq!(same_folder.code(), "folder_in_use");
    assert!(same_folder.to_string().contains("forebay queue"), "{same_folder}");

    let folder = tempfile::tempdir().unwrap();
    let same_port = Config { listen: vec![ours.addr().to_string().parse().unwrap()], ..config() };
    assert_eq!(start_in(folder.path(), same_port).err().unwrap().code(), "port_in_use");
}

#[test]
fn a_folder_of_a_later_forebay_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("queue")).unwrap();
    std::fs::write(folder.path().join("queue/FORMAT"), "forebay queue 2\n").unwrap();
    assert_eq!(start_in(folder.path(), config()).err().unwrap().code(), "format_newer");
}
