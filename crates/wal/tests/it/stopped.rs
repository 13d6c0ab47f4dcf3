//! After a failed write or sync nothing is acknowledged any more, and the first cause is told for ever.

use testkit::{Call, FakeDisk};
use wal::{AppendError, CommitError, ReadError};

use crate::rig::{Log, payloads};

fn stop_by(call: Call) -> (FakeDisk, Log, String) {
    let disk = FakeDisk::new(3);
    let mut log = Log::open(&disk);
    log.add(&payloads(2));
    disk.fail(call, 1);
    log.opened.writer.append(1, &[b"lost"]).unwrap();
    let batch = log.opened.writer.take_batch().unwrap();
    let Err(CommitError::Poisoned(cause)) = log.opened.committer.commit(batch) else { panic!("{call:?} was ignored") };
    (disk, log, cause.to_string())
}

#[test]
fn a_failed_sync_stops_the_log() {
    let (_, mut log, cause) = stop_by(Call::Sync);
    assert_eq!(
        cause,
        "the log is stopped: cannot sync /data/wal/00000000000000000001.wal: Input/output error (os error 5)"
    );
    for _ in 0..2 {
        let Err(AppendError::Poisoned(later)) = log.opened.writer.append(1, &[b"more"]) else { panic!() };
        assert_eq!(later.to_string(), cause);
        assert_eq!(log.opened.committer.clean_up().unwrap_err().to_string(), cause);
    }
}

/// The batch that removes segment 1 is the first of segment 2, and the folder's sync fails: segment 2 has its name in the
/// cache only. A restart must not unlink segment 1 before that name is on disk.
#[test]
fn a_removal_is_not_finished_on_the_word_of_a_segment_that_may_vanish() {
    for seed in 0..400 {
        let disk = FakeDisk::new(seed);
        let mut log = Log::open(&disk);
        log.add(&[vec![1; 3000]]);
        log.opened.writer.append(1, &[&[2; 3000]]).unwrap();
        log.opened.writer.remove_segments_below(2);
        disk.fail(Call::SyncDir, 1);
        let batch = log.opened.writer.take_batch().unwrap();
        assert!(log.opened.committer.commit(batch).is_err());

        disk.power_off_after(1 + seed % 8);
        let first = crate::rig::try_open(&disk).map(|log| log.lsns()).ok();
        disk.power_cut();
        let second = Log::open(&disk).lsns();
        assert!(second == [1] || second == [2], "seed {seed}: {second:?}");
        assert!(first.is_none_or(|first| first == second), "seed {seed}: what was delivered is lost");
    }
}

#[test]
fn a_failed_write_stops_the_log() {
    let (_, mut log, cause) = stop_by(Call::Write);
    assert!(cause.contains("cannot write"), "{cause}");
    assert!(matches!(log.opened.writer.append(1, &[]), Err(AppendError::Poisoned(_))));
}

#[test]
fn what_was_appended_before_the_failure_is_refused_too() {
    let disk = FakeDisk::new(3);
    let mut log = Log::open(&disk);
    for payload in payloads(20) {
        log.opened.writer.append(1, &[&payload]).unwrap();
    }
    disk.fail(Call::Sync, 1);
    let mut results = Vec::new();
    while let Some(batch) = log.opened.writer.take_batch() {
        results.push(log.opened.committer.commit(batch).map(|_| ()));
    }
    assert!(results.len() > 1);
    assert!(results.iter().all(|result| matches!(result, Err(CommitError::Poisoned(_)))));
}

#[test]
fn reading_goes_on_where_writing_has_stopped() {
    let (_, log, _) = stop_by(Call::Sync);
    let mut lsns = Vec::new();
    let damage = log.opened.reader.scan_segment(1, &mut |found| {
        lsns.push(found.lsn.0);
        std::ops::ControlFlow::Continue(())
    });
    assert_eq!((damage.unwrap(), lsns), (vec![], vec![1, 2]));
}

#[test]
fn a_failing_read_is_told_from_damage() {
    let disk = FakeDisk::new(3);
    let mut log = Log::open(&disk);
    let position = log.add(&payloads(1))[0];
    disk.fail(Call::Read, 1);
    let mut bytes = Vec::new();
    assert!(matches!(log.opened.reader.read(position, &mut bytes), Err(ReadError::Disk(_))));
    assert_eq!(log.opened.reader.read(position, &mut bytes).unwrap(), 1);
}

#[test]
fn a_record_cannot_be_read_before_it_is_committed_nor_after_it_is_removed() {
    let disk = FakeDisk::new(3);
    let mut log = Log::open(&disk);
    let old = log.add(&payloads(60))[0];
    let (_, new) = log.opened.writer.append(1, &[b"new"]).unwrap();
    let mut bytes = Vec::new();
    assert!(matches!(log.opened.reader.read(new, &mut bytes), Err(ReadError::NotCommitted { .. })));
    log.opened.reader.read(old, &mut bytes).unwrap();
    log.opened.writer.remove_segments_below(new.segment);
    log.commit();
    log.opened.committer.clean_up().unwrap();
    assert!(matches!(log.opened.reader.read(old, &mut bytes), Err(ReadError::NoSegment { segment: 1 })));
    assert_eq!(log.opened.reader.read(new, &mut bytes).unwrap(), 1);
}

#[test]
fn limits_of_records_and_of_what_is_pending() {
    let disk = FakeDisk::new(3);
    let config = wal::Config { pending_bytes_max: 1000, ..crate::rig::config() };
    let longest = config.payload_bytes_max();
    let mut log = crate::rig::open_with(&disk, config).unwrap();
    let too_long = log.opened.writer.append(1, &[&vec![0; longest + 1]]).unwrap_err();
    assert!(matches!(too_long, AppendError::TooLong { len, max } if len == longest + 1 && max == longest));
    let (_, position) = log.opened.writer.append(1, &[&vec![7; longest]]).unwrap();
    assert!(matches!(log.opened.writer.append(1, &[b"x"]), Err(AppendError::Full { .. })));
    log.commit();
    assert_eq!(log.opened.writer.pending_bytes(), 0);
    log.add(&[vec![8; 10]]);
    let mut bytes = Vec::new();
    log.opened.reader.read(position, &mut bytes).unwrap();
    assert_eq!(bytes, vec![7; longest]);
    assert_eq!(Log::open(&disk).lsns(), [1, 2]);
}
