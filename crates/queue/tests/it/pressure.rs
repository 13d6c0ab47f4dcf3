//! Back-pressure: what a full tube does, how fast its jobs go, and how many are out at once.

use std::time::{Duration, Instant};

use queue::config::{Config, TubeConfig, WhenFull};

use crate::rig::{Client, Forebay, config};

fn serving(tube: TubeConfig) -> Forebay {
    Forebay::start_with(Config { tube, ..config() })
}

fn wait_for(client: &mut Client, field: &str, value: &str) {
    while client.stat("stats", field) != value {}
}

#[test]
fn a_full_tube_can_drop_its_oldest_ready_jobs() {
    let server =
        serving(TubeConfig { jobs_max: 2, bytes_max: 10, when_full: WhenFull::DropOldest, ..TubeConfig::default() });
    let mut client = server.connect();
    client.put("9 0 60", "one");
    client.put("0 0 60", "two");
    assert_eq!(client.put("5 0 60", "three"), 3);
    assert_eq!(client.ask("peek 1"), "NOT_FOUND", "the oldest, whatever its priority");
    assert_eq!(client.ask_all("reserve"), "RESERVED 2 3\ntwo");
    assert_eq!(client.put("0 0 60", "1234567"), 4, "for its bytes, too");
    assert_eq!(client.ask("peek 3"), "NOT_FOUND");
    assert_eq!(client.ask_all("peek 2"), "FOUND 2 3\ntwo", "nobody's hands are emptied");
    assert_eq!(client.ask("put 0 0 60 11\r\n12345678901"), "OUT_OF_MEMORY", "it would never fit");
    assert_eq!(client.ask_all("peek 4"), "FOUND 4 7\n1234567", "and nothing is dropped for it");
    assert_eq!(client.stat("stats-tube default", "cmd-delete"), "2");
}

#[test]
fn producers_can_wait_for_room_and_get_it_in_turn() {
    let server = serving(TubeConfig { jobs_max: 1, when_full: WhenFull::Wait, ..TubeConfig::default() });
    let (mut worker, mut greedy, mut modest) = (server.connect(), server.connect(), server.connect());
    worker.put("0 0 60", "0");
    greedy.send(b"put 0 0 60 1\r\na\r\nput 0 0 60 1\r\nb\r\nput 0 0 60 1\r\nc\r\nlist-tube-used\r\n");
    while worker.stat("stats", "cmd-put") != "2" {}
    modest.say("put 0 0 60 1\r\nm");
    while worker.stat("stats", "cmd-put") != "3" {}
    let mut seen = String::new();
    for _ in 0..5 {
        let job = worker.ask_all("reserve");
        let id = job.split(' ').nth(1).unwrap().to_owned();
        seen.push_str(job.rsplit('\n').next().unwrap());
        assert_eq!(worker.ask(&format!("delete {id}")), "DELETED");
    }
    assert_eq!(seen, "0ambc", "one of each, and then what is left");
    for id in [2, 4, 5] {
        assert_eq!(greedy.hear(), format!("INSERTED {id}"));
    }
    assert_eq!(greedy.hear(), "USING default");
    assert_eq!(modest.hear(), "INSERTED 3");
}

#[test]
fn a_producer_that_goes_while_it_waits_puts_nothing() {
    let server = serving(TubeConfig { jobs_max: 1, when_full: WhenFull::Wait, ..TubeConfig::default() });
    let mut worker = server.connect();
    worker.put("0 0 60", "x");
    let (mut gone, mut half) = (server.connect(), server.connect());
    gone.say("put 0 0 60 1\r\na");
    half.say("put 0 0 60 1\r\nb");
    while worker.stat("stats", "cmd-put") != "3" {}
    drop(gone);
    half.finish_sending();
    assert_eq!(half.hear_to_the_end(), b"OUT_OF_MEMORY\r\n");
    wait_for(&mut worker, "current-connections", "1");
    assert_eq!(worker.ask("delete 1"), "DELETED");
    assert_eq!(worker.ask("reserve-with-timeout 0"), "TIMED_OUT");
}

#[test]
fn puts_are_refused_while_the_oldest_ready_job_is_too_old() {
    let server = serving(TubeConfig { age_max_ms: 1, ..TubeConfig::default() });
    let mut client = server.connect();
    client.put("0 0 60", "x");
    while client.ask("put 0 1000 60 1\r\ny") != "OUT_OF_MEMORY" {}
    client.ask_all("reserve-job 1");
    assert!(client.ask("put 0 1000 60 1\r\nz").starts_with("INSERTED"), "nothing ready, nothing too old");
}

#[test]
fn no_more_jobs_are_out_than_may_be() {
    let server = serving(TubeConfig { in_flight_max: 2, ..TubeConfig::default() });
    let (mut client, mut other) = (server.connect(), server.connect());
    for body in ["a", "b", "c", "d"] {
        client.put("0 0 60", body);
    }
    assert_eq!(client.ask_all("reserve"), "RESERVED 1 1\na");
    assert_eq!(client.ask_all("reserve"), "RESERVED 2 1\nb");
    assert_eq!(client.ask("reserve-with-timeout 0"), "TIMED_OUT");
    other.say("reserve");
    wait_for(&mut client, "current-waiting", "1");
    assert_eq!(client.ask("delete 1"), "DELETED");
    assert_eq!(other.hear_all(), "RESERVED 3 1\nc", "as soon as one is done");
    other.say("reserve");
    wait_for(&mut client, "current-waiting", "1");
    assert_eq!(client.ask("bury 2 0"), "BURIED");
    assert_eq!(other.hear_all(), "RESERVED 4 1\nd", "or put aside");
}

#[test]
fn jobs_go_no_faster_than_their_rate() {
    let server = serving(TubeConfig { rate_per_s: 4, ..TubeConfig::default() });
    let mut client = server.connect();
    for _ in 0..6 {
        client.put("0 0 60", "x");
    }
    let began = Instant::now();
    for _ in 0..4 {
        assert!(client.ask_all("reserve-with-timeout 0").starts_with("RESERVED"), "those of one second");
    }
    for _ in 0..2 {
        assert!(client.ask_all("reserve").starts_with("RESERVED"), "and then one by one, without being asked again");
    }
    assert!(began.elapsed() >= Duration::from_millis(450), "{:?}", began.elapsed());
}
