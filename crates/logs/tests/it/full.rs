//! A full disk: refused visibly, read on, well again by itself.

use logs::config::Config;
use logs::{NotDurable, Refused};
use testkit::FakeDisk;

use crate::rig::{config, line, messages, open, put, stop, text};

fn until(what: &str, is: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !is() {
        assert!(start.elapsed().as_secs() < 60, "{what}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn a_disk_that_refuses_a_write() {
    let disk = FakeDisk::new(1);
    let logs = open(&disk, config());
    put(&logs, vec![line("web.1", 1)]).unwrap();
    disk.set_capacity(Some(disk.used()));
    let records = || (2..=60).map(|seq| line("web.1", seq)).collect::<Vec<_>>();
    assert_eq!(put(&logs, records()), Err(NotDurable::DiskFull));
    assert!(logs.stats().is_full);
    let row = logs.status().row();
    assert_eq!(row.state, "full");
    assert!(row.reason.unwrap().contains("its disk is full"));
    assert_eq!(logs.ingest(records()).unwrap_err(), Refused::DiskFull);
    assert!(!logs.offer(text(1, "dropped meanwhile")));
    assert_eq!(messages(&logs, "\"line 1\"").len(), 1 + 10, "reads go on");

    disk.set_capacity(None);
    until("it does not recover", || !logs.stats().is_full);
    assert_eq!(logs.status().row().state, "running");
    put(&logs, records()).unwrap();
    stop(&logs);
    let logs = open(&disk, config());
    assert_eq!(messages(&logs, "instance:web.1").len(), 60, "each once");
    assert_eq!(messages(&logs, "dropped:1"), ["dropped 1 records (disk full)"]);
}

#[test]
fn a_disk_that_has_less_left_than_is_to_be_kept_free() {
    let disk = FakeDisk::new(1);
    disk.set_capacity(Some(1 << 20));
    let logs = open(&disk, Config { disk_reserve_bytes: 2 << 20, ..config() });
    assert_eq!(put(&logs, vec![line("web.1", 1)]), Err(NotDurable::DiskFull));
    assert!(logs.stats().is_full);
    disk.set_capacity(Some(8 << 20));
    until("it does not recover", || !logs.stats().is_full);
    put(&logs, vec![line("web.1", 1), line("web.1", 2)]).unwrap();
    assert_eq!(messages(&logs, "").len(), 2);
}

#[test]
fn stopping_with_a_full_disk_ends() {
    let disk = FakeDisk::new(1);
    let logs = open(&disk, config());
    put(&logs, vec![line("web.1", 1)]).unwrap();
    disk.set_capacity(Some(disk.used()));
    assert_eq!(put(&logs, (2..=60).map(|seq| line("web.1", seq)).collect()), Err(NotDurable::DiskFull));
    stop(&logs);
    disk.set_capacity(None);
    assert_eq!(messages(&open(&disk, config()), "")[0], "line 1 of web.1");
}
