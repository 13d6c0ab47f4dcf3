//! A tail goes on from what was there to what comes, without gap or duplicate.

use logs::config::Config;
use logs::{Filter, Query};
use stdx::rng::Rng;
use testkit::FakeDisk;

use crate::rig::{config, next, open, put, stop, text, wait};

fn follow(q: &str, n: Option<u32>) -> Query {
    Query { filter: Filter::parse(q).unwrap(), n, follow: true, ..Query::default() }
}

#[test]
fn what_was_there_then_what_comes() {
    let logs = open(&FakeDisk::new(1), config());
    put(&logs, vec![text(1, "old 1"), text(2, "other"), text(3, "old 2")]).unwrap();
    let mut rows = logs.query(follow("-other", Some(1))).unwrap();
    assert_eq!(next(&mut rows).message, "old 2");
    put(&logs, vec![text(4, "other"), text(5, "new")]).unwrap();
    assert_eq!(next(&mut rows).message, "new");
    stop(&logs);
    assert!(wait(rows.next()).is_none(), "a tail ends with the plane");
    let rows = wait(logs.query(follow("", None)).unwrap().collect()).unwrap();
    assert_eq!(rows.len(), 5, "a tail of a stopped plane ends after what was there");
}

/// Tails start at any moment of a stream that is written by somebody else; each must see all of it from its start on.
#[test]
fn no_gap_and_no_duplicate_whenever_a_tail_starts() {
    const RECORDS: u64 = 30_000;
    for seed in 0..6 {
        let disk = FakeDisk::new(seed);
        let config = Config { retention_bytes: 1 << 30, tail_records_max: 1_000_000, ..config() };
        let logs = open(&disk, config);
        std::thread::scope(|threads| {
            threads.spawn(|| {
                let mut rng = Rng::with_seed(seed);
                let mut sent = 0;
                while sent < RECORDS {
                    let end = (sent + rng.u64(1..400)).min(RECORDS);
                    let records = (sent + 1..=end).map(|n| text(n, if n % 3 == 0 { "fizz" } else { "-" })).collect();
                    // Some wait for the disk and some do not, so that the border between both is anywhere.
                    if rng.bool() {
                        put(&logs, records).unwrap();
                    } else {
                        while logs.stats().pending_bytes > 500_000 {
                            std::thread::yield_now();
                        }
                        drop(logs.ingest(records).unwrap());
                    }
                    sent = end;
                }
            });
            for reader in 0..4u64 {
                let logs = &logs;
                threads.spawn(move || {
                    for _ in 0..reader * 2000 {
                        std::thread::yield_now();
                    }
                    let mut rows = logs.query(follow("fizz", None)).unwrap();
                    let seqs: Vec<u64> = wait(async {
                        let mut seqs = Vec::new();
                        while seqs.last() != Some(&RECORDS) {
                            seqs.push(rows.next().await.unwrap().unwrap().seq);
                        }
                        seqs
                    });
                    let expected: Vec<u64> = (3..=RECORDS).step_by(3).collect();
                    assert!(seqs == expected, "seed {seed}, reader {reader}: {} of {}", seqs.len(), expected.len());
                });
            }
        });
    }
}

#[test]
fn a_slow_tail_skips_and_is_told_how_many() {
    let logs = open(&FakeDisk::new(1), Config { tail_records_max: 10, ..config() });
    let mut rows = logs.query(follow("", Some(0))).unwrap();
    put(&logs, vec![text(1, "first")]).unwrap();
    assert_eq!(next(&mut rows).message, "first");
    put(&logs, (2..=50).map(|n| text(n, n.to_string())).collect()).unwrap();
    for n in 2..=11 {
        assert_eq!(next(&mut rows).message, n.to_string());
    }
    let note = next(&mut rows);
    assert_eq!(note.message, "skipped 39 records (this tail is too slow)");
    assert_eq!((note.level.as_str(), note.seq), ("warning", 11));
    put(&logs, vec![text(51, "after")]).unwrap();
    assert_eq!(next(&mut rows).message, "after");
}

#[test]
fn the_note_stands_where_the_records_are_missing() {
    let logs = open(&FakeDisk::new(1), Config { tail_records_max: 2, ..config() });
    let mut rows = logs.query(follow("", Some(0))).unwrap();
    put(&logs, vec![text(1, "first")]).unwrap();
    assert_eq!(next(&mut rows).message, "first");
    put(&logs, ["a", "b", "c", "d"].map(|m| text(2, m)).to_vec()).unwrap();
    assert_eq!(next(&mut rows).message, "a");
    put(&logs, vec![text(3, "e")]).unwrap();
    let got: Vec<_> = (0..3).map(|_| next(&mut rows).message).collect();
    assert_eq!(got, ["b", "skipped 2 records (this tail is too slow)", "e"]);
}
