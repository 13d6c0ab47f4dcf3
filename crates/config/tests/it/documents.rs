//! The pages under `docs/` say what the code does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use config::{FileKind, Manifest, NodeConfig, RouterFile, node, schema};

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

fn page(name: &str) -> String {
    std::fs::read_to_string(docs().join(name)).unwrap_or_else(|e| panic!("docs/{name}: {e}"))
}

/// The part of the page between the two marks of a file.
fn part(page: &str, kind: &str) -> (usize, usize) {
    let begin = format!("<!-- made from the schema: {kind} -->\n");
    let end = format!("<!-- end of {kind} -->");
    let from = page.find(&begin).unwrap_or_else(|| panic!("no mark {begin}")) + begin.len();
    (from, from + page[from..].find(&end).unwrap_or_else(|| panic!("no mark {end}")))
}

/// `UPDATE_DOCS=1 cargo test -p config` writes the tables anew.
#[test]
fn the_reference_is_what_the_schema_says() {
    let mut page = page("configuration.md");
    let before = page.clone();
    for (word, kind) in [("manifest", FileKind::Manifest), ("node", FileKind::Node), ("router", FileKind::Router)] {
        let (from, to) = part(&page, word);
        page.replace_range(from..to, &format!("\n{}", schema::markdown(kind)));
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(docs().join("configuration.md"), &page).unwrap();
    } else {
        assert!(page == before, "docs/configuration.md is not what the schema says; run with UPDATE_DOCS=1");
    }
}

/// Every whole file shown in the docs (a block of TOML that begins with `schema`) is a good one.
#[test]
fn the_files_shown_in_the_docs_are_good() {
    let text = page("configuration.md");
    let mut seen = 0;
    for block in text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()) {
        let (name, body) = block.split_once('\n').unwrap();
        seen += 1;
        match name {
            "# forebay.toml" => drop(Manifest::parse(body).unwrap_or_else(|e| panic!("{e}"))),
            "# router.toml" => drop(RouterFile::parse("router.toml", body).unwrap_or_else(|e| panic!("{e}"))),
            "# node.toml" => {
                let inputs = node::Inputs { file: Some(("node.toml", body)), root: true, ..Default::default() };
                drop(NodeConfig::resolve(&inputs).unwrap_or_else(|e| panic!("{e}")));
            }
            other => panic!("a block of TOML that says not which file it is: {other}"),
        }
    }
    assert!(seen >= 3, "the page shows each file once, found {seen}");
}

/// Every application under `examples/` has a good manifest.
#[test]
fn the_examples_are_good() {
    let Ok(folders) = std::fs::read_dir(docs().join("../examples")) else { return };
    let folders = folders.map(|entry| entry.unwrap().path());
    for folder in folders.filter(|f| f.join("forebay.toml").exists() || f.join("Procfile").exists()) {
        let loaded = Manifest::load(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        assert!(!loaded.manifest.processes.is_empty());
    }
}

/// Key to default, as the reference says it: `router.held_max` to `1000`.
fn defaults() -> BTreeMap<String, String> {
    let mut defaults = BTreeMap::new();
    for kind in [FileKind::Router, FileKind::Manifest, FileKind::Node] {
        let mut section = String::new();
        for line in schema::markdown(kind).lines() {
            if let Some(title) = line.strip_prefix("### ") {
                section = title.trim_matches(['`', '[', ']']).replace("Top of the file", "");
            } else if let Some(row) = line.strip_prefix("| `") {
                let cells: Vec<&str> = row.split(" | ").collect();
                let key = format!("{section}.{}", cells[0].trim_end_matches('`'));
                defaults.insert(key.trim_start_matches('.').to_owned(), cells[2].to_owned());
            }
        }
    }
    defaults
}

#[test]
fn the_table_of_limits_names_keys_that_exist_with_their_defaults() {
    let defaults = defaults();
    let mut checked = 0;
    for row in page("limits.md").lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 4, "{row}");
        let Some(key) = cells[2].strip_prefix('`').and_then(|key| key.strip_suffix('`')) else { continue };
        let default = defaults.get(key).unwrap_or_else(|| panic!("docs/limits.md names `{key}`, which no file has"));
        assert_eq!(cells[1], default, "the default of {key}");
        checked += 1;
    }
    assert!(checked > 40, "the table of limits has its keys in its third column, found {checked}");
}

/// A limit that nobody finds is none: whatever is called `_max` in `node.toml` and in `forebay.toml` is in the table.
#[test]
fn every_limit_is_in_the_table_of_limits() {
    let page = page("limits.md");
    for key in defaults().into_keys().filter(|key| key.ends_with("_max")) {
        assert!(page.contains(&format!("`{key}`")), "docs/limits.md does not have {key}");
    }
}
