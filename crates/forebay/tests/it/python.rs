//! Python's own clients and servers. They are fetched from their registry once, into a folder below `target`; where that
//! does not work the test says so and is skipped. `FOREBAY_TEST_PYTHON` names an interpreter to use where it has them.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What is fetched, and by which names it is imported.
const PACKAGES: [&str; 5] = [
    "grpcio==1.85.1",
    "grpcio-health-checking==1.85.1",
    "requests==2.34.2",
    "httpx[http2]==0.28.1",
    "websockets==17.4",
];
const IMPORTS: &str = "import grpc, grpc_health, requests, httpx, h2, websockets";

/// An interpreter that has them, `None` where there is none.
pub(crate) fn python() -> Option<PathBuf> {
    let has_all = |python: &Path| run(Command::new(python).args(["-c", IMPORTS])).is_ok();
    if let Some(named) = std::env::var_os("FOREBAY_TEST_PYTHON").map(PathBuf::from).filter(|named| has_all(named)) {
        return Some(named);
    }
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-http");
    let python = venv.join("bin/python");
    if has_all(&python) {
        return Some(python);
    }
    // Of tests at the same time one fetches.
    let lock = std::fs::File::create(venv.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    let fetched = run(Command::new("python3").args(["-m", "venv"]).arg(&venv)).and_then(|()| {
        run(Command::new(venv.join("bin/pip")).args(["install", "--quiet", "--retries", "1"]).args(PACKAGES))
    });
    match fetched {
        Ok(()) if has_all(&python) => Some(python),
        other => {
            eprintln!("skipped: Python's clients cannot be had: {other:?}");
            None
        }
    }
}

/// One of the scripts in `tests/clients`.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

fn run(command: &mut Command) -> Result<(), String> {
    match command.output() {
        Ok(out) if out.status.success() => Ok(()),
        Ok(out) => Err(String::from_utf8_lossy(&out.stderr).into_owned()),
        Err(cause) => Err(format!("{}: {cause}", command.get_program().display())),
    }
}
