//! Copies of a running queue, and queues from copies.

use queue::backup::{restore, verify};
use queue::config::Config;

use crate::rig::{Forebay, block_on, config, start_in};

fn churned() -> Forebay {
    let ours = Forebay::start_with(Config { segment_bytes_max: 8_192, job_bytes_max: 1_000, ..config() });
    let mut client = ours.connect();
    for n in 0..300 {
        client.ask("use mail");
        let id = client.put("0 0 60", &format!("{n}{}", "x".repeat(200)));
        if n % 3 == 0 {
            assert_eq!(client.ask(&format!("delete {id}")), "DELETED");
        }
    }
    ours
}

#[test]
fn a_copy_of_a_running_queue_is_whole_and_becomes_one() {
    let ours = churned();
    let copy = ours.folder.path().join("copy");
    let handle = ours.handle.clone();
    let target = copy.clone();
    let writer = std::thread::spawn({
        let mut client = ours.connect();
        move || (0..200).map(|n| client.put("0 0 60", &format!("later {n}"))).last()
    });
    let copied = block_on(handle.snapshot(target)).unwrap();
    writer.join().unwrap();
    assert!(copied.segments > 2, "{copied:?}");
    let verified = verify(&copy).unwrap();
    assert!(verified.jobs >= 200 && verified.damage.is_empty(), "{verified:?}");

    let fresh = tempfile::tempdir().unwrap();
    let restored = restore(&copy, &fresh.path().join("queue")).unwrap();
    assert_eq!((restored.jobs, restored.bytes), (verified.jobs, verified.bytes));
    let handle = start_in(fresh.path(), config()).unwrap();
    let rows = block_on(handle.rows()).unwrap();
    let mail = rows.iter().find(|row| row.tube == "mail").unwrap();
    assert_eq!((mail.ready, mail.deleted), (200, 100));
    assert!(handle.recovery().is_clean());
}

#[test]
fn a_copy_goes_nowhere_where_something_is() {
    let ours = Forebay::start();
    let folder = ours.folder.path().join("full");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("photo.jpg"), "x").unwrap();
    assert_eq!(block_on(ours.handle.snapshot(folder)).unwrap_err().code, "folder_not_empty");
    assert_eq!(block_on(ours.handle.snapshot("copy".into())).unwrap_err().code, "path_relative");
    let copy = ours.folder.path().join("copy");
    block_on(ours.handle.snapshot(copy.clone())).unwrap();
    let running = restore(&copy, &ours.folder.path().join("queue")).unwrap_err();
    assert_eq!(control::error::ApiError::from(running).code, "folder_in_use");
    block_on(ours.handle.stop());
    let full = restore(&copy, &ours.folder.path().join("queue")).unwrap_err();
    assert_eq!(control::error::ApiError::from(full).code, "folder_not_empty");
}

#[test]
fn damage_is_found_and_a_damaged_copy_is_not_restored() {
    let ours = churned();
    let copy = ours.folder.path().join("copy");
    block_on(ours.handle.snapshot(copy.clone())).unwrap();
    let mut segments: Vec<_> =
        std::fs::read_dir(copy.join("log")).unwrap().map(|entry| entry.unwrap().path()).collect();
    segments.sort();
    let mut bytes = std::fs::read(&segments[1]).unwrap();
    // In the last batch; the first 4 KiB beside the header are nobody's.
    let at = bytes.len() - 40;
    bytes[at] ^= 0x40;
    std::fs::write(&segments[1], &bytes).unwrap();
    let before = std::fs::read(&segments[1]).unwrap();
    let verified = verify(&copy).unwrap();
    assert!(!verified.damage.is_empty(), "{verified:?}");
    assert_eq!(std::fs::read(&segments[1]).unwrap(), before, "looking changes nothing");
    let fresh = tempfile::tempdir().unwrap();
    let refused = restore(&copy, &fresh.path().join("queue")).unwrap_err();
    assert_eq!(control::error::ApiError::from(refused).code, "queue_log_damaged");
    assert!(!fresh.path().join("queue").exists());
    assert_eq!(control::error::ApiError::from(verify(fresh.path()).unwrap_err()).code, "format_malformed");
}
