//! Jobs that are due in days: what they cost in memory and on disk, and that they come when they are due.

use std::time::Duration;

use testkit::FakeDisk;

use super::long::{Life, inserted, reserved};
use crate::config::Config;
use crate::names::JobId;
use crate::proto::command::Command;

const DAY_S: u32 = 86_400;

fn far_life(disk: FakeDisk) -> Life {
    Life::with(disk, 64 << 10, Config::default())
}

/// Puts and deletes until all that was put before is far.
fn until_far(life: &mut Life, jobs: u64) {
    for _ in 0..2_000 {
        if life.opened.broker.far_len() == jobs {
            return;
        }
        let id = inserted(&life.put(0, &[b'c'; 1000]));
        assert_eq!(life.say(&Command::Delete { id }), "DELETED\r\n");
    }
    panic!("{} jobs are far, not {jobs}", life.opened.broker.far_len());
}

fn stat(life: &mut Life, name: &str) -> u64 {
    let stats = life.say(&Command::StatsTube { tube: "default" });
    let line = stats.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in {stats}"))
}

#[test]
fn far_jobs_are_there_for_whoever_asks_and_come_when_they_are_due() {
    let mut life = far_life(FakeDisk::new(1));
    // The later ones first, so that ids say nothing about time.
    for n in 0..600u32 {
        life.put(30 * DAY_S - n, format!("job {}", n + 1).as_bytes());
    }
    until_far(&mut life, 600);
    assert_eq!(stat(&mut life, "current-jobs-delayed"), 600);
    assert!(life.say(&Command::PeekDelayed).ends_with("job 600\r\n"));
    assert!(life.say(&Command::Peek { id: JobId(7) }).ends_with("job 7\r\n"));
    assert!(life.say(&Command::StatsJob { id: JobId(9) }).contains("state: delayed\n"));
    assert_eq!(life.say(&Command::Delete { id: JobId(8) }), "DELETED\r\n");
    assert_eq!(life.say(&Command::Delete { id: JobId(8) }), "NOT_FOUND\r\n");
    assert_eq!(life.say(&Command::KickJob { id: JobId(10) }), "KICKED\r\n");
    assert!(life.say(&Command::ReserveJob { id: JobId(11) }).ends_with("job 11\r\n"));
    assert_eq!(life.say(&Command::Release { id: JobId(11), pri: 0, delay_s: 31 * DAY_S }), "RELEASED\r\n");
    assert_eq!(life.say(&Command::Kick { jobs_max: 3 }), "KICKED 3\r\n");
    for id in [10, 598, 599, 600] {
        let job = life.say(&Command::ReserveWithTimeout { timeout_s: 0 });
        assert_eq!(reserved(&job), Some(JobId(id)), "the soonest were kicked");
        life.say(&Command::Delete { id: JobId(id) });
    }
    // A start knows all that, from a checkpoint with the far jobs and from the log behind it.
    life.disk.power_cut();
    let mut life = far_life(life.disk);
    assert_eq!(stat(&mut life, "current-jobs-delayed"), 595);
    assert!(life.opened.broker.far_len() > 400, "{} are far", life.opened.broker.far_len());
    assert_eq!(life.say(&Command::Delete { id: JobId(8) }), "NOT_FOUND\r\n");
    assert!(life.say(&Command::PeekDelayed).ends_with("job 597\r\n"));
    let first_s = u64::from(30 * DAY_S) - 596;
    life.pass(Duration::from_secs(first_s - 1));
    assert_eq!(life.say(&Command::ReserveWithTimeout { timeout_s: 0 }), "TIMED_OUT\r\n");
    let mut next = 598;
    for id in (1..=597).rev().filter(|id| ![8, 10, 11].contains(id)) {
        life.pass(Duration::from_secs(next - id));
        let job = life.say(&Command::ReserveWithTimeout { timeout_s: 0 });
        assert_eq!(reserved(&job), Some(JobId(id)), "{job}");
        assert_eq!(life.say(&Command::Delete { id: JobId(id) }), "DELETED\r\n");
        next = id;
    }
    assert_eq!((life.opened.broker.far_len(), stat(&mut life, "current-jobs-delayed")), (0, 1));
}

#[test]
fn far_jobs_cost_memory_by_bucket() {
    const JOBS: u64 = 40_000;
    let mut life = far_life(FakeDisk::new(1));
    let empty = life.opened.broker.memory_bytes();
    for n in 0..JOBS {
        life.put(DAY_S + (n * 7919 % 100_000) as u32, b"a body of some length, as jobs have it, or not");
    }
    let far = life.opened.broker.far_len();
    let (near, bytes) = (JOBS - far, life.opened.broker.memory_bytes() - empty);
    assert!(far > JOBS / 3 && bytes < near * 66 + far * 2, "{bytes} bytes for {near} near and {far} far jobs");
}

#[test]
fn a_damaged_far_job_stops_the_queue_and_the_next_start_has_it_from_the_log() {
    let mut life = far_life(FakeDisk::new(1));
    for n in 0..300 {
        life.put(DAY_S + n, format!("job {}", n + 1).as_bytes());
    }
    until_far(&mut life, 300);
    let all = life.disk.paths().into_iter().filter(|path| path.extension().is_some_and(|kind| kind == "index"));
    for path in all {
        let len = life.disk.contents(&path).unwrap().len();
        // All of the far part.
        (len / 4..len).step_by(512).for_each(|at| assert!(life.disk.break_sector(&path, at)));
    }
    // One of the blocks may be known still.
    let heard = [5, 150, 290].map(|id| life.say(&Command::Peek { id: JobId(id) }));
    assert_eq!(heard[2], "INTERNAL_ERROR\r\n");
    assert_eq!(life.say(&Command::PeekReady), "INTERNAL_ERROR\r\n", "it knows nothing for sure any more");
    life.disk.power_cut();
    let mut life = far_life(life.disk);
    assert_eq!((life.opened.broker.far_len(), stat(&mut life, "current-jobs-delayed")), (0, 300));
    assert!(life.say(&Command::Peek { id: JobId(5) }).ends_with("job 5\r\n"));
    until_far(&mut life, 300);
}

/// All jobs are due in a year, and others come and go: what compaction copies is in proportion to what clients write.
#[test]
fn far_jobs_and_endless_churn_write_no_more_than_a_few_times_what_clients_do() {
    let mut life = far_life(FakeDisk::new(1));
    for n in 0..8_000 {
        life.put(365 * DAY_S + n, &[b'f'; 300]);
    }
    let (live, before) = (8_000 * 400, life.opened.broker.appended());
    let mut churned = 0;
    for _ in 0..30_000 {
        let id = inserted(&life.put(0, &[b'c'; 300]));
        assert_eq!(life.say(&Command::Delete { id }), "DELETED\r\n");
        churned += 300;
    }
    let appended = life.opened.broker.appended() - before;
    assert!(appended <= 3 * churned, "{appended} bytes of log for {churned} of bodies");
    // Twice what lives, and the checkpoints.
    assert!(life.disk.used() <= 2 * live + 8_000 * 160 + (512 << 10), "{} bytes on disk", life.disk.used());
    assert!(life.opened.broker.far_len() > 4_000);
}

#[test]
fn beyond_the_memory_budget_puts_are_refused_until_there_is_room() {
    let config = Config { memory_bytes_max: 1 << 20, ..Config::default() };
    let mut life = Life::with(FakeDisk::new(1), 64 << 10, config);
    let mut ids = Vec::new();
    let refused = loop {
        match life.put(0, b"x") {
            answer if answer.starts_with("INSERTED") => ids.push(inserted(&answer)),
            answer => break answer,
        }
        assert!(ids.len() < 100_000, "there is no end to it");
    };
    assert_eq!(refused, "OUT_OF_MEMORY\r\n");
    assert!(life.opened.broker.memory_bytes() <= 1 << 20, "{}", life.opened.broker.memory_bytes());
    assert!(ids.len() > 5_000, "{} jobs", ids.len());
    // What was taken can be worked on.
    for id in ids.drain(..2_000) {
        assert_eq!(life.say(&Command::Delete { id }), "DELETED\r\n");
    }
    assert!(life.put(0, b"x").starts_with("INSERTED"));
}
