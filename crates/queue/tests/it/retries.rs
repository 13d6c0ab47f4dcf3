//! Attempts that fail, dead jobs and their return; keys of deduplication and of order.

use queue::config::{Config, TubeConfig};
use queue::door::{DeadFilter, DeadJob};
use queue::{AttemptEnd, Namespace};

use crate::rig::{Forebay, block_on, config};

fn two_attempts() -> Config {
    let tube = TubeConfig { attempts_max: 2, dead_letter: Some("dead".into()), ..TubeConfig::default() };
    Config { tube, ..config() }
}

fn dead(server: &Forebay, filter: DeadFilter) -> Vec<DeadJob> {
    block_on(server.handle.dead(&Namespace::SHARED, filter, 100)).unwrap()
}

#[test]
fn a_job_that_failed_too_often_is_dead_with_its_history_and_can_be_replayed() {
    let server = Forebay::start_with(two_attempts());
    let mut client = server.connect();
    assert_eq!(client.put("5 0 60", "hello"), 1);
    assert_eq!(client.ask_all("reserve"), "RESERVED 1 5\nhello");
    assert_eq!(client.ask("fail 1 no route to host"), "FAILED");
    assert_eq!(client.ask("fail 1"), "NOT_FOUND", "it is not held any more");
    assert_eq!(client.ask_all("reserve"), "RESERVED 1 5\nhello");
    assert_eq!(client.ask("fail 1   still none "), "BURIED");
    assert_eq!(client.stat("stats-job 1", "tube"), "\"dead\"");

    let all = dead(&server, DeadFilter::default());
    let [job] = &all[..] else { panic!("{all:?}") };
    assert_eq!((job.id, &*job.tube, &*job.from, &*job.state), (1, "dead", "default", "ready"));
    assert_eq!((job.reserves, job.failures, job.timeouts, job.releases), (2, 2, 0, 0));
    assert_eq!((&*job.reason, job.end), ("still none", AttemptEnd::Failed));
    let reasons: Vec<&str> = job.attempts.iter().map(|attempt| &*attempt.reason).collect();
    assert_eq!(reasons, ["no route to host", "still none"]);
    assert!(job.worker.starts_with("127.0.0.1:"), "{job:?}");

    let server = server.restart_with(two_attempts());
    assert_eq!(dead(&server, DeadFilter::default()), all, "as it was");
    let elsewhere = DeadFilter { from: Some("other".into()), ..DeadFilter::default() };
    assert_eq!(dead(&server, elsewhere.clone()), []);

    let replay = |filter, preview| block_on(server.handle.replay(&Namespace::SHARED, filter, 10, preview)).unwrap();
    assert_eq!(replay(DeadFilter::default(), true).jobs, all, "a preview");
    assert_eq!(replay(elsewhere, false).jobs, []);
    assert_eq!(dead(&server, DeadFilter::default()), all, "nothing has changed");
    assert_eq!(replay(DeadFilter::default(), false).jobs, all);
    assert_eq!(dead(&server, DeadFilter::default()), []);

    let server = server.restart_with(two_attempts());
    let mut client = server.connect();
    for answer in ["FAILED", "BURIED"] {
        assert_eq!(client.ask_all("reserve-with-timeout 0"), "RESERVED 1 5\nhello", "it has all its attempts again");
        assert_eq!(client.ask("fail 1 once more"), answer);
    }
}

#[test]
fn releases_and_failures_are_counted_apart_and_a_tube_without_dead_letters_buries() {
    let tube = TubeConfig { attempts_max: 2, ..TubeConfig::default() };
    let server = Forebay::start_with(Config { tube, ..config() });
    let mut client = server.connect();
    client.put("0 0 60", "x");
    client.ask_all("reserve");
    assert_eq!(client.ask("fail 1 first"), "FAILED");
    client.ask_all("reserve");
    assert_eq!(client.ask("release 1 0 0"), "BURIED", "the last attempt");
    assert_eq!(client.stat("stats-job 1", "state"), "buried");
    let all = dead(&server, DeadFilter { end: Some(AttemptEnd::Released), ..DeadFilter::default() });
    assert_eq!((all[0].failures, all[0].releases, all[0].attempts.len()), (1, 1, 2), "{all:?}");
    let into = DeadFilter { into: Some("again".into()), ..DeadFilter::default() };
    assert_eq!(block_on(server.handle.replay(&Namespace::SHARED, into, 10, false)).unwrap().jobs, all);
    assert_eq!(client.stat("stats-job 1", "tube"), "\"again\"");
}

#[test]
fn a_tube_counts_its_time_outs_releases_and_failures_apart_also_after_a_restart() {
    let tube = TubeConfig { attempts_max: 4, ..TubeConfig::default() };
    let of = |server: &Forebay| {
        let rows = block_on(server.handle.rows()).unwrap();
        let row = rows.into_iter().find(|row| row.tube == "default").unwrap();
        (row.timeouts, row.releases, row.failures, row.dead)
    };
    let server = Forebay::start_with(Config { tube: tube.clone(), ..config() });
    let mut client = server.connect();
    client.put("0 0 1", "x");
    client.ask_all("reserve");
    assert_eq!(client.ask("fail 1 first"), "FAILED");
    client.ask_all("reserve");
    assert_eq!(client.ask("release 1 0 0"), "RELEASED");
    client.ask_all("reserve");
    let mut other = server.connect();
    assert_eq!(other.ask_all("reserve-with-timeout 20"), "RESERVED 1 1\nx", "the time of the first is over");
    assert_eq!(other.ask("release 1 0 0"), "BURIED", "the last attempt");
    assert_eq!(of(&server), (1, 2, 1, 1));
    let server = server.restart_with(Config { tube, ..config() });
    assert_eq!(of(&server), (1, 2, 1, 1));
}

#[test]
fn a_failed_attempt_waits_twice_as_long_each_time() {
    let tube = TubeConfig { retry_delay_ms: 100_000, retry_jitter_percent: 0, ..TubeConfig::default() };
    let server = Forebay::start_with(Config { tube, ..config() });
    let mut client = server.connect();
    client.put("0 0 60", "x");
    for seconds in [99, 199, 399] {
        assert_eq!(client.ask_all("reserve-job 1"), "RESERVED 1 1\nx");
        assert_eq!(client.ask("fail 1 busy"), "FAILED");
        let left: u32 = client.stat("stats-job 1", "time-left").parse().unwrap();
        assert!((seconds - 5..=seconds).contains(&left), "{left}");
    }
    client.ask("put-with 0 0 60 1 retry-ms=7000 attempts=1\r\ny");
    assert_eq!(client.ask_all("reserve"), "RESERVED 2 1\ny");
    assert_eq!(client.ask("fail 2 busy"), "BURIED", "a job may have terms of its own");
}

fn put_with(client: &mut crate::rig::Client, terms: &str) -> String {
    client.ask(&format!("put-with 0 0 60 1 {terms}\r\nx"))
}

#[test]
fn a_key_is_the_same_job_within_its_window_even_when_that_is_done_and_after_a_restart() {
    let server = Forebay::start();
    let mut client = server.connect();
    assert_eq!(put_with(&mut client, "key=order-17 window=600"), "INSERTED 1");
    assert_eq!(put_with(&mut client, "key=order-17 window=600"), "INSERTED 1");
    assert_eq!(put_with(&mut client, "key=order-18"), "INSERTED 2");
    assert_eq!(client.ask("delete 1"), "DELETED");
    assert_eq!(put_with(&mut client, "key=order-17"), "INSERTED 1", "what is done is not done again");
    let server = server.restart();
    let mut client = server.connect();
    assert_eq!(put_with(&mut client, "key=order-17"), "INSERTED 1");
    assert_eq!(client.ask("use other"), "USING other");
    assert_eq!(put_with(&mut client, "key=order-17"), "INSERTED 3", "each tube has its own keys");
    assert_eq!(client.put("0 0 60", "x"), 4, "terms are for one put");
    assert_eq!(client.put("0 0 60", "x"), 5);
    assert_eq!(client.stat("stats", "total-jobs"), "5");
}

#[test]
fn a_unique_job_is_there_once_until_it_is_done() {
    let server = Forebay::start();
    let mut client = server.connect();
    assert_eq!(put_with(&mut client, "unique=report"), "INSERTED 1");
    assert_eq!(put_with(&mut client, "unique=report"), "INSERTED 1");
    let server = server.restart();
    let mut client = server.connect();
    client.ask_all("reserve");
    assert_eq!(put_with(&mut client, "unique=report"), "INSERTED 1", "while somebody has it");
    assert_eq!(client.ask("delete 1"), "DELETED");
    assert_eq!(put_with(&mut client, "unique=report"), "INSERTED 2");
}

#[test]
fn jobs_with_an_ordering_key_are_handed_out_one_after_the_other() {
    let server = Forebay::start();
    let mut client = server.connect();
    for terms in ["order=a", "order=a", "order=b", "order=a"] {
        put_with(&mut client, terms);
    }
    assert_eq!(client.ask_all("reserve-with-timeout 0"), "RESERVED 1 1\nx");
    assert_eq!(client.ask_all("reserve-with-timeout 0"), "RESERVED 3 1\nx");
    assert_eq!(client.ask("reserve-with-timeout 0"), "TIMED_OUT");
    assert_eq!(client.ask("reserve-job 2"), "NOT_FOUND", "it is not its turn");
    assert_eq!(client.ask("release 1 0 1000"), "RELEASED");
    assert_eq!(client.ask("reserve-with-timeout 0"), "TIMED_OUT", "nobody overtakes a job that is tried again");
    let mut other = server.connect();
    other.say("reserve");
    while client.stat("stats", "current-waiting") != "1" {}
    assert_eq!(client.ask("delete 1"), "DELETED");
    assert_eq!(other.hear_all(), "RESERVED 2 1\nx", "the next one's turn");
    let server = server.restart();
    let mut client = server.connect();
    assert_eq!(client.ask_all("reserve-with-timeout 0"), "RESERVED 2 1\nx");
    assert_eq!(client.ask_all("reserve-with-timeout 0"), "RESERVED 3 1\nx");
    assert_eq!(client.ask("reserve-with-timeout 0"), "TIMED_OUT");
    assert_eq!(client.ask("bury 2 0"), "BURIED");
    assert_eq!(client.ask("reserve-with-timeout 0"), "TIMED_OUT", "nor one that was put aside");
    assert_eq!(client.ask("delete 2"), "DELETED");
    assert_eq!(client.ask_all("reserve-with-timeout 0"), "RESERVED 4 1\nx");
}

#[test]
fn keys_have_a_limit() {
    let server = Forebay::start_with(Config { keys_max: 2, ..config() });
    let mut client = server.connect();
    assert_eq!(put_with(&mut client, "key=a"), "INSERTED 1");
    assert_eq!(put_with(&mut client, "unique=b"), "INSERTED 2");
    assert_eq!(put_with(&mut client, "key=c"), "OUT_OF_MEMORY");
    assert_eq!(put_with(&mut client, "key=a"), "INSERTED 1", "which is there already");
    assert_eq!(client.put("0 0 60", "x"), 3);
}
