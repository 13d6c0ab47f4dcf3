//! The suite as it comes from npm: fetched once, its origin server, its client.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::Running;
use crate::workspace;

const SUITE: &str = "http-cache-tests@0.4.5";
const CLIENT: &str = "node-fetch@2.7.0";

/// One test of the suite.
pub(super) struct Test {
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) depends_on: Vec<String>,
}

/// The suite's own server, behind the proxy.
pub(super) struct Origin {
    pub(super) port: u16,
    _running: Running,
}

/// The folder of the suite below `target`; what npm brings stays there and is asked for once.
pub(super) fn fetch() -> Result<PathBuf> {
    let folder = workspace::target().join("conformance/cache");
    let package = folder.join("package");
    if package.join("cli.mjs").is_file() && folder.join("node_modules/node-fetch").is_dir() {
        return Ok(package);
    }
    std::fs::create_dir_all(&folder)?;
    run(Command::new("npm").current_dir(&folder).args(["pack", "--silent", SUITE]))?;
    run(Command::new("tar").current_dir(&folder).args(["xzf", "http-cache-tests-0.4.5.tgz"]))?;
    let install = ["install", "--silent", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", ".", CLIENT];
    run(Command::new("npm").current_dir(&folder).args(install))?;
    Ok(package)
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
    let status = status.with_context(|| format!("cannot run {:?}", command.get_program()))?;
    if !status.success() {
        bail!("{command:?} failed");
    }
    Ok(())
}

pub(super) fn origin(folder: &Path) -> Result<Origin> {
    // The suite cannot choose a port itself.
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let mut command = node(folder);
    command.arg("server/server.mjs").env("npm_config_protocol", "http").env("npm_config_port", port.to_string());
    command.env("npm_config_pidfile", folder.join("server.pid")).stdout(Stdio::null());
    let running = Running(command.spawn().context("cannot run node")?);
    let until = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        if Instant::now() > until {
            bail!("the suite's server does not listen");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(Origin { port, _running: running })
}

/// What came of each test: `true`, or why not.
pub(super) fn results(folder: &Path, proxy: &str) -> Result<BTreeMap<String, Value>> {
    let mut command = node(folder);
    command.args(["--no-warnings", "cli.mjs"]).env("npm_config_base", format!("http://{proxy}"));
    command.env("npm_config_id", "").env("npm_package_config_id", "");
    let output = command.output().context("cannot run node")?;
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("the suite prints no results: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

/// The tests of the public list that are for shared caches. The suite's extra one, on the abandoned `Surrogate-Control`, is
/// not in that list.
pub(super) fn tests(folder: &Path) -> Result<Vec<Test>> {
    const LIST: &str = "import suites from './tests/index.mjs';
        const tests = suites.flatMap(suite => suite.tests).filter(test => test.browser_only !== true);
        console.log(JSON.stringify(tests.map(test => [test.id, test.kind || 'required', test.depends_on || []])));";
    let output = node(folder).args(["--input-type=module", "--eval", LIST]).output().context("cannot run node")?;
    let list: Vec<(String, String, Vec<String>)> = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("the suite lists no tests: {}", String::from_utf8_lossy(&output.stderr).trim()))?;
    Ok(list.into_iter().map(|(id, kind, depends_on)| Test { id, kind, depends_on }).collect())
}

fn node(folder: &Path) -> Command {
    let mut command = Command::new("node");
    command.current_dir(folder).stdin(Stdio::null());
    command
}
