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
