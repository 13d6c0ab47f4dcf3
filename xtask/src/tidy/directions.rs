//! Which crate may build on which: only on a lower floor, so never a plane on a plane.

use crate::tidy::Fault;
use crate::workspace::Package;

/// From the ground up. Crates of one floor do not know each other.
const FLOORS: &[&[&str]] = &[
    &["stdx", "http-cache", "esi"],
    &["net", "state", "wal"],
    &["acme", "control", "health", "runtime"],
    &["router", "queue", "logs", "deploy"],
    &["config"],
    &["forebay"],
];

/// Only for tests and measurements.
const TOOLS: &[&str] = &["testkit", "benchsuite", "xtask"];

/// A heavy dependency has few owners.
const OWNERS: &[(&str, &[&str])] = &[
    ("rusqlite", &["state"]),
    ("rustls", &["net"]),
    ("instant-acme", &["acme"]),
    ("clap", &["forebay", "benchsuite", "xtask"]),
];

/// Checks what every crate builds on.
pub(crate) fn check(packages: &[Package]) -> Vec<Fault> {
    packages.iter().flat_map(|package| [layers(package), owners(package)].concat()).collect()
}

fn layers(package: &Package) -> Vec<Fault> {
    let manifest = format!("{}/Cargo.toml", package.folder);
    if TOOLS.contains(&package.name.as_str()) {
        return Vec::new();
    }
    let Some(own) = floor(&package.name) else {
        let what = format!("crate `{}` has no floor: give it one in xtask/src/tidy/directions.rs", package.name);
        return vec![Fault::new(&manifest, 0, what)];
    };
    let used_as_tool = package
        .uses
        .iter()
        .filter(|name| TOOLS.contains(&name.as_str()))
        .map(|name| Fault::new(&manifest, 0, format!("`{name}` is for tests: make it a dev-dependency")));
    let too_high = package.uses.iter().filter(|name| floor(name).is_some_and(|other| other >= own)).map(|name| {
        let what =
            format!("`{}` must not build on `{name}`: own a trait here, wire it in forebay/src/wire", package.name);
        Fault::new(&manifest, 0, what)
    });
    used_as_tool.chain(too_high).collect()
}

fn owners(package: &Package) -> Vec<Fault> {
    let manifest = format!("{}/Cargo.toml", package.folder);
    let foreign = |(dependency, owners): &&(&str, &[&str])| {
        package.uses.iter().any(|used| used == dependency) && !owners.contains(&package.name.as_str())
    };
    let fault = |(dependency, owners): &(&str, &[&str])| {
        Fault::new(&manifest, 0, format!("`{dependency}` belongs to {}", owners.join(", ")))
    };
    OWNERS.iter().filter(foreign).map(fault).collect()
}

fn floor(name: &str) -> Option<usize> {
    FLOORS.iter().position(|crates| crates.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, uses: &[&str]) -> Package {
        let uses = uses.iter().map(|name| (*name).to_string()).collect();
        Package { name: name.into(), folder: format!("crates/{name}"), uses, tests_use: vec!["testkit".into()] }
    }

    #[test]
    fn a_crate_builds_on_lower_floors() {
        assert_eq!(check(&[package("queue", &["wal", "stdx", "serde", "control"])]), []);
    }

    #[test]
    fn a_plane_does_not_import_a_plane() {
        let faults = check(&[package("router", &["logs"])]);
        assert!(faults[0].what.starts_with("`router` must not build on `logs`"), "{faults:?}");
        assert_eq!(check(&[package("wal", &["queue"])]).len(), 1);
    }

    #[test]
    fn a_tool_is_for_tests() {
        assert!(check(&[package("queue", &["testkit"])])[0].what.contains("dev-dependency"));
        assert_eq!(check(&[package("benchsuite", &["testkit", "queue"])]), []);
    }

    #[test]
    fn a_new_crate_must_find_its_floor() {
        assert!(check(&[package("console", &[])])[0].what.contains("has no floor"));
    }

    #[test]
    fn a_heavy_dependency_has_an_owner() {
        assert_eq!(check(&[package("state", &["rusqlite"])]), []);
        assert_eq!(check(&[package("logs", &["rusqlite"])])[0].what, "`rusqlite` belongs to state");
    }
}
