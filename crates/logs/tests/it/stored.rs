//! What is put in comes out, and stays.

use bytes::Bytes;
use logs::{Body, Level, Record, Source, Stream};
use serde_json::json;
use stdx::clock::{SystemClock, Wall};
use stdx::ids::ReleaseNo;
use stdx::io::Disk;
use stdx::trace::{SpanId, TraceId};
use testkit::FakeDisk;

use crate::rig::{all, config, line, messages, open, put, scope, stop, text, wait};

fn full() -> Record {
    Record {
        process: Some("web".parse().unwrap()),
        instance: Some("web.17".into()),
        release: Some(ReleaseNo(3)),
        trace: TraceId::from_bytes([7; 16]),
        span: SpanId::from_bytes([9; 8]),
        level: Level::Notice,
        origin_seq: Some(5),
        ..Record::line(Wall(1234), scope(), Stream::Stderr, Bytes::from_static(b"{\"msg\":\"hi\",\"order\":17}"))
    }
}

#[test]
fn a_record_comes_back_whole_at_once_and_after_a_restart() {
    let disk = FakeDisk::new(1);
    let logs = open(&disk, config());
    put(&logs, vec![full(), text(2000, "plain").with("k", "v")]).unwrap();
    let before = all(&logs);
    stop(&logs);
    let logs = open(&disk, config());
    assert_eq!(all(&logs), before);

    let row = serde_json::to_value(&before[0]).unwrap();
    let expected = json!({
        "time_ns": 1234, "seq": 1, "source": "app", "app": "shop", "environment": "production", "process": "web",
        "instance": "web.17", "release": 3, "stream": "stderr", "level": "notice",
        "trace": "07070707070707070707070707070707", "span": "0909090909090909", "message": "hi", "fields": {"order": 17},
    });
    assert_eq!(row, expected);
    assert_eq!((before[1].seq, before[1].source.as_str(), &before[1].fields["k"]), (2, "node", &json!("v")));
}

#[test]
fn a_record_is_visible_before_it_is_on_disk() {
    let disk = FakeDisk::new(1);
    let logs = open(&disk, logs::config::Config { commit_interval_ms: 3_600_000, ..config() });
    assert!(logs.offer(text(1, "early")));
    while messages(&logs, "early").is_empty() {
        std::thread::yield_now();
    }
    assert_eq!(logs.stats().commits, 0);
    assert_eq!(messages(&logs, "early"), ["early"]);
    stop(&logs);
    assert_eq!(logs.stats().commits, 1);
    assert_eq!(messages(&open(&disk, config()), "early"), ["early"]);
}

#[test]
fn a_real_folder_has_one_holder_and_its_format() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("logs");
    let start = || logs::start(config(), folder.clone(), SystemClock::shared());
    let logs = start().unwrap();
    put(&logs, vec![text(1, "kept")]).unwrap();
    assert!(start().unwrap_err().to_string().contains("is in use by pid"));
    stop(&logs);
    assert_eq!(std::fs::read_to_string(folder.join("FORMAT")).unwrap(), "forebay logs 1\n");
    let logs = start().unwrap();
    assert_eq!(messages(&logs, ""), ["kept"]);
    stop(&logs);
    stdx::format::write(&Disk, &folder, "logs", 2).unwrap();
    assert!(start().unwrap_err().to_string().contains("has format 2"));
}

#[test]
fn any_bytes_are_kept_as_far_as_text_can_hold_them() {
    let logs = open(&FakeDisk::new(1), config());
    let bytes: Vec<u8> = (0..=255).collect();
    put(&logs, vec![Record::line(Wall(1), scope(), Stream::Stdout, bytes.into())]).unwrap();
    let row = &all(&logs)[0];
    let ascii: String = (0..128u8).map(char::from).collect();
    assert!(row.message.starts_with(&ascii));
    assert_eq!(row.fields["replaced_bytes"], json!(128));
}

#[test]
fn a_line_of_a_megabyte_is_cut_and_says_so() {
    let logs = open(&FakeDisk::new(1), config());
    let long = Record::line(Wall(1), scope(), Stream::Stdout, vec![b'x'; 1 << 20].into());
    let cut_before = Record { cut_from: Some(9_000_000), ..long.clone() };
    let long_text = text(2, "y".repeat(1 << 20)).with("k", "z".repeat(1 << 20));
    put(&logs, vec![long, cut_before, long_text]).unwrap();
    let rows = all(&logs);
    assert_eq!(rows[0].message, format!("{} ... (cut, 1048576 bytes)", "x".repeat(4096)));
    assert_eq!(rows[0].fields["cut_from_bytes"], json!(1 << 20));
    assert_eq!(rows[1].fields["cut_from_bytes"], json!(9_000_000));
    assert_eq!(
        rows[2].fields,
        json!({"cut_from_bytes": 1 << 20, "fields_left_out_bytes": (1 << 20) + 8}).as_object().unwrap().clone()
    );
}

#[test]
fn a_line_sent_again_is_not_stored_again_also_after_a_restart() {
    let disk = FakeDisk::new(1);
    let logs = open(&disk, config());
    put(&logs, vec![line("web.1", 1), line("web.1", 2), line("web.2", 1)]).unwrap();
    put(&logs, vec![line("web.1", 2), line("web.1", 3)]).unwrap();
    assert_eq!(logs.stats().repeated, 1);
    stop(&logs);
    let logs = open(&disk, config());
    assert_eq!(logs.last_origin_seq(&scope(), "web.1"), Some(3));
    assert_eq!(logs.last_origin_seq(&scope(), "web.3"), None);
    put(&logs, vec![line("web.1", 2), line("web.1", 3), line("web.1", 4)]).unwrap();
    assert_eq!(messages(&logs, "instance:web.1").len(), 4);
    // A ticket for nothing new is still answered.
    put(&logs, vec![line("web.1", 4)]).unwrap();
    put(&logs, vec![]).unwrap();
}

#[test]
fn equal_lines_are_all_kept() {
    let logs = open(&FakeDisk::new(1), config());
    let same = Record { source: Source::Deploy, body: Body::Line(Bytes::from_static(b"same")), ..text(1, "") };
    put(&logs, vec![same.clone(), same.clone(), same]).unwrap();
    assert_eq!(messages(&logs, "source:deploy"), ["same", "same", "same"]);
}

#[test]
fn the_plane_stops_when_nobody_holds_it() {
    let disk = FakeDisk::new(1);
    let logs = open(&disk, config());
    let ticket = logs.ingest(vec![text(1, "last words")]).unwrap();
    drop(logs);
    ticket.durable_blocking().unwrap();
    let logs = open(&disk, config());
    assert_eq!(messages(&logs, ""), ["last words"]);
    wait(logs.stop());
    assert_eq!(logs.ingest(vec![text(1, "too late")]).unwrap_err(), logs::Refused::Stopped);
    assert!(!logs.offer(text(1, "too late")));
    assert_eq!(logs.status().row().state, "stopped");
}
