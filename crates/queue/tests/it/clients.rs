//! Clients that people have, unchanged. `FOREBAY_TEST_PYTHON` names an interpreter that has greenstalk; without it the
//! machine's own is tried.

use std::process::Command;

use crate::rig::Forebay;

#[test]
fn greenstalk_works_unchanged() {
    let python = std::env::var("FOREBAY_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let has_greenstalk = Command::new(&python).args(["-c", "import greenstalk"]).output();
    if !has_greenstalk.is_ok_and(|tried| tried.status.success()) {
        return eprintln!("skipped: {python} has no greenstalk; name one that has in FOREBAY_TEST_PYTHON");
    }
    let ours = Forebay::start();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/greenstalk_scenario.py");
    let (host, port) = (ours.addr().ip().to_string(), ours.addr().port().to_string());
    let run = Command::new(&python).args([script, &host, &port]).output().unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{said}\n{}", String::from_utf8_lossy(&run.stderr));
    assert_eq!(said.lines().count(), 5, "{said}");
}
