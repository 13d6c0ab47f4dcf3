//! Secrets from outside: where they can be read, and where not.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::rig::{Home, Node, Ran, eventually};

const FIRST: &str = "first-9f31c7a2";
const SECOND: &str = "second-77e0b1d4";

fn set(home: &Home, key: &str, value: &str) -> Ran {
    let mut command = home.command();
    let mut child = command
        .args(["secrets", "set", "vault", key])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(value.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Says a checksum of what it reads, never the value: the log is part of DATA.
fn app(home: &Home, secrets_env: &str) -> PathBuf {
    let manifest = format!(
        "schema = 1\napp = \"vault\"\nsecrets = [\"KEY\"]\n[processes.worker]\ncommand = \"sh show.sh\"\n{secrets_env}\n"
    );
    home.write("vault/forebay.toml", &manifest);
    let show = "echo file $(md5sum < $FOREBAY_SECRETS/KEY) env $(printf %s \"$KEY\" | md5sum)\nexec sleep 1000\n";
    home.write("vault/show.sh", show).parent().unwrap().into()
}

fn deploy(home: &Home, folder: &Path) -> Ran {
    home.forebay(&["deploy".as_ref(), folder.as_os_str()])
}

fn md5(value: &str) -> String {
    let mut child = std::process::Command::new("md5sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(value.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()[..32].to_string()
}

/// What the newest instance has shown: the checksum of the file and that of the variable.
fn shown(node: &Node) -> (String, String) {
    let worker = node.ready("worker", 1).remove(0);
    let line = eventually("it shows what it has read", || {
        let rows = node.lines(&["logs", "--app", "vault", "file"]);
        let of_it = |row: &&serde_json::Value| row["instance"] == worker.name.as_str();
        rows.iter().find(of_it).and_then(|row| row["message"].as_str().map(String::from))
    });
    let words: Vec<&str> = line.split_whitespace().collect();
    (words[1].into(), words[4].into())
}

#[test]
fn a_secret_is_a_file_and_only_where_asked_for_a_variable() {
    let node = Node::start();
    let folder = app(&node.home, "");
    deploy(&node.home, &folder).failed(2, "secret_missing").says(&["KEY", "forebay secrets set vault KEY"]);
    assert_eq!(node.instances("worker"), [], "nothing was started");

    set(&node.home, "KEY", FIRST).ok();
    deploy(&node.home, &folder).ok();
    assert_eq!(shown(&node), (md5(FIRST), md5("")));
    let listed = node.home.forebay(&["secrets", "ls", "vault", "--json"]).ok().stdout;
    assert!(listed.contains("KEY") && !listed.contains(FIRST), "{listed}");
    assert_nowhere(&node, FIRST);

    app(&node.home, "secrets_env = [\"KEY\"]");
    set(&node.home, "KEY", SECOND).ok();
    deploy(&node.home, &folder).ok();
    assert_eq!(shown(&node), (md5(SECOND), md5(SECOND)));
    let pid = node.instances("worker")[0].pid;
    assert!(contains(&fs::read(format!("/proc/{pid}/environ")).unwrap(), SECOND), "as it asked");

    node.home.forebay(&["rollback", "vault"]).ok();
    assert_eq!(shown(&node), (md5(FIRST), md5("")), "content, configuration and secret of the first release");
    assert_nowhere(&node, SECOND);
}

#[test]
fn a_lost_key_is_named_and_what_runs_runs_on() {
    let mut node = Node::start();
    let folder = app(&node.home, "");
    set(&node.home, "KEY", FIRST).ok();
    deploy(&node.home, &folder).ok();
    let before = node.ready("worker", 1);
    let key = node.home.path("key");
    let kept = fs::read(&key).unwrap();
    node.kill();
    fs::remove_file(&key).unwrap();

    node.start_again();
    assert_eq!(node.ready("worker", 1), before);
    deploy(&node.home, &folder).failed(5, "secrets_key_missing").says(&[key.to_str().unwrap(), "backup"]);
    let refused = set(&node.home, "KEY", SECOND);
    assert_ne!(refused.code, Some(0));
    refused.says(&["code: secrets_key_missing"]);
    assert!(!key.exists(), "no new key is made beside what the old one has sealed");
    assert_eq!(node.ready("worker", 1), before);

    fs::write(&key, kept).unwrap();
    deploy(&node.home, &folder).ok();
    assert_eq!(shown(&node).0, md5(FIRST));
}

/// Not in a file of the node, not in an argument or the environment of any of its processes.
fn assert_nowhere(node: &Node, value: &str) {
    let mut folders = vec![node.home.data()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().flatten() {
            let path = entry.path();
            match entry.file_type().unwrap() {
                kind if kind.is_dir() => folders.push(path),
                kind if kind.is_file() => {
                    files += 1;
                    assert!(!contains(&fs::read(&path).unwrap(), value), "it is in {}", path.display());
                }
                _ => {}
            }
        }
    }
    assert!(files > 5, "the data folder was searched");
    for process in fs::read_dir("/proc").unwrap().flatten() {
        for part in ["cmdline", "environ"] {
            let bytes = fs::read(process.path().join(part)).unwrap_or_default();
            assert!(!contains(&bytes, value), "it is in {}/{part}", process.path().display());
        }
    }
}

fn contains(bytes: &[u8], value: &str) -> bool {
    bytes.windows(value.len()).any(|window| window == value.as_bytes())
}
