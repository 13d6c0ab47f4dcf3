//! The JSON Schemas: what `forebay schema` prints is what is checked.

use config::node::{Inputs, NodeFile};
use config::{FileKind, NodeConfig, schema};

#[test]
fn a_schema_is_found_by_the_word_for_its_file() {
    for (word, kind) in [("manifest", FileKind::Manifest), ("node.toml", FileKind::Node), ("router", FileKind::Router)]
    {
        assert_eq!(schema::named(word), Some(kind));
    }
    assert_eq!(schema::named("nginx"), None);
}

#[test]
fn a_schema_is_json_schema_with_a_title_and_says_something_about_every_key() {
    for kind in [FileKind::Manifest, FileKind::Node, FileKind::Router] {
        let value: serde_json::Value = serde_json::from_str(&schema::text(kind)).unwrap();
        assert_eq!(value["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert!(value["title"].as_str().unwrap().ends_with(".toml"));
        let tables = value["$defs"].as_object().unwrap().values().chain([&value]);
        for (name, property) in tables.flat_map(|table| table["properties"].as_object().into_iter().flatten()) {
            let about = property["description"].as_str().unwrap_or_default();
            assert!(about.ends_with('.'), "{kind:?} {name}: {property}");
        }
    }
}

#[test]
fn tables_are_closed_for_editors_too() {
    for kind in [FileKind::Manifest, FileKind::Node, FileKind::Router] {
        let value = schema::of(kind);
        let tables = value["$defs"].as_object().unwrap().iter().map(|(name, table)| (name.as_str(), table));
        for (name, table) in tables.chain([("the top", &value)]).filter(|(_, table)| table["properties"].is_object()) {
            let closed = table["additionalProperties"] == false || table["unevaluatedProperties"] == false;
            assert!(closed, "{kind:?} {name}: {table:#}");
        }
    }
}

/// The defaults of every plane, written out as a file, are a good file that means the same.
#[test]
fn the_defaults_are_within_their_own_limits() {
    let file = NodeFile::default();
    let text = toml::to_string(&file).unwrap();
    let inputs =
        Inputs { file: Some(("node.toml", &text.replace("\nlisten = []\n", "\n"))), root: true, ..Default::default() };
    let node = NodeConfig::resolve(&inputs).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let bare = NodeConfig::resolve(&Inputs { root: true, ..Default::default() }).unwrap();
    assert_eq!((node.router, node.queue, node.logs, node.deploy), (bare.router, bare.queue, bare.logs, bare.deploy));
}
