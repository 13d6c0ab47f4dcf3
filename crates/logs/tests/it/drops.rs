//! Nothing is lost in silence: what was offered is stored, or the stream says that it was dropped.

use logs::config::Config;
use logs::{Handle, Level, Query, Record, Refused, Source};
use testkit::{FakeDisk, SlowDisk};

use crate::rig::{config, find, folder, messages, open, put, scope, stop, text};

fn said(logs: &Handle) -> u64 {
    let filter = logs::Filter::parse("dropped:*").unwrap();
    let rows = find(logs, Query { filter, ..Query::default() });
    rows.iter().map(|row| row.fields["dropped"].as_u64().unwrap()).sum()
}

#[test]
fn offered_is_stored_or_said_to_be_dropped() {
    const OFFERED: u64 = 20_000;
    let disk = FakeDisk::new(1);
    let slow = SlowDisk::new(disk.clone(), 50);
    let config = Config { pending_bytes_max: 64 << 10, retention_bytes: 1 << 30, ..config() };
    let logs = logs::start_on(slow, config, folder(), stdx::clock::SystemClock::shared()).unwrap();
    let taken = std::thread::scope(|threads| {
        let offer = |app: &'static str| {
            let logs = &logs;
            move || {
                let record =
                    |n| Record { scope: Some(app.parse().unwrap()), source: Source::Router, ..text(n, "offered") };
                (0..OFFERED / 2).filter(|n| logs.offer(record(*n))).count() as u64
            }
        };
        let (a, b) = (threads.spawn(offer("shop")), threads.spawn(offer("blog")));
        a.join().unwrap() + b.join().unwrap()
    });
    stop(&logs);
    assert!(taken < OFFERED, "the test offers too little to overflow");
    assert_eq!(logs.stats().dropped, OFFERED - taken);

    let logs = open(&disk, config_big());
    assert_eq!(messages(&logs, "source:router message:offered").len() as u64, taken);
    assert_eq!(taken + said(&logs), OFFERED);
    let of_shop = messages(&logs, "app:shop dropped:*");
    assert!(of_shop[0].starts_with("dropped ") && of_shop[0].ends_with(" records (queue full)"), "{}", of_shop[0]);
}

fn config_big() -> Config {
    Config { retention_bytes: 1 << 30, ..config() }
}

#[test]
fn a_sender_that_awaits_is_refused_instead() {
    let disk = SlowDisk::new(FakeDisk::new(1), 20);
    let config = Config { pending_bytes_max: 8 << 10, ..config() };
    let logs = logs::start_on(disk, config, folder(), stdx::clock::SystemClock::shared()).unwrap();
    let records = |n: u64| (0..n).map(|n| text(n, "x".repeat(500))).collect::<Vec<_>>();
    let tickets: Vec<_> = (0..3).map(|_| logs.ingest(records(3)).unwrap()).collect();
    assert!(matches!(logs.ingest(records(9)), Err(Refused::Busy { max: 8192, .. })));
    assert_eq!(logs.stats().refused, 9);
    for ticket in tickets {
        ticket.durable_blocking().unwrap();
    }
    put(&logs, records(9)).unwrap();
    assert_eq!(messages(&logs, "").len(), 18);
    assert_eq!(said(&logs), 0, "who was told has the records still");
}

#[test]
fn lines_that_arrive_one_by_one_share_a_sync() {
    let logs = open(&FakeDisk::new(1), Config { commit_awaited_interval_ms: 50, ..config() });
    let tickets: Vec<_> = (1..=1000).map(|n| logs.ingest(vec![text(n, "line")]).unwrap()).collect();
    for ticket in tickets {
        ticket.durable_blocking().unwrap();
    }
    assert!(logs.stats().commits <= 30, "{} commits", logs.stats().commits);
    let record = Record { level: Level::Error, scope: Some(scope()), ..text(1, "one") };
    put(&logs, vec![record]).unwrap();
    assert_eq!(messages(&logs, "level:error app:shop"), ["one"]);
}
