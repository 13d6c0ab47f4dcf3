//! The JSON Schema of each file, for editors and for `forebay schema`.

use serde_json::Value;

use crate::error::FileKind;
use crate::manifest::Manifest;
use crate::node::NodeFile;
use crate::router_file::RouterFile;

/// The JSON Schema (2020-12) of a file.
pub fn of(kind: FileKind) -> Value {
    match kind {
        FileKind::Manifest => schemars::schema_for!(Manifest).to_value(),
        FileKind::Node => schemars::schema_for!(NodeFile).to_value(),
        FileKind::Router => schemars::schema_for!(RouterFile).to_value(),
    }
}

/// The JSON Schema of a file as text, as `forebay schema [manifest|node|router]` prints it.
pub fn text(kind: FileKind) -> String {
    serde_json::to_string_pretty(&of(kind)).expect("a JSON value is JSON")
}

/// The file that a word of the command line means.
pub fn named(word: &str) -> Option<FileKind> {
    match word {
        "manifest" | "forebay.toml" => Some(FileKind::Manifest),
        "node" | "node.toml" => Some(FileKind::Node),
        "router" | "router.toml" => Some(FileKind::Router),
        _ => None,
    }
}

pub use crate::reference::markdown;
