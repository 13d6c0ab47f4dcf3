//! Against the machine's own file system.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc;

use stdx::io::Disk;
use wal::{CommitThread, Config, Found, Lsn, Opened, Position, open};

type Record = (u64, u8, Vec<u8>);

fn config(folder: &Path) -> Config {
    Config { segment_bytes_max: 64 << 10, batch_bytes_max: 8 << 10, ..Config::new(folder.join("wal")) }
}

fn reopen(folder: &Path) -> (Opened<Disk>, Vec<Record>) {
    let mut records = Vec::new();
    let mut visit = |found: Found<'_>| records.push((found.lsn.0, found.kind, found.payload.to_vec()));
    let opened = open(Disk, config(folder), &mut visit).unwrap();
    (opened, records)
}

fn append_and_commit(log: &mut Opened<Disk>, payloads: &[Vec<u8>]) -> Vec<Position> {
    let mut positions = Vec::new();
    for payload in payloads {
        let (a, b) = payload.split_at(payload.len() / 2);
        positions.push(log.writer.append(7, &[a, b]).unwrap().1);
    }
    while let Some(batch) = log.writer.take_batch() {
        let committed = log.committer.commit(batch).unwrap();
        log.writer.recycle(committed.buffer);
    }
    positions
}

fn payloads(n: usize) -> Vec<Vec<u8>> {
    (0..n).map(|i| vec![i as u8; i * 7 % 3000]).collect()
}

#[test]
fn what_was_committed_is_read_back_scanned_and_recovered() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, found) = reopen(folder.path());
    assert_eq!(found, []);
    let payloads = payloads(300);
    let positions = append_and_commit(&mut log, &payloads);
    let segments = log.reader.segments();
    assert!(segments.len() > 3, "{segments:?}");

    let mut bytes = Vec::new();
    for (position, payload) in positions.iter().zip(&payloads) {
        assert_eq!(log.reader.read(*position, &mut bytes).unwrap(), 7);
        assert_eq!(&bytes, payload);
    }
    let mut scanned = Vec::new();
    for segment in &segments {
        let damage = log.reader.scan_segment(segment.number, &mut |found| {
            scanned.push((found.lsn.0, found.kind, found.payload.to_vec()));
            ControlFlow::Continue(())
        });
        assert_eq!(damage.unwrap(), []);
    }
    drop(log);

    let (log, found) = reopen(folder.path());
    let expected: Vec<Record> = payloads.iter().enumerate().map(|(i, p)| (i as u64 + 1, 7, p.clone())).collect();
    assert_eq!(found, expected);
    assert_eq!(scanned, expected);
    assert_eq!(log.reader.segments(), segments);
    assert_eq!(log.report.last_lsn, Lsn(300));
    assert!(log.report.is_clean() && log.report.torn.is_none());
}

#[test]
fn old_segments_go_and_stay_gone() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, _) = reopen(folder.path());
    append_and_commit(&mut log, &payloads(300));
    let newest = log.writer.segment();
    log.writer.remove_segments_below(newest);
    append_and_commit(&mut log, &[]);
    log.committer.clean_up().unwrap();
    assert_eq!(log.reader.segments().len(), 1);
    let first = log.reader.segments()[0].first_lsn;
    drop(log);

    let (log, found) = reopen(folder.path());
    assert_eq!(found.first().map(|r| r.0), Some(first.0));
    assert_eq!(found.last().map(|r| r.0), Some(300));
    assert!(log.report.is_clean(), "{:?}", log.report);
}

#[test]
fn a_thread_commits_and_answers_once_per_batch() {
    let folder = tempfile::tempdir().unwrap();
    let (Opened { mut writer, committer, .. }, _) = reopen(folder.path());
    let (results, done) = mpsc::sync_channel(64);
    let thread = CommitThread::spawn("test-commit", committer, move |result| results.send(result).unwrap()).unwrap();
    for i in 0..50u8 {
        let (lsn, _) = writer.append(i, &[&[i; 100]]).unwrap();
        thread.submit(writer.take_batch().unwrap()).unwrap();
        let committed = done.recv().unwrap().unwrap();
        assert_eq!((committed.durable, committed.records), (lsn, 1));
        writer.recycle(committed.buffer);
    }
    thread.stop();
    assert!(done.recv().is_err(), "one answer per batch");
    assert_eq!(reopen(folder.path()).1.len(), 50);
}
