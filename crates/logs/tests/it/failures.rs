//! What fails, fails alone: damage costs the damaged records, a panic costs the plane, and both are told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use logs::{NotDurable, Refused};
use stdx::clock::{Clock, Mono, SystemClock, Wall};
use testkit::FakeDisk;

use crate::rig::{config, folder, line, messages, open, put, stop, wait};

#[test]
fn damaged_records_are_counted_and_the_others_are_found() {
    let disk = FakeDisk::new(1);
    let logs = open(&disk, config());
    for handful in 0..30u64 {
        put(&logs, (handful * 50 + 1..=handful * 50 + 50).map(|seq| line("web.1", seq)).collect()).unwrap();
    }
    stop(&logs);
    let segment = folder().join("segments/00000000000000000001.wal");
    assert!(disk.flip_bit(&segment, 10_000, 3));

    let logs = open(&disk, config());
    let found = messages(&logs, "");
    assert_eq!(logs.stats().damaged, 1);
    assert!((1_300..1_500).contains(&found.len()), "{} of 1500", found.len());
    assert_eq!(found.last().unwrap(), "line 1500 of web.1");
    assert_eq!(logs.last_origin_seq(&crate::rig::scope(), "web.1"), Some(1500));
    put(&logs, vec![line("web.1", 1501)]).unwrap();
    assert_eq!(messages(&logs, "").len(), found.len() + 1);
}

/// The system's clock until it is told to panic on the writer's thread.
struct Bomb {
    clock: SystemClock,
    is_lit: Arc<AtomicBool>,
}

impl Clock for Bomb {
    fn mono(&self) -> Mono {
        let is_writer = std::thread::current().name() == Some("logs-writer");
        assert!(!is_writer || !self.is_lit.load(Ordering::SeqCst), "boom");
        self.clock.mono()
    }

    fn wall(&self) -> Wall {
        self.clock.wall()
    }
}

#[test]
fn a_panic_of_the_writer_fails_the_plane_and_nothing_else() {
    let is_lit = Arc::new(AtomicBool::new(false));
    let clock = Arc::new(Bomb { clock: SystemClock::new(), is_lit: Arc::clone(&is_lit) });
    let disk = FakeDisk::new(1);
    let logs = logs::start_on(disk.clone(), config(), folder(), clock).unwrap();
    put(&logs, vec![line("web.1", 1)]).unwrap();
    let mut tail = logs.query(logs::Query { follow: true, ..logs::Query::default() }).unwrap();
    assert_eq!(crate::rig::next(&mut tail).message, "line 1 of web.1");

    is_lit.store(true, Ordering::SeqCst);
    assert_eq!(put(&logs, vec![line("web.1", 2)]), Err(NotDurable::Failed));
    assert!(matches!(wait(tail.next()), Some(Err(logs::QueryError::PlaneFailed))));
    assert!(wait(tail.next()).is_none(), "the tail ends");
    stop(&logs);
    assert_eq!(logs.ingest(vec![line("web.1", 2)]).unwrap_err(), Refused::Failed);
    assert_eq!(logs.status().row().reason.unwrap(), "its writer panicked: boom");
    assert_eq!(messages(&logs, ""), ["line 1 of web.1"], "reading goes on");
    drop(logs);
    let logs = open(&disk, config());
    put(&logs, vec![line("web.1", 2)]).unwrap();
    assert_eq!(messages(&logs, "").len(), 2);
}

#[test]
fn queries_do_not_keep_the_plane_from_stopping() {
    let logs = open(&FakeDisk::new(1), config());
    put(&logs, (1..=2_000).map(|seq| line("web.1", seq)).collect()).unwrap();
    let mut waits_for_its_reader = logs.query(logs::Query::default()).unwrap();
    stop(&logs);
    drop(logs);
    let rows = wait(async {
        let mut rows = 0;
        while let Some(row) = waits_for_its_reader.next().await {
            row.unwrap();
            rows += 1;
        }
        rows
    });
    assert_eq!(rows, 2_000);
}
