//! The repository as the chores see it: its folder, its files, its packages.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The repository's folder.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Where cargo builds.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |folder| root().join(folder))
}

/// The files that are in the repository or would be with the next commit, as paths relative to [`root`].
///
/// # Errors
/// When git cannot be asked.
pub(crate) fn files() -> Result<Vec<String>> {
    let mut command = Command::new("git");
    command.current_dir(root()).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"]);
    let output = command.output().context("cannot run git")?;
    if !output.status.success() {
        bail!("git ls-files: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let names = String::from_utf8(output.stdout).context("a file name that is not UTF-8")?;
    Ok(names.split_terminator('\0').filter(|name| root().join(name).is_file()).map(String::from).collect())
}

/// One crate of the workspace and what it builds on inside the workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Relative to [`root`]: `crates/queue`.
    pub(crate) folder: String,
    /// What it needs to be built, by crate name, also from outside the workspace.
    pub(crate) uses: Vec<String>,
    /// What only its tests need.
    pub(crate) tests_use: Vec<String>,
}

/// The workspace's packages.
///
/// # Errors
/// When cargo cannot be asked.
pub(crate) fn packages() -> Result<Vec<Package>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root()).args(["metadata", "--no-deps", "--format-version=1", "--locked"]);
    let output = command.output().context("cannot run cargo")?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata prints no JSON")?;
    metadata["packages"].as_array().context("cargo metadata names no packages")?.iter().map(package).collect()
}

fn package(value: &Value) -> Result<Package> {
    let text = |value: &Value| value.as_str().map(String::from).context("cargo metadata lacks a name");
    let manifest = PathBuf::from(text(&value["manifest_path"])?);
    let folder = manifest.parent().and_then(|folder| folder.strip_prefix(root()).ok());
    let mut package = Package {
        name: text(&value["name"])?,
        folder: folder.context("a package outside the repository")?.to_string_lossy().into_owned(),
        uses: Vec::new(),
        tests_use: Vec::new(),
    };
    for dependency in value["dependencies"].as_array().into_iter().flatten() {
        let name = text(&dependency["name"])?;
        let of_tests = dependency["kind"].as_str() == Some("dev");
        if of_tests { package.tests_use.push(name) } else { package.uses.push(name) }
    }
    Ok(package)
}
