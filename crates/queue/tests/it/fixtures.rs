//! Folders that released formats wrote are read for ever (one version back; today there is only the first).

use std::path::Path;

use crate::rig::{Client, block_on, config, start_in};

/// Written by the first format: a ready job with a trace, a delayed, a buried and a once reserved one, a deleted one, and
/// a paused tube.
#[test]
fn format_1_is_read() {
    let folder = tempfile::tempdir().unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1"), &folder.path().join("queue"));
    let handle = start_in(folder.path(), config()).unwrap();
    let mut client = Client::connect(handle.bound()[0]);
    assert_eq!(client.ask_all("peek 1"), "FOUND 1 5\nready");
    let trace = "TRACE 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    assert_eq!(client.ask("job-trace 1"), trace);
    assert_eq!(client.stat("stats-job 2", "state"), "delayed");
    assert_eq!(client.stat("stats-job 3", "state"), "buried");
    assert_eq!(client.stat("stats-job 3", "pri"), "9");
    assert_eq!(client.stat("stats-job 4", "reserves"), "1");
    assert_eq!(client.stat("stats-job 4", "releases"), "1");
    assert_eq!(client.ask("peek 5"), "NOT_FOUND");
    assert_eq!(client.stat("stats-tube default", "pause"), "4000000000");
    assert_eq!(client.put("0 0 60", "next"), 6);
    block_on(handle.stop());
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}
