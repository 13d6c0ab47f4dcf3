//! A disk without space: nothing is lost, and what frees space still goes in.

use testkit::FakeDisk;
use wal::{CommitError, Config, Reserve};

use crate::rig::{Log, config, open_with, payloads};

const RESERVE: u64 = 16 << 10;

fn with_reserve() -> Config {
    Config { reserve_bytes: RESERVE, ..config() }
}

#[test]
fn a_batch_that_found_no_space_goes_in_later_at_the_same_place() {
    let disk = FakeDisk::new(1);
    let mut log = Log::open(&disk);
    log.add(&payloads(2));
    disk.set_capacity(Some(disk.used() + 100));
    let (lsn, position) = log.opened.writer.append(5, &[&[9; 200]]).unwrap();
    let batch = log.opened.writer.take_batch().unwrap();
    let Err(CommitError::DiskFull { batch, cause }) = log.opened.committer.commit(batch) else { panic!() };
    assert_eq!(
        cause.to_string(),
        "cannot write /data/wal/00000000000000000001.wal: No space left on device (os error 28)"
    );
    let Err(CommitError::DiskFull { batch, .. }) = log.opened.committer.commit(batch) else { panic!() };
    log.opened.writer.append(6, &[b"meanwhile"]).unwrap();

    disk.set_capacity(None);
    assert_eq!(log.opened.committer.commit(batch).unwrap().durable, lsn);
    log.commit();
    let mut bytes = Vec::new();
    assert_eq!(log.opened.reader.read(position, &mut bytes).unwrap(), 5);
    disk.power_cut();
    let log = Log::open(&disk);
    assert_eq!((log.lsns(), log.opened.report.torn), (vec![1, 2, 3, 4], None));
}

#[test]
fn a_crash_on_a_full_disk_leaves_a_log() {
    for seed in 0..100 {
        let disk = FakeDisk::new(seed);
        let mut log = Log::open(&disk);
        log.add(&payloads(2));
        disk.set_capacity(Some(disk.used() + seed * 4));
        log.opened.writer.append(5, &[&[9; 500]]).unwrap();
        let batch = log.opened.writer.take_batch().unwrap();
        assert!(matches!(log.opened.committer.commit(batch), Err(CommitError::DiskFull { .. })));
        disk.power_cut();
        assert_eq!(Log::open(&disk).lsns(), [1, 2], "seed {seed}");
    }
}

#[test]
fn the_reserve_takes_deletes_when_the_disk_is_full_and_comes_back() {
    let disk = FakeDisk::new(1);
    let mut log = open_with(&disk, with_reserve()).unwrap();
    log.add(&payloads(2));
    disk.set_capacity(Some(disk.used() + 50));
    assert_eq!(log.opened.reader.free_bytes().unwrap(), 50);

    let mut states = Vec::new();
    for _ in 0..20 {
        log.opened.writer.append(2, &[b"a delete"]).unwrap();
        let batch = log.opened.writer.take_batch().unwrap();
        states.push(log.opened.committer.commit(batch).unwrap().reserve);
    }
    assert_eq!(states[0], Reserve::Spent);
    assert!(states.iter().all(|state| *state == Reserve::Spent));

    disk.set_capacity(None);
    log.opened.committer.clean_up().unwrap();
    log.opened.writer.append(2, &[b"a put"]).unwrap();
    let batch = log.opened.writer.take_batch().unwrap();
    assert_eq!(log.opened.committer.commit(batch).unwrap().reserve, Reserve::Kept);
}

#[test]
fn a_log_opens_on_a_full_disk_and_says_so() {
    let disk = FakeDisk::new(1);
    Log::open(&disk).add(&payloads(2));
    disk.set_capacity(Some(disk.used() + 4000));
    let mut log = open_with(&disk, with_reserve()).unwrap();
    assert_eq!(log.lsns(), [1, 2]);
    log.opened.writer.append(2, &[b"a delete"]).unwrap();
    let batch = log.opened.writer.take_batch().unwrap();
    assert_eq!(log.opened.committer.commit(batch).unwrap().reserve, Reserve::Spent);
}

#[test]
fn removing_segments_on_a_full_disk_makes_room() {
    let disk = FakeDisk::new(1);
    let mut log = open_with(&disk, with_reserve()).unwrap();
    log.add(&payloads(100));
    disk.set_capacity(Some(disk.used()));
    log.opened.writer.remove_segments_below(log.opened.writer.segment());
    log.commit();
    log.opened.committer.clean_up().unwrap();
    assert!(log.opened.reader.free_bytes().unwrap() > 4096);
    log.add(&payloads(1));
}

#[test]
fn what_is_set_aside_is_nobody_elses() {
    let disk = FakeDisk::new(1);
    let config = Config { segment_bytes_max: 64 << 10, ..with_reserve() };
    let mut log = open_with(&disk, config).unwrap();
    log.add(&payloads(2));
    log.opened.committer.clean_up().unwrap();
    // Somebody else takes all there is.
    disk.set_capacity(Some(disk.used()));
    assert_eq!(log.opened.reader.free_bytes().unwrap(), 0);
    let mut states = Vec::new();
    let mut taken = 0;
    let refused = loop {
        log.opened.writer.append(2, &[&[7; 500]]).unwrap();
        let batch = log.opened.writer.take_batch().unwrap();
        match log.opened.committer.commit(batch) {
            Ok(committed) => states.push(committed.reserve),
            Err(cause) => break cause,
        }
        taken += 1;
    };
    assert!(matches!(refused, CommitError::DiskFull { .. }), "{refused:?}");
    // Twice the reserve, and half of one that was asked for beforehand; each batch has its header.
    let bytes = taken * (500 + 17 + 40);
    assert!(bytes > 2 * RESERVE && bytes < 3 * RESERVE, "{bytes}");
    assert_eq!((states[0], states[states.len() - 1]), (Reserve::Kept, Reserve::Spent));
    disk.power_cut();
    assert_eq!(Log::open(&disk).found.len() as u64, 2 + taken);
}

#[test]
fn the_reserve_becomes_the_next_segment() {
    for seed in 0..60 {
        let disk = FakeDisk::new(seed);
        let mut log = open_with(&disk, with_reserve()).unwrap();
        log.add(&payloads(30));
        log.opened.committer.clean_up().unwrap();
        let segment = log.opened.writer.segment();
        disk.set_capacity(Some(disk.used()));
        disk.power_off_after(seed);
        let mut acknowledged = 30;
        while let Ok((lsn, _)) = log.opened.writer.append(2, &[&[7; 100]]) {
            let batch = log.opened.writer.take_batch().unwrap();
            match log.opened.committer.commit(batch) {
                Ok(_) => acknowledged = lsn.0,
                Err(_) => break,
            }
        }
        assert!(seed < 50 || log.opened.writer.segment() > segment, "seed {seed}");
        disk.power_cut();
        let lsns = open_with(&disk, with_reserve()).unwrap().lsns();
        assert!(lsns.len() as u64 >= acknowledged, "seed {seed}: {} of {acknowledged}", lsns.len());
        // And once more, over what the first open left.
        assert_eq!(open_with(&disk, with_reserve()).unwrap().lsns(), lsns, "seed {seed}");
    }
}
