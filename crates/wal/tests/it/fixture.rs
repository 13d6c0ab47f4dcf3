//! Logs that released versions wrote must open for ever, and what we write today must be what they would have written.

use testkit::FakeDisk;

use crate::rig::{Log, Record, segment_path};

const SEGMENT_1: &[u8] = include_bytes!("../fixtures/v1/00000000000000000001.wal");
const SEGMENT_2: &[u8] = include_bytes!("../fixtures/v1/00000000000000000002.wal");

fn version_1() -> FakeDisk {
    let disk = FakeDisk::new(1);
    disk.place(&segment_path(1), SEGMENT_1.to_vec());
    disk.place(&segment_path(2), SEGMENT_2.to_vec());
    disk
}

#[test]
fn version_1_opens() {
    let log = Log::open(&version_1());
    let expected: [Record; 4] =
        [(1, 1, b"first".to_vec()), (2, 2, vec![]), (3, 255, vec![0x5A; 3900]), (4, 4, b"fourth".to_vec())];
    assert_eq!(log.found, expected);
    assert!(log.opened.report.is_clean() && log.opened.report.torn.is_none());
}

#[test]
fn version_1_is_written_byte_for_byte() {
    let disk = FakeDisk::new(1);
    disk.place(&segment_path(1), SEGMENT_1.to_vec());
    let mut log = Log::open(&disk);
    log.opened.writer.append(255, &[&[0x5A; 3900]]).unwrap();
    log.commit();
    log.opened.writer.append(4, &[b"fourth"]).unwrap();
    log.commit();
    assert!(disk.contents(&segment_path(2)).unwrap() == SEGMENT_2, "segment 2 differs from the fixture");
}
