//! A start reads the end of the log and knows the rest from its checkpoint.

use std::path::PathBuf;

use testkit::FakeDisk;

use crate::rig::{all, config, folder, line, open, put, scope, stop, text};

/// Several segments of records, and two instances in the oldest.
fn full(disk: &FakeDisk) {
    let logs = open(disk, config());
    put(&logs, vec![line("web.1", 7), line("web.2", 8)]).unwrap();
    for n in 0..100 {
        put(&logs, (0..20).map(|m| text(1_000 + n * 20 + m, "x".repeat(100))).collect()).unwrap();
    }
    stop(&logs);
}

fn checkpoint() -> PathBuf {
    folder().join("checkpoint")
}

fn first_segment(disk: &FakeDisk) -> PathBuf {
    disk.paths().into_iter().find(|path| path.extension().is_some_and(|kind| kind == "wal")).unwrap()
}

#[test]
fn it_comes_to_the_same_as_one_from_the_log_alone() {
    let disk = FakeDisk::new(1);
    full(&disk);
    let mut found = Vec::new();
    for has_checkpoint in [true, false] {
        let copy = FakeDisk::new(2);
        for path in disk.paths() {
            if has_checkpoint || path != checkpoint() {
                copy.place(&path, disk.contents(&path).unwrap());
            }
        }
        assert_eq!(copy.contents(&checkpoint()).is_some(), has_checkpoint);
        let logs = open(&copy, config());
        put(&logs, vec![line("web.1", 7), line("web.1", 8), text(9_000, "one more")]).unwrap();
        let origins = ["web.1", "web.2"].map(|instance| logs.last_origin_seq(&scope(), instance));
        assert_eq!(origins, [Some(8), Some(8)]);
        found.push((all(&logs), logs.stats().oldest, logs.stats().repeated));
        stop(&logs);
    }
    assert_eq!(found[0], found[1]);
    assert_eq!((found[0].0.len(), found[0].2), (2004, 1));
}

#[test]
fn it_does_not_read_what_it_knows() {
    let disk = FakeDisk::new(1);
    full(&disk);
    let rows = all(&open(&disk, config()));
    disk.flip_bit(&first_segment(&disk), 9_000, 1);
    let logs = open(&disk, config());
    assert_eq!(logs.stats().damaged, 0, "nobody has looked there");
    assert_eq!(all(&logs).last(), rows.last());
    assert_eq!(all(&logs).last(), rows.last());
    assert_eq!(logs.stats().damaged, 1, "somebody has, and it is counted once");
    stop(&logs);
    // A damaged checkpoint is as good as none.
    disk.flip_bit(&checkpoint(), 40, 1);
    let logs = open(&disk, config());
    assert_eq!(logs.stats().damaged, 1);
    assert_eq!(all(&logs).last(), rows.last());
    stop(&logs);
}

#[test]
fn a_checkpoint_of_another_log_is_not_believed() {
    let (disk, other) = (FakeDisk::new(1), FakeDisk::new(2));
    full(&disk);
    let logs = open(&other, config());
    put(&logs, vec![text(1, "the only one")]).unwrap();
    stop(&logs);
    other.place(&checkpoint(), disk.contents(&checkpoint()).unwrap());
    let logs = open(&other, config());
    assert_eq!(all(&logs).len(), 1);
    assert_eq!(logs.last_origin_seq(&scope(), "web.1"), None);
    stop(&logs);
}
