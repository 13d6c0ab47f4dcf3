//! What is there again after a restart.

use queue::config::{Config, TubeConfig};

use crate::rig::{Forebay, config};

#[test]
fn jobs_keep_their_state_priority_and_counters() {
    let ours = Forebay::start();
    let mut client = ours.connect();
    assert_eq!(client.ask("use t"), "USING t");
    let ready = client.put("7 0 60", "ready");
    let delayed = client.put("1 1000 60", "delayed");
    let (buried, released) = (client.put("2 0 60", "buried"), client.put("3 0 60", "released"));
    client.ask("watch t");
    assert_eq!(client.ask_all("reserve"), format!("RESERVED {buried} 6\nburied"));
    assert_eq!(client.ask(&format!("bury {buried} 5")), "BURIED");
    assert_eq!(client.ask_all("reserve"), format!("RESERVED {released} 8\nreleased"));
    assert_eq!(client.ask(&format!("release {released} 11 0")), "RELEASED");
    assert_eq!(client.ask_all("reserve"), format!("RESERVED {ready} 5\nready"));

    let ours = ours.restart();
    let mut client = ours.connect();
    client.ask("watch t");
    assert_eq!(client.stat(&format!("stats-job {delayed}"), "state"), "delayed");
    assert_eq!(client.stat(&format!("stats-job {buried}"), "state"), "buried");
    assert_eq!(client.stat(&format!("stats-job {buried}"), "pri"), "5");
    assert_eq!(client.stat(&format!("stats-job {buried}"), "buries"), "1");
    assert_eq!(client.stat(&format!("stats-job {ready}"), "reserves"), "1", "of the worker that is gone");
    assert_eq!(client.stat(&format!("stats-job {released}"), "pri"), "11");
    assert_eq!(client.stat(&format!("stats-job {released}"), "releases"), "1");
    assert_eq!(client.ask_all("reserve"), format!("RESERVED {ready} 5\nready"));
    assert_eq!(client.ask_all("reserve"), format!("RESERVED {released} 8\nreleased"));
    assert_eq!(client.stat("stats-tube t", "total-jobs"), "4");
    assert_eq!(client.stat("stats", "total-jobs"), "4");
}

#[test]
fn deleted_jobs_stay_deleted_and_their_ids_are_not_given_again() {
    let ours = Forebay::start();
    let mut client = ours.connect();
    for _ in 0..10 {
        let id = client.put("0 0 60", "x");
        assert_eq!(client.ask(&format!("delete {id}")), "DELETED");
    }
    let ours = ours.restart();
    let mut client = ours.connect();
    assert_eq!(client.ask("peek 10"), "NOT_FOUND");
    assert_eq!(client.put("0 0 60", "x"), 11);
}

#[test]
fn buried_jobs_keep_their_order() {
    let ours = Forebay::start();
    let mut client = ours.connect();
    for _ in 0..5 {
        client.put("0 0 60", "x");
    }
    for _ in 0..5 {
        client.ask_all("reserve");
    }
    for id in [4, 2, 5, 1, 3] {
        assert_eq!(client.ask(&format!("bury {id} 0")), "BURIED");
    }
    let ours = ours.restart().restart();
    let mut client = ours.connect();
    for id in [4, 2, 5, 1, 3] {
        assert_eq!(client.ask_all("peek-buried"), format!("FOUND {id} 1\nx"));
        assert_eq!(client.stat(&format!("stats-job {id}"), "buries"), "1");
        assert_eq!(client.ask("kick 1"), "KICKED 1");
    }
}

#[test]
fn a_pause_outlives_a_restart() {
    let ours = Forebay::start();
    let mut client = ours.connect();
    client.put("0 0 60", "x");
    assert_eq!(client.ask("pause-tube default 1000"), "PAUSED");
    let ours = ours.restart();
    let mut client = ours.connect();
    assert_eq!(client.stat("stats-tube default", "pause"), "1000");
    assert_eq!(client.stat("stats-tube default", "cmd-pause-tube"), "1");
    assert_eq!(client.ask("reserve-with-timeout 0"), "TIMED_OUT");
    assert_eq!(client.ask("pause-tube default 0"), "PAUSED");
    assert_eq!(client.ask_all("reserve"), "RESERVED 1 1\nx");
}

#[test]
fn the_log_does_not_grow_with_what_has_gone() {
    let small = || Config { segment_bytes_max: 256 << 10, ..config() };
    let ours = Forebay::start_with(small());
    let mut client = ours.connect();
    let body = "k".repeat(2000);
    let kept: Vec<u64> = (0..20).map(|n| client.put(&format!("{n} 0 60"), &body)).collect();
    assert_eq!(client.ask("use churn"), "USING churn");
    // 40 MB of jobs that come and go, pipelined.
    for round in 0..200u64 {
        let first = 21 + round * 100;
        let puts = format!("put 0 0 60 2000\r\n{body}\r\n").repeat(100);
        client.send(puts.as_bytes());
        for n in 0..100 {
            assert_eq!(client.hear(), format!("INSERTED {}", first + n));
        }
        let deletes: String = (first..first + 100).map(|id| format!("delete {id}\r\n")).collect();
        client.send(deletes.as_bytes());
        for _ in 0..100 {
            assert_eq!(client.hear(), "DELETED");
        }
    }
    let migrated: u64 = client.stat("stats", "binlog-records-migrated").parse().unwrap();
    assert!(migrated >= 20, "the kept jobs were in the way: {migrated}");
    let ours = ours.restart_with(small());
    let on_disk: u64 = std::fs::read_dir(ours.folder.path().join("queue/log"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!(on_disk < 2 << 20, "{on_disk} bytes on disk for 40 kB of jobs");
    let mut client = ours.connect();
    for id in kept {
        assert_eq!(client.ask_all("reserve"), format!("RESERVED {id} 2000\n{body}"));
    }
    assert_eq!(client.ask("reserve-with-timeout 0"), "TIMED_OUT");
    assert_eq!(client.put("0 0 60", "x"), 20_021);
    assert_eq!(client.stat("stats", "total-jobs"), "20021");
}

#[test]
fn after_its_last_attempt_a_job_is_buried_also_across_a_restart() {
    let twice = || Config { tube: TubeConfig { attempts_max: 2, ..TubeConfig::default() }, ..config() };
    let ours = Forebay::start_with(twice());
    let mut client = ours.connect();
    let id = client.put("0 0 60", "x");
    client.ask_all("reserve");
    assert_eq!(client.ask(&format!("release {id} 0 0")), "RELEASED");
    let ours = ours.restart_with(twice());
    let mut client = ours.connect();
    client.ask_all("reserve");
    assert_eq!(client.ask(&format!("release {id} 0 0")), "BURIED");
    assert_eq!(client.stat(&format!("stats-job {id}"), "state"), "buried");
}

#[test]
fn a_lease_that_runs_out_waits_as_the_tube_says() {
    let tube = TubeConfig { attempts_max: 2, retry_delay_ms: 1, ..TubeConfig::default() };
    let ours = Forebay::start_with(Config { tube, ..config() });
    let mut client = ours.connect();
    let id = client.put("0 0 1", "x");
    let mut worker = ours.connect();
    worker.ask_all("reserve");
    assert_eq!(worker.ask_all("reserve"), "DEADLINE_SOON");
    assert_eq!(worker.ask_all("reserve-with-timeout 5"), "DEADLINE_SOON");
    assert_eq!(client.ask_all("reserve-with-timeout 5"), format!("RESERVED {id} 1\nx"));
    while worker.stat(&format!("stats-job {id}"), "state") != "buried" {}
    assert_eq!(worker.stat(&format!("stats-job {id}"), "timeouts"), "2");
}
