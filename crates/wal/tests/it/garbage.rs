//! Files that nobody wrote: no panic, no great allocation, an answer.

use proptest::prelude::*;
use testkit::FakeDisk;

use crate::rig::{Log, payloads, segment_path, try_open};

/// The bytes of a healthy segment, the same for all cases.
fn healthy() -> (FakeDisk, Vec<u8>) {
    let disk = FakeDisk::new(1);
    Log::open(&disk).add(&payloads(30));
    let bytes = disk.contents(&segment_path(1)).unwrap();
    (disk, bytes)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn any_bytes_under_any_segment_name(files in prop::collection::btree_map(0u64.., prop::collection::vec(any::<u8>(), 0..9000), 0..4)) {
        let disk = FakeDisk::new(1);
        for (number, bytes) in &files {
            disk.place(&segment_path(*number), bytes.clone());
        }
        if let Ok(log) = try_open(&disk) {
            prop_assert_eq!(log.found, vec![]);
        }
    }

    #[test]
    fn any_bytes_behind_a_good_header(tail in prop::collection::vec(any::<u8>(), 0..6000), keep in 4160usize..8000) {
        let (disk, mut bytes) = healthy();
        bytes.truncate(keep);
        bytes.extend(tail);
        disk.place(&segment_path(1), bytes);
        let log = try_open(&disk).unwrap();
        for (lsn, _, payload) in &log.found {
            prop_assert_eq!(payload, &payloads(30)[*lsn as usize - 1]);
        }
    }

    #[test]
    fn pieces_of_a_segment_in_any_order(pieces in prop::collection::vec((0usize..8000, 1usize..3000), 1..8)) {
        let (disk, bytes) = healthy();
        let mut mixed = bytes[..4160].to_vec();
        for (from, len) in pieces {
            let from = from.min(bytes.len());
            mixed.extend_from_slice(&bytes[from..(from + len).min(bytes.len())]);
        }
        disk.place(&segment_path(1), mixed);
        let log = try_open(&disk).unwrap();
        for (lsn, _, payload) in &log.found {
            prop_assert_eq!(payload, &payloads(30)[*lsn as usize - 1]);
        }
    }
}

#[test]
fn a_file_that_is_longer_than_a_segment_can_be_is_not_read_into_memory_at_once() {
    let (disk, bytes) = healthy();
    let mut long = bytes.clone();
    long.resize(40 << 20, 0xFB);
    disk.place(&segment_path(1), long);
    let log = Log::open(&disk);
    assert!(!log.found.is_empty());
}
