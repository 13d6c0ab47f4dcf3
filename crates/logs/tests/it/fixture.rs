//! Folders that released versions wrote must open for ever.

use std::fs;
use std::path::Path;

use stdx::clock::SystemClock;
use stdx::ids::Scope;

use crate::rig::{all, config, stop};

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn format_1_opens_and_its_rows_are_what_they_were() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1");
    let dir = tempfile::tempdir().unwrap();
    copy(&fixtures.join("logs"), dir.path());
    let logs = logs::start(config(), dir.path().to_path_buf(), SystemClock::shared()).unwrap();
    let expected = fs::read_to_string(fixtures.join("rows.ndjson")).unwrap();
    let rows: Vec<String> = all(&logs).iter().map(|row| serde_json::to_string(row).unwrap()).collect();
    assert_eq!(rows, expected.lines().collect::<Vec<_>>());
    let shop: Scope = "shop".parse().unwrap();
    assert_eq!(logs.last_origin_seq(&shop, "web.17"), Some(5));
    stop(&logs);
}
