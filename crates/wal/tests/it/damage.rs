//! Bytes that are not what was written: found, told, and kept from spoiling the rest.

use std::ops::ControlFlow;

use stdx::io::Io;
use stdx::rng::Rng;
use testkit::FakeDisk;
use wal::{Damage, DamageKind, Lsn, LsnRange, OpenError, ReadError, Report};

use crate::rig::{FOLDER, Log, config, open_with, payloads, segment_path, try_open};

fn range(first: u64, last: u64) -> LsnRange {
    LsnRange { first: Lsn(first), last: Lsn(last) }
}

/// A hundred records in some segments, all durable.
fn hundred() -> (FakeDisk, Vec<wal::Position>) {
    let disk = FakeDisk::new(1);
    let positions = Log::open(&disk).add(&payloads(100));
    assert!(positions[99].segment >= 4);
    (disk, positions)
}

/// The LSNs from 1 to 100 without those in `lost`.
fn all_but(lost: &[LsnRange]) -> Vec<u64> {
    (1..=100).filter(|lsn| !lost.iter().any(|range| (range.first.0..=range.last.0).contains(lsn))).collect()
}

#[test]
fn a_flipped_body_costs_its_record_and_no_other() {
    let (disk, positions) = hundred();
    assert!(disk.flip_bit(&segment_path(positions[9].segment), positions[9].offset as usize + 50, 3));
    let log = Log::open(&disk);
    assert_eq!(log.opened.report.damage.len(), 1);
    let damage = &log.opened.report.damage[0];
    assert_eq!((damage.segment, damage.what, &damage.lost[..]), (1, DamageKind::Batches, &[range(10, 10)][..]));
    assert!((damage.from..damage.to).contains(&positions[9].offset));
    assert_eq!(log.lsns(), all_but(&[range(10, 10)]));
    assert_eq!(
        damage.to_string(),
        format!("segment 1, bytes {}-{}: records are damaged; lost LSN 10", damage.from, damage.to)
    );

    let mut bytes = Vec::new();
    let read = |at, into: &mut Vec<u8>| log.opened.reader.read(at, into);
    assert!(matches!(read(positions[9], &mut bytes), Err(ReadError::Damaged { at }) if at == positions[9]));
    assert_eq!(read(positions[10], &mut bytes).unwrap(), 1);
    assert_eq!(bytes, payloads(100)[10]);
}

#[test]
fn a_scan_goes_on_after_damage_and_tells_it() {
    let (disk, positions) = hundred();
    let log = Log::open(&disk);
    disk.flip_bit(&segment_path(1), positions[9].offset as usize, 0);
    let mut found = Vec::new();
    let damage = log.opened.reader.scan_segment(1, &mut |record| {
        found.push(record.lsn.0);
        ControlFlow::Continue(())
    });
    assert_eq!(damage.unwrap()[0].lost, [range(10, 10)]);
    let in_segment = positions.iter().filter(|position| position.segment == 1).count() as u64;
    assert_eq!(found, (1..=in_segment).filter(|lsn| *lsn != 10).collect::<Vec<_>>());
}

#[test]
fn a_missing_segment_is_told_and_the_rest_delivered() {
    let (disk, positions) = hundred();
    disk.unlink(&segment_path(2)).unwrap();
    let log = Log::open(&disk);
    let of = |segment| {
        let lsns = (1..=100).filter(|lsn| positions[*lsn as usize - 1].segment == segment);
        range(lsns.clone().min().unwrap(), lsns.max().unwrap())
    };
    let missing = Damage { segment: 2, what: DamageKind::Missing { last: 2 }, from: 0, to: 0, lost: vec![of(2)] };
    assert_eq!(log.opened.report.damage, [missing]);
    assert_eq!(log.lsns(), all_but(&[of(2)]));
}

#[test]
fn the_first_segment_is_missed_too() {
    let (disk, positions) = hundred();
    disk.unlink(&segment_path(1)).unwrap();
    let log = Log::open(&disk);
    let last = positions.iter().filter(|position| position.segment == 1).count() as u64;
    assert_eq!(log.opened.report.damage[0].lost, [range(1, last)]);
    assert_eq!(log.opened.report.damage[0].what, DamageKind::Missing { last: 1 });
}

#[test]
fn a_segment_cut_short_is_told() {
    let (disk, positions) = hundred();
    let mut bytes = disk.contents(&segment_path(1)).unwrap();
    bytes.truncate(bytes.len() - 600);
    disk.place(&segment_path(1), bytes);
    let log = Log::open(&disk);
    let last = positions.iter().filter(|position| position.segment == 1).count() as u64;
    let lost: Vec<LsnRange> = log.opened.report.damage.iter().flat_map(|damage| damage.lost.clone()).collect();
    assert_eq!(lost.last().unwrap().last, Lsn(last));
    assert_eq!(log.lsns(), all_but(&lost));
}

#[test]
fn one_copy_of_a_header_is_enough_and_the_loss_of_it_is_told() {
    for at in [20, 4096 + 20] {
        let (disk, _) = hundred();
        disk.flip_bit(&segment_path(2), at, 1);
        let log = Log::open(&disk);
        assert_eq!(log.opened.report.damage.len(), 1);
        assert_eq!(log.opened.report.damage[0].what, DamageKind::Header);
        assert_eq!(log.lsns(), all_but(&[]));
    }
}

#[test]
fn a_segment_without_a_header_gives_its_records_all_the_same() {
    let (disk, _) = hundred();
    for at in [20, 4096 + 20] {
        disk.flip_bit(&segment_path(2), at, 1);
    }
    let log = Log::open(&disk);
    assert_eq!(log.opened.report.damage.len(), 1);
    assert_eq!(log.lsns(), all_but(&[]));
}

#[test]
fn no_readable_header_at_all_is_an_error_and_not_an_empty_log() {
    let disk = FakeDisk::new(1);
    Log::open(&disk).add(&payloads(3));
    for at in [20, 4096 + 20] {
        disk.flip_bit(&segment_path(1), at, 1);
    }
    let e = try_open(&disk).map(|_| ()).unwrap_err();
    assert!(matches!(e, OpenError::Unreadable { .. }), "{e}");
}

#[test]
fn a_newer_format_is_named_and_left_alone() {
    let disk = FakeDisk::new(1);
    Log::open(&disk).add(&payloads(3));
    let mut bytes = disk.contents(&segment_path(1)).unwrap();
    bytes[8] = 2;
    let crc = crc32c::crc32c(&bytes[..60]);
    bytes[60..64].copy_from_slice(&crc.to_le_bytes());
    disk.place(&segment_path(1), bytes.clone());
    let e = try_open(&disk).map(|_| ()).unwrap_err();
    assert_eq!(
        e.to_string(),
        "/data/wal/00000000000000000001.wal has log format 2, this Forebay reads up to 1; start the Forebay that wrote it"
    );
    assert_eq!(disk.contents(&segment_path(1)).unwrap(), bytes);
}

#[test]
fn a_segment_of_another_log_is_an_error() {
    let (disk, _) = hundred();
    let (other, _) = hundred();
    disk.place(&segment_path(9), other.contents(&segment_path(1)).unwrap());
    let e = try_open(&disk).map(|_| ());
    assert!(e.is_ok(), "its number is not its name's, so it is only a damaged file");
    disk.place(&segment_path(3), other.contents(&segment_path(3)).unwrap());
    let e = try_open(&disk).map(|_| ()).unwrap_err();
    assert!(matches!(e, OpenError::Foreign { .. }), "{e}");
}

#[test]
fn what_was_cut_and_came_back_is_no_damage() {
    let (disk, _) = hundred();
    let mut bytes = disk.contents(&segment_path(1)).unwrap();
    bytes.extend_from_slice(&[0xAB; 300]);
    disk.place(&segment_path(1), bytes);
    let log = Log::open(&disk);
    assert_eq!(log.opened.report.damage, []);
    assert_eq!(log.lsns(), all_but(&[]));
}

#[test]
fn a_torn_end_is_cut_and_told_and_written_over() {
    let disk = FakeDisk::new(1);
    let mut log = Log::open(&disk);
    log.add(&payloads(3));
    let whole = disk.contents(&segment_path(1)).unwrap();
    log.add(&payloads(1));
    let mut torn = disk.contents(&segment_path(1)).unwrap();
    torn[whole.len() + 60] ^= 1;
    disk.place(&segment_path(1), torn.clone());

    let log = Log::open(&disk);
    assert!(log.opened.report.is_clean());
    let cut = log.opened.report.torn.unwrap();
    assert_eq!((cut.segment, cut.offset as usize), (1, whole.len()));
    assert_eq!(cut.bytes as usize, torn.len() - whole.len());
    assert_eq!(disk.contents(&segment_path(1)).unwrap(), whole);

    let mut log = Log::open(&disk);
    assert_eq!((log.lsns(), log.opened.report.torn), (vec![1, 2, 3], None));
    log.add(&payloads(2));
    assert_eq!(Log::open(&disk).lsns(), [1, 2, 3, 4, 5]);
}

#[test]
fn a_log_inside_a_payload_is_only_a_payload() {
    let disk = FakeDisk::new(1);
    let mut log = Log::open(&disk);
    log.add(&payloads(3));
    let copy = disk.contents(&segment_path(1)).unwrap()[4160..].to_vec();
    log.add(std::slice::from_ref(&copy));
    let mut torn = disk.contents(&segment_path(1)).unwrap();
    let end = torn.len() - copy.len() - 20;
    torn[end] ^= 1;
    disk.place(&segment_path(1), torn);
    let log = Log::open(&disk);
    assert_eq!((log.lsns(), log.opened.report.is_clean()), (vec![1, 2, 3], true));
}

#[test]
fn a_damaged_segment_takes_no_more_records_and_its_file_is_kept() {
    let disk = FakeDisk::new(1);
    let positions = Log::open(&disk).add(&payloads(10));
    disk.flip_bit(&segment_path(1), positions[2].offset as usize, 0);
    let mut log = Log::open(&disk);
    assert_eq!(log.add(&payloads(1))[0].segment, 2);
    let again = Log::open(&disk);
    assert_eq!(again.opened.report.damage, log.opened.report.damage, "told again as long as it is there");
    assert_eq!(again.lsns(), [1, 2, 4, 5, 6, 7, 8, 9, 10, 11]);

    let mut log = again;
    log.opened.writer.remove_segments_below(2);
    log.commit();
    log.opened.committer.clean_up().unwrap();
    let names = disk.list(FOLDER.as_ref()).unwrap();
    assert_eq!(names, ["00000000000000000001.wal.damaged", "00000000000000000002.wal"]);
    let log = Log::open(&disk);
    assert_eq!((log.lsns(), log.opened.report.is_clean()), (vec![11], true));
}

#[test]
fn a_bad_sector_costs_the_records_in_its_block() {
    let disk = FakeDisk::new(1);
    let config = wal::Config { segment_bytes_max: 64 << 10, ..config() };
    let positions = open_with(&disk, config.clone()).unwrap().add(&payloads(300));
    assert!(disk.break_sector(&segment_path(1), positions[100].offset as usize));
    let mut log = open_with(&disk, config.clone()).unwrap();
    let lost: Vec<LsnRange> = log.opened.report.damage.iter().flat_map(|damage| damage.lost.clone()).collect();
    assert!(lost.iter().any(|range| range.first <= Lsn(101) && range.last >= Lsn(101)), "{lost:?}");
    let delivered = log.lsns();
    assert!(delivered.len() > 240, "a block holds 35 records: {lost:?}");
    assert_eq!(delivered.last(), Some(&300));
    let new = log.add(&payloads(1))[0];
    assert_eq!(new.segment, 2);
    assert_eq!(open_with(&disk, config).unwrap().opened.report.damage, log.opened.report.damage);
}

#[test]
fn an_end_that_cannot_be_read_is_not_cut() {
    let disk = FakeDisk::new(1);
    let positions = Log::open(&disk).add(&payloads(20));
    let before = disk.contents(&segment_path(1));
    assert!(disk.break_sector(&segment_path(1), positions[19].offset as usize + 50));
    let mut log = Log::open(&disk);
    assert_eq!(log.opened.report.torn, None);
    assert_eq!(log.opened.report.damage.len(), 1);
    assert_eq!(disk.contents(&segment_path(1)), before);
    log.add(&payloads(1));
    assert_eq!(Log::open(&disk).opened.report.damage.len(), 1, "told again");
}

#[test]
fn a_device_that_reads_nothing_is_no_damaged_log() {
    let disk = FakeDisk::new(1);
    Log::open(&disk).add(&payloads(20));
    for sector in 0..20 {
        disk.break_sector(&segment_path(1), sector * 512);
    }
    let e = try_open(&disk).map(|_| ()).unwrap_err();
    assert!(matches!(e, OpenError::Disk(_)), "{e}");
}

/// Whatever one does to one place of the files: what is delivered is right, what is not delivered is told, and a second
/// open says the same. The end of the newest segment is the exception: nothing tells a last batch that was harmed from a
/// torn one, or a file cut between two batches from one that ends there.
#[test]
fn any_single_damage_is_contained() {
    for seed in 0..3000 {
        let mut rng = Rng::with_seed(seed);
        let disk = FakeDisk::new(seed);
        let count = rng.usize(5..60);
        let mut log = open_with(&disk, wal::Config { batch_bytes_max: rng.usize(150..2000), ..config() }).unwrap();
        let payloads = payloads(count);
        log.add(&payloads);
        let newest = log.opened.writer.segment();
        drop(log);
        let harmed = harm(&disk, &mut rng, newest);
        let (first, again) = (try_open(&disk), try_open(&disk));
        let (Ok(first), Ok(mut again)) = (first, again) else {
            assert_eq!(newest, 1, "seed {seed}: only a log of one segment can lose all its headers");
            continue;
        };
        for (lsn, _, payload) in &first.found {
            assert_eq!(payload, &payloads[*lsn as usize - 1], "seed {seed}");
        }
        let report = &first.opened.report;
        let delivered = first.lsns();
        for lsn in (1..=count as u64).filter(|lsn| !delivered.contains(lsn)) {
            assert!(
                is_told(report, lsn) || (harmed == newest && lsn > report.last_lsn.0),
                "seed {seed}: {lsn} is missed in silence: {report:?}"
            );
        }
        assert_eq!(first.found, again.found, "seed {seed}");
        let before = again.lsns();
        let next = again.opened.writer.next_lsn().0;
        again.add(&payloads[..1]);
        assert_eq!(Log::open(&disk).lsns(), [&before[..], &[next]].concat(), "seed {seed}");
    }
}

/// Harms a segment and says which.
fn harm(disk: &FakeDisk, rng: &mut Rng, newest: u64) -> u64 {
    let harmed = rng.u64(1..=newest);
    let path = segment_path(harmed);
    let mut bytes = disk.contents(&path).unwrap();
    let at = rng.usize(0..bytes.len());
    let end = (at + rng.usize(1..700)).min(bytes.len());
    match rng.u8(0..6) {
        0 => bytes[at] ^= 1 << rng.u8(0..8),
        1 => bytes[at..end].fill(0),
        2 => rng.fill(&mut bytes[at..end]),
        3 => bytes.truncate(at),
        4 => bytes.extend(vec![7; end - at]),
        _ => bytes[at..end].rotate_left(1),
    }
    disk.place(&path, bytes);
    harmed
}

fn is_told(report: &Report, lsn: u64) -> bool {
    let mut lost = report.damage.iter().flat_map(|damage| &damage.lost);
    lost.any(|range| (range.first.0..=range.last.0).contains(&lsn))
}
