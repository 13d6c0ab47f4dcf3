//! Clients that people have, unchanged. They are fetched from their registries once, into a folder below `target`; where
//! that does not work the test says so and is skipped. `FOREBAY_TEST_PYTHON` names an interpreter to use where it has
//! greenstalk, pystalk and aiostalk already.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::rig::Forebay;

const PYTHON: [&str; 3] = ["greenstalk==2.1.1", "pystalk==0.9.1", "aiostalk==1.3.1"];
const JAVASCRIPT: [&str; 2] = ["jackd@2.2.2", "fivebeans@1.5.0"];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Runs a program; the error is what it said.
fn run(command: &mut Command) -> Result<String, String> {
    match command.output() {
        Ok(out) if out.status.success() => Ok(String::from_utf8_lossy(&out.stdout).into_owned()),
        Ok(out) => Err(format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))),
        Err(cause) => Err(format!("{}: {cause}", command.get_program().display())),
    }
}

/// Carries out a script's scenarios.
fn scenario(program: &mut Command, script: &str) -> Vec<String> {
    carry_out(program.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(script)))
}

/// An interpreter that has the clients.
fn python() -> Result<PathBuf, String> {
    let has_all =
        |interpreter: &Path| run(Command::new(interpreter).args(["-c", "import greenstalk, pystalk, aiostalk"]));
    if let Some(named) = std::env::var_os("FOREBAY_TEST_PYTHON").map(PathBuf::from).filter(|p| has_all(p).is_ok()) {
        return Ok(named);
    }
    let venv = folder("python-clients");
    let interpreter = venv.join("bin/python");
    if has_all(&interpreter).is_err() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
        run(Command::new(venv.join("bin/pip")).args(["install", "--quiet", "--retries", "1"]).args(PYTHON))?;
        has_all(&interpreter)?;
    }
    Ok(interpreter)
}

/// A folder whose `node_modules` has the clients.
fn node_modules() -> Result<PathBuf, String> {
    let folder = folder("javascript-clients");
    let modules = folder.join("node_modules");
    if !(modules.join("jackd").is_dir() && modules.join("fivebeans").is_dir()) {
        std::fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
        let install = ["install", "--silent", "--no-audit", "--no-fund", "--prefix", "."];
        run(Command::new("npm").args(install).args(JAVASCRIPT).current_dir(&folder))?;
    }
    Ok(modules)
}

/// A program of its own that uses the crate, built below `target`. It is no dependency of ours: its own are old.
fn rust_program() -> Result<PathBuf, String> {
    let folder = folder("rust-client");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/beanstalkc/main.rs");
    let manifest = "[package]\nname = \"beanstalkc-scenario\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\
                    [dependencies]\nbeanstalkc = \"=1.0.0\"\n[workspace]\n";
    std::fs::create_dir_all(folder.join("src"))
        .and_then(|()| std::fs::write(folder.join("Cargo.toml"), manifest))
        .and_then(|()| std::fs::copy(source, folder.join("src/main.rs")))
        .map_err(|e| e.to_string())?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let target = folder.join("target");
    let mut fetch = Command::new(&cargo);
    run(fetch.args(["fetch", "--quiet"]).current_dir(&folder))?;
    let mut build = Command::new(&cargo);
    build.args(["build", "--quiet", "--offline"]).env("CARGO_TARGET_DIR", &target).current_dir(&folder);
    if let Err(said) = run(&mut build) {
        panic!("the Rust client is there and cannot be built: {said}");
    }
    Ok(target.join("debug/beanstalkc-scenario"))
}

/// Carries out a program's scenarios against a server of its own.
fn carry_out(program: &mut Command) -> Vec<String> {
    let server = Forebay::start();
    program.arg(server.addr().ip().to_string()).arg(server.addr().port().to_string());
    match run(program) {
        Ok(said) => said.lines().map(str::to_owned).collect(),
        Err(said) => panic!("{said}"),
    }
}

#[test]
fn a_rust_client_works_unchanged() {
    match rust_program() {
        Ok(program) => assert_eq!(carry_out(&mut Command::new(program)).len(), 4),
        Err(why) => eprintln!("skipped: the Rust client cannot be fetched: {why}"),
    }
}

#[test]
fn python_clients_work_unchanged() {
    let python = match python() {
        Ok(python) => python,
        Err(why) => return eprintln!("skipped: the Python clients cannot be fetched: {why}"),
    };
    assert_eq!(scenario(&mut Command::new(&python), "greenstalk_scenario.py").len(), 5);
    assert_eq!(scenario(&mut Command::new(&python), "pystalk_scenario.py").len(), 3);
    assert_eq!(scenario(&mut Command::new(&python), "aiostalk_scenario.py").len(), 2);
}

#[test]
fn javascript_clients_work_unchanged() {
    let modules = match node_modules() {
        Ok(modules) => modules,
        Err(why) => return eprintln!("skipped: the JavaScript clients cannot be fetched: {why}"),
    };
    for (script, scenarios) in [("jackd_scenario.js", 2), ("fivebeans_scenario.js", 2)] {
        assert_eq!(scenario(Command::new("node").env("NODE_PATH", &modules), script).len(), scenarios, "{script}");
    }
}
