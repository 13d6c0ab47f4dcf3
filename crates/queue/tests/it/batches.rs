//! What clients of beanstalkd never send: many jobs by one command, and commands under a lease.

use crate::rig::{Client, Forebay, Http};

/// Hears an answer to `reserve-batch`: each job's number, lease and body.
fn batch(client: &mut Client, line: &str) -> Vec<(u64, u32, String)> {
    client.say(line);
    heard(client)
}

fn heard(client: &mut Client) -> Vec<(u64, u32, String)> {
    let head = client.hear();
    let jobs: usize = head.strip_prefix("RESERVED_BATCH ").unwrap_or_else(|| panic!("{head}")).parse().unwrap();
    let job = |_| {
        let line = client.hear();
        let words: Vec<&str> = line.split(' ').collect();
        let ["RESERVED", id, _, lease] = words[..] else { panic!("{line}") };
        (id.parse().unwrap(), lease.parse().unwrap(), client.hear())
    };
    (0..jobs).map(job).collect()
}

fn delete_batch(client: &mut Client, ids: &str) -> (String, String) {
    let head = client.ask(&format!("delete-batch {}\r\n{ids}", ids.len()));
    (head, client.hear())
}

#[test]
fn several_jobs_are_reserved_and_deleted_at_once() {
    let server = Forebay::start();
    let (mut client, mut other) = (server.connect(), server.connect());
    for n in 0..5 {
        client.put(&format!("{} 0 60", 5 - n), &format!("job {n}"));
    }
    let jobs = batch(&mut client, "reserve-batch 3");
    assert_eq!(jobs, [(5, 1, "job 4".into()), (4, 1, "job 3".into()), (3, 1, "job 2".into())], "by priority");
    assert_eq!(batch(&mut other, "reserve-batch 1000 0").len(), 2, "what there is, and no waiting for more");
    assert_eq!(other.ask("reserve-batch 5 0"), "TIMED_OUT");
    assert_eq!(delete_batch(&mut client, "5 4:1 3:2 2 99"), ("DELETED_BATCH 2 6".into(), "3 2 99".into()));
    assert_eq!(client.stat("stats", "current-jobs-reserved"), "3");
    assert_eq!(delete_batch(&mut client, "3:1"), ("DELETED_BATCH 1 0".into(), String::new()));
    let server = server.restart();
    let mut client = server.connect();
    assert_eq!(client.stat("stats", "current-jobs-ready"), "2");
    assert_eq!(batch(&mut client, "reserve-batch 9 0")[0].1, 2, "its second reservation");
}

#[test]
fn a_batch_waits_for_its_first_job() {
    let server = Forebay::start();
    let (mut waiting, mut client) = (server.connect(), server.connect());
    waiting.say("reserve-batch 10");
    while client.stat("stats", "current-waiting") != "1" {}
    client.put("0 0 60", "first");
    assert_eq!(heard(&mut waiting), [(1, 1, "first".into())]);
    waiting.say("reserve-batch 10 1");
    assert_eq!(waiting.hear(), "TIMED_OUT");
    client.put("0 0 60", "second");
    assert_eq!(waiting.ask_all("reserve"), "RESERVED 2 6\nsecond", "the wait for a batch is over");
    let mut half = server.connect();
    half.say("reserve-batch 10");
    while client.stat("stats", "current-waiting") != "1" {}
    half.finish_sending();
    assert_eq!(half.hear(), "TIMED_OUT");
}

#[test]
fn a_batch_ends_where_the_room_for_answers_does() {
    let server =
        Forebay::start_with(queue::config::Config { connection_output_bytes_max: 100_000, ..crate::rig::config() });
    let mut client = server.connect();
    let body = "x".repeat(40_000);
    for _ in 0..5 {
        client.put("0 0 60", &body);
    }
    let sizes: Vec<usize> = (0..2).map(|_| batch(&mut client, "reserve-batch 1000").len()).collect();
    assert_eq!(sizes, [3, 2]);
}

#[test]
fn a_lease_that_was_lost_ends_nothing() {
    let server = Forebay::start();
    let (mut slow, mut quick) = (server.connect(), server.connect());
    slow.put("0 0 1", "x");
    assert_eq!(batch(&mut slow, "reserve-batch 1"), [(1, 1, "x".into())]);
    assert_eq!(quick.ask_all("reserve-with-timeout 20"), "RESERVED 1 1\nx", "the time of the first is over");
    for late in ["delete 1", "release 1 0 0", "bury 1 0", "touch 1", "fail 1 late"] {
        assert_eq!(slow.ask(&format!("leased 1 {late}")), "LEASE_LOST", "{late}");
    }
    assert_eq!(slow.ask("leased 2 touch 99"), "NOT_FOUND");
    assert_eq!(quick.ask("leased 2 touch 1"), "TOUCHED");
    assert_eq!(slow.ask("leased 2 release 1 7 0"), "RELEASED", "whoever knows the lease holds the job");
    assert_eq!(quick.ask("delete 1"), "DELETED");
    assert_eq!(quick.ask("leased 2 delete 1"), "NOT_FOUND");
}

#[test]
fn a_job_reserved_over_http_can_be_finished_by_its_lease() {
    let server = Forebay::start();
    let mut client = server.connect();
    client.put("0 0 60", "x");
    let http = Http::admin(&server.handle);
    assert_eq!(http.reserve("default", 0, 1)[0]["lease"], 1);
    assert_eq!(client.ask("delete 1"), "NOT_FOUND", "somebody else has it");
    assert_eq!(client.ask("leased 1 delete 1"), "DELETED");
}

#[test]
fn batches_that_make_no_sense_are_refused_in_the_protocols_words() {
    let server = Forebay::start();
    let mut client = server.connect();
    for line in
        ["reserve-batch 0", "reserve-batch 1001", "reserve-batch x", "reserve-batch 1 x", "delete-batch", "leased 1"]
    {
        assert!(["BAD_FORMAT", "UNKNOWN_COMMAND"].contains(&client.ask(line).as_str()), "{line}");
    }
    client.put("0 0 60", "x");
    assert_eq!(client.ask("delete-batch 3\r\n1 x"), "BAD_FORMAT", "and nothing is deleted");
    assert_eq!(client.ask("delete-batch 1\r\n123"), "EXPECTED_CRLF");
    // Two bytes more than were announced were taken; the rest is a line of its own.
    assert_eq!(client.hear(), "UNKNOWN_COMMAND");
    let many = "1 ".repeat(1001);
    assert_eq!(client.ask(&format!("delete-batch {}\r\n{many}", many.len())), "BAD_FORMAT");
    client.send(&[b"delete-batch 65537\r\n".to_vec(), vec![b'1'; 65_537], b"\r\n".to_vec()].concat());
    assert_eq!(client.hear(), "JOB_TOO_BIG");
    assert_eq!(client.stat("stats", "current-jobs-ready"), "1");
}
