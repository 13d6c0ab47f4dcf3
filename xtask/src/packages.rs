//! Programs from Debian that tests and benchmarks are compared with, installed where that is allowed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// A program and the Debian package that brings it.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) package: &'static str,
}

pub(crate) const BEANSTALKD: Program = Program { name: "beanstalkd", package: "beanstalkd" };
pub(crate) const HAPROXY: Program = Program { name: "haproxy", package: "haproxy" };
pub(crate) const NGINX: Program = Program { name: "nginx", package: "nginx-light" };
pub(crate) const REDIS: Program = Program { name: "redis-server", package: "redis-server" };
pub(crate) const RABBITMQ: Program = Program { name: "rabbitmq-server", package: "rabbitmq-server" };
pub(crate) const VARNISH: Program = Program { name: "varnishd", package: "varnish" };
pub(crate) const H2LOAD: Program = Program { name: "h2load", package: "nghttp2-client" };
pub(crate) const CHROMIUM: Program = Program { name: "chromium", package: "chromium" };
pub(crate) const PEBBLE: Program = Program { name: "pebble", package: "pebble" };
pub(crate) const PYTHON: Program = Program { name: "python3", package: "python3" };

/// Makes sure of a program, installing its package when this is root on a Debian.
///
/// # Errors
/// Why it is not there, in a sentence that names the package.
pub(crate) fn ensure(program: &Program) -> Result<PathBuf, String> {
    if let Some(path) = find(program.name) {
        return Ok(path);
    }
    install(program.package)?;
    find(program.name).ok_or_else(|| format!("package {} brought no {}", program.package, program.name))
}

/// Installs a Debian package.
///
/// # Errors
/// Why that is not possible here.
pub(crate) fn install(package: &str) -> Result<(), String> {
    let by_hand = format!("install the Debian package {package}");
    if find("apt-get").is_none() {
        return Err(format!("this is no Debian; {by_hand}"));
    }
    if !is_root() {
        return Err(format!("only root may install it; {by_hand}"));
    }
    println!("installing the Debian package {package}");
    refresh_lists_once();
    let installed = apt_get(&["install", "--yes", "--no-install-recommends", package]);
    if installed { Ok(()) } else { Err(format!("apt-get could not install {package}")) }
}

/// The path of a program, in PATH or where Debian keeps servers.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/bin")])
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0)
}

/// The lists of a fresh machine are empty. A failed refresh is no reason to stop: the install will say what is missing.
pub(crate) fn refresh_lists_once() {
    static DONE: OnceLock<bool> = OnceLock::new();
    DONE.get_or_init(|| apt_get(&["update", "--quiet"]));
}

fn apt_get(arguments: &[&str]) -> bool {
    let mut command = Command::new("apt-get");
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null()).stdout(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// A virtual environment in `folder` with the queue's reference client; the path of its Python.
///
/// # Errors
/// Why there is none.
pub(crate) fn python_with_greenstalk(folder: &Path) -> Result<PathBuf, String> {
    const CLIENT: &str = "greenstalk==2.1.1";
    let python = folder.join("bin/python3");
    let usable = |python: &Path| quiet(Command::new(python).args(["-c", "import greenstalk"]));
    if usable(&python) {
        return Ok(python);
    }
    let system = ensure(&PYTHON)?;
    let create = || quiet(Command::new(&system).args(["-m", "venv", "--clear"]).arg(folder));
    if !create() {
        install("python3-venv")?;
        if !create() {
            return Err(format!("{} cannot make a virtual environment", system.display()));
        }
    }
    let installed = quiet(Command::new(&python).args(["-m", "pip", "install", "--quiet", CLIENT]));
    if installed && usable(&python) { Ok(python) } else { Err(format!("pip could not install {CLIENT}")) }
}

fn quiet(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
