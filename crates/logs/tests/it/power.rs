//! The power goes off at any moment: what was acknowledged is there, nothing is there twice.

use logs::{Handle, Record};
use stdx::rng::Rng;
use testkit::FakeDisk;

use crate::rig::{config, line, messages, open, put, scope, stop};

const SEEDS: u64 = 300;
const LINES: u64 = 120;

#[test]
fn acknowledged_records_survive_a_power_cut_and_repetitions_are_not_stored() {
    for seed in 0..SEEDS {
        let disk = FakeDisk::new(seed);
        let mut rng = Rng::with_seed(seed);
        let mut acknowledged = 0;
        // Each life sends from what was acknowledged, as an init process does, until all is.
        for life in 0.. {
            let last = life == 3;
            let Some(logs) = start(&disk, !last, &mut rng) else { continue };
            let stored = logs.last_origin_seq(&scope(), "web.1").unwrap_or(0);
            assert!(stored >= acknowledged, "seed {seed}: {acknowledged} was acknowledged, {stored} is there");
            check(&logs, stored, seed);
            acknowledged = send(&logs, acknowledged, &mut rng);
            if last {
                assert_eq!(acknowledged, LINES, "seed {seed}");
                check(&logs, LINES, seed);
                break;
            }
            // The threads end before the disk is there again: what they do in between reaches nothing.
            disk.power_off_after(0);
            stop(&logs);
            disk.power_cut();
        }
    }
}

/// A power cut may come while the plane starts, too.
fn start(disk: &FakeDisk, fails: bool, rng: &mut Rng) -> Option<Handle> {
    if fails {
        disk.power_off_after(rng.u64(0..60));
    }
    let clock = stdx::clock::SystemClock::shared();
    let config = logs::config::Config { segment_bytes_max: 8 << 10, ..config() };
    let started = logs::start_on(disk.clone(), config, crate::rig::folder(), clock);
    if started.is_err() {
        assert!(fails);
        disk.power_cut();
    }
    started.ok()
}

/// Sends in handfuls and returns the number of the last line that was acknowledged.
fn send(logs: &Handle, mut acknowledged: u64, rng: &mut Rng) -> u64 {
    while acknowledged < LINES {
        let end = (acknowledged + rng.u64(1..30)).min(LINES);
        let records: Vec<Record> = (acknowledged + 1..=end).map(|seq| line("web.1", seq)).collect();
        match logs.ingest(records).map(logs::Ticket::durable_blocking) {
            Ok(Ok(())) => acknowledged = end,
            Ok(Err(_)) | Err(_) => break,
        }
    }
    acknowledged
}

/// The lines up to `stored` are there, each once, in order.
fn check(logs: &Handle, stored: u64, seed: u64) {
    let expected: Vec<String> = (1..=stored).map(|seq| format!("line {seq} of web.1")).collect();
    assert_eq!(messages(logs, ""), expected, "seed {seed}");
}

#[test]
fn after_a_failed_sync_the_plane_has_failed_and_is_read_on() {
    let disk = FakeDisk::new(1);
    let logs = open(&disk, config());
    put(&logs, vec![line("web.1", 1)]).unwrap();
    // The next of them may be a checkpoint's, which does no harm.
    (1..=3).for_each(|nth| disk.fail(testkit::Call::Sync, nth));
    assert_eq!(put(&logs, vec![line("web.1", 2)]), Err(logs::NotDurable::Failed));
    disk.heal();
    assert_eq!(logs.ingest(vec![line("web.1", 3)]).unwrap_err(), logs::Refused::Failed);
    assert!(!logs.offer(line("web.1", 3)));
    let row = logs.status().row();
    assert_eq!(row.state, "failed");
    assert!(row.reason.unwrap().contains("sync"));
    assert_eq!(messages(&logs, "\"line 1\""), ["line 1 of web.1"]);
    let follow = logs.query(logs::Query { follow: true, ..logs::Query::default() });
    assert!(matches!(follow, Err(logs::QueryError::PlaneFailed)));
    crate::rig::stop(&logs);
    assert!(logs.status().is_failed());
    disk.power_cut();
    assert_eq!(messages(&open(&disk, config()), "\"line 1\""), ["line 1 of web.1"]);
}
