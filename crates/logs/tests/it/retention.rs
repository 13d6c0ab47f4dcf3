//! The oldest goes first, and the rest is found as before.

use logs::config::Config;
use testkit::FakeDisk;

use crate::rig::{all, config, line, open, put, scope, stop, text};

#[test]
fn the_oldest_segments_go_and_the_newest_records_stay() {
    let disk = FakeDisk::new(1);
    let config = Config { retention_bytes: 100 << 10, ..config() };
    let logs = open(&disk, config.clone());
    put(&logs, vec![line("web.1", 1)]).unwrap();
    for n in 0..200 {
        put(&logs, (0..20).map(|m| text(1_000 + n * 20 + m, "x".repeat(100))).collect()).unwrap();
    }
    let stats = logs.stats();
    // One batch may stand between a segment's end and the next look.
    assert!(stats.disk_bytes <= (100 << 10) + (32 << 10) + (16 << 10), "{} bytes", stats.disk_bytes);
    assert!(stats.segments >= 3);
    assert_eq!(logs.last_origin_seq(&scope(), "web.1"), None, "nothing is left of it");

    let rows = all(&logs);
    assert_eq!(rows.last().unwrap().seq, 4001);
    assert!(rows.windows(2).all(|pair| pair[0].seq + 1 == pair[1].seq));
    assert_eq!(stats.oldest.map(|oldest| oldest.0), Some(rows[0].time_ns));
    stop(&logs);
    let again = all(&open(&disk, config));
    // Segments that were about to go are gone after a restart at the latest.
    assert_eq!(again.last(), rows.last());
    assert!(disk.used() <= 160 << 10, "{} bytes on disk", disk.used());
}
