//! Disks that fail, fill up and are slow, under a running server.

use std::path::Path;
use std::time::{Duration, Instant};

use queue::Handle;
use queue::config::Config;
use stdx::io::Disk;
use testkit::{Call, FakeDisk, SlowDisk};

use crate::rig::{Client, PATIENCE, block_on, config, deps};

fn start(disk: &FakeDisk, folder: &Path, config: Config) -> Handle {
    queue::start_on(disk.clone(), config, folder.to_path_buf(), deps()).unwrap()
}

fn connect(handle: &Handle) -> Client {
    Client::connect(handle.bound()[0])
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged_and_the_status_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FakeDisk::new(1);
    let handle = start(&disk, folder.path(), config());
    let (mut client, mut waiting) = (connect(&handle), connect(&handle));
    let kept = client.put("0 1000 60", "kept");
    waiting.say("reserve");
    while client.stat("stats", "current-waiting") != "1" {}

    disk.fail(Call::Sync, 1);
    assert_eq!(client.ask("put 0 0 60 1\r\nx"), "INTERNAL_ERROR");
    assert_eq!(client.ask(&format!("delete {kept}")), "INTERNAL_ERROR");
    assert_eq!(client.ask("stats"), "INTERNAL_ERROR");
    assert_eq!(waiting.hear(), "INTERNAL_ERROR");
    assert_eq!(connect(&handle).ask("put 0 0 60 1\r\nx"), "INTERNAL_ERROR");
    let row = handle.status().row();
    assert_eq!(row.state, "failed");
    assert!(row.reason.as_ref().unwrap().contains("cannot sync"), "{row:?}");
    block_on(handle.stop());

    disk.power_cut();
    let handle = start(&disk, folder.path(), config());
    assert_eq!(connect(&handle).ask_all(&format!("peek {kept}")), format!("FOUND {kept} 4\nkept"));
    block_on(handle.stop());
}

#[test]
fn on_a_disk_with_little_left_puts_are_refused_and_deletes_work() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FakeDisk::new(2);
    let handle = start(&disk, folder.path(), config());
    let id = connect(&handle).put("0 0 60", "x");
    block_on(handle.stop());

    disk.set_capacity(Some(disk.used() + (512 << 10)));
    let handle = start(&disk, folder.path(), Config { disk_reserve_bytes: 1 << 20, ..config() });
    let mut client = connect(&handle);
    while client.ask("put 0 0 60 1\r\ny") != "OUT_OF_MEMORY" {}
    assert_eq!(client.ask_all("reserve"), format!("RESERVED {id} 1\nx"));
    assert_eq!(client.ask(&format!("delete {id}")), "DELETED");
    block_on(handle.stop());
}

#[test]
fn on_a_full_disk_an_answer_waits_for_space() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FakeDisk::new(3);
    let handle = start(&disk, folder.path(), config());
    let mut client = connect(&handle);
    client.put("0 0 60", "x");
    disk.set_capacity(Some(disk.used()));
    let body = "b".repeat(20_000);
    client.say(&format!("put 0 0 60 20000\r\n{body}"));
    // Once the plane knows, it takes no more; a put that comes before waits like the first.
    let mut waiting = Vec::new();
    loop {
        let mut other = connect(&handle);
        other.say("put 0 0 60 1\r\ny");
        other.set_patience(Duration::from_millis(50));
        match other.try_hear() {
            Some(answer) => break assert_eq!(answer, "OUT_OF_MEMORY"),
            None => waiting.push(other),
        }
    }
    disk.set_capacity(None);
    assert_eq!(client.hear(), "INSERTED 2");
    for (number, mut other) in (3..).zip(waiting) {
        other.set_patience(PATIENCE);
        assert_eq!(other.hear(), format!("INSERTED {number}"));
    }
    assert_eq!(connect(&handle).ask_all("peek 2"), format!("FOUND 2 20000\n{body}"));
    block_on(handle.stop());
}

#[test]
fn one_sync_carries_the_puts_of_many_connections() {
    let folder = tempfile::tempdir().unwrap();
    let disk = SlowDisk::new(Disk, 100);
    let handle = queue::start_on(disk, config(), folder.path().to_path_buf(), deps()).unwrap();
    let mut clients: Vec<Client> = (0..64).map(|_| connect(&handle)).collect();
    let begun = Instant::now();
    for _ in 0..10 {
        for client in &mut clients {
            client.say("put 0 0 60 1\r\nx");
        }
        for client in &mut clients {
            assert!(client.hear().starts_with("INSERTED "));
        }
    }
    // 640 puts, one sync each, would take 6.4 seconds at 100 syncs a second.
    assert!(begun.elapsed().as_secs_f64() < 3.0, "{:?}", begun.elapsed());
    block_on(handle.stop());
}
