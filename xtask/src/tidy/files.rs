//! Rules about files: none is dead, each says what it is for, links lead somewhere.

use std::collections::BTreeSet;

use crate::rust::{Source, words};
use crate::tidy::Fault;

/// Every source file is a crate's root, or a module that somebody declares.
pub(crate) fn every_file_is_a_module(sources: &[Source]) -> Vec<Fault> {
    let declared: BTreeSet<String> = sources.iter().flat_map(modules).collect();
    let dead = |source: &&Source| !is_root(&source.path) && !declared.contains(&source.path);
    let fault = |source: &Source| Fault::new(&source.path, 0, "no `mod` declares this file: declare it or delete it");
    sources.iter().filter(dead).map(fault).collect()
}

fn is_root(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let in_folder = |folder: &&str| path.contains(&format!("/{folder}/"));
    matches!(name, "main.rs" | "lib.rs" | "build.rs") || ["fuzz_targets", "bin", "examples"].iter().any(in_folder)
}

/// Where the modules that a file declares may lie.
fn modules(source: &Source) -> Vec<String> {
    let (folder, name) = source.path.rsplit_once('/').unwrap_or(("", &source.path));
    let home = match name {
        "main.rs" | "lib.rs" | "mod.rs" => folder.to_string(),
        _ => source.path.trim_end_matches(".rs").to_string(),
    };
    words(&source.code, "mod")
        .filter_map(|at| {
            let rest = source.code[at + 3..].trim_start();
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_')?;
            rest[end..].trim_start().starts_with(';').then(|| rest[..end].to_string())
        })
        .flat_map(|module| [format!("{home}/{module}.rs"), format!("{home}/{module}/mod.rs")])
        .collect()
}

/// A second integration-test binary links the whole tree a second time.
pub(crate) fn one_test_binary_per_crate(names: &[String]) -> Vec<Fault> {
    let stray = |name: &&String| {
        let parts: Vec<&str> = name.split('/').collect();
        let of_tests = parts.iter().position(|part| *part == "tests");
        of_tests.is_some_and(|at| at + 2 == parts.len() && name.ends_with(".rs") && parts[0] != "fuzz")
    };
    let fault = |name: &String| Fault::new(name, 0, "a second test binary: make it a module of tests/it/main.rs");
    names.iter().filter(stray).map(fault).collect()
}

/// A file begins with what it is for.
pub(crate) fn begins_with_its_purpose(source: &Source) -> Option<Fault> {
    let first = source.text.lines().find(|line| !line.trim().is_empty() && !line.starts_with("#!["));
    let said = first.is_some_and(|line| line.starts_with("//! "));
    (!said).then(|| Fault::new(&source.path, 1, "begin with `//! `: what is this file for?"))
}

/// Relative links in documents lead to files or folders that exist.
pub(crate) fn links_lead_somewhere(documents: &[(String, String)], names: &[String]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (path, text) in documents {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (at, link) in links(text) {
            let target = resolve(folder, link);
            let exists = names.iter().any(|name| *name == target || name.starts_with(&format!("{target}/")));
            if !exists && !target.is_empty() {
                faults.push(Fault::new(
                    path,
                    crate::rust::line_of(text, at),
                    format!("the link to `{link}` leads nowhere"),
                ));
            }
        }
    }
    faults
}

/// The targets of `[text](target)` inside the repository, without their anchors.
fn links(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.match_indices("](").filter_map(|(at, mark)| {
        let rest = &text[at + mark.len()..];
        let target = &rest[..rest.find([')', '\n', ' '])?];
        let path = target.split('#').next()?;
        let inside = !path.is_empty() && !path.contains("://") && !path.starts_with("mailto:");
        inside.then_some((at, path))
    })
}

fn resolve(folder: &str, link: &str) -> String {
    let mut parts: Vec<&str> = if link.starts_with('/') { Vec::new() } else { folder.split('/').collect() };
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.retain(|part| !part.is_empty());
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_nobody_declares_is_dead() {
        let sources = [
            Source::new("crates/a/src/lib.rs", "mod one;\nmod inline { fn f() {} }\n// mod two;"),
            Source::new("crates/a/src/one.rs", "pub mod deep;"),
            Source::new("crates/a/src/one/deep.rs", ""),
            Source::new("crates/a/src/two.rs", ""),
        ];
        let faults = every_file_is_a_module(&sources);
        assert_eq!(faults.iter().map(|fault| fault.path.as_str()).collect::<Vec<_>>(), ["crates/a/src/two.rs"]);
    }

    #[test]
    fn tests_are_one_binary() {
        let names = ["crates/a/tests/it/main.rs", "crates/a/tests/it/put.rs", "crates/a/tests/more.rs"];
        let faults = one_test_binary_per_crate(&names.map(String::from));
        assert_eq!(faults.len(), 1);
        assert_eq!(faults[0].path, "crates/a/tests/more.rs");
    }

    #[test]
    fn a_file_says_what_it_is_for() {
        assert_eq!(begins_with_its_purpose(&Source::new("a.rs", "//! Jobs.\nfn a() {}")), None);
        assert!(begins_with_its_purpose(&Source::new("a.rs", "fn a() {}")).is_some());
    }

    #[test]
    fn a_link_leads_to_a_file_or_a_folder() {
        let text = "[a](b.md#part) [f](../crates) [up](../README.md) [web](https://x.y/z) [gone](c.md) [here](#anchor)";
        let names = ["docs/a.md", "docs/b.md", "crates/x/src/lib.rs", "README.md"].map(String::from);
        let faults = links_lead_somewhere(&[("docs/a.md".into(), text.into())], &names);
        assert_eq!(faults, [Fault::new("docs/a.md", 1, "the link to `c.md` leads nowhere")]);
    }
}
