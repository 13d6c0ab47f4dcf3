//! Manifest and node configuration: composed from the planes' own `Config`s, with spans, defaults and schema.
//!
//! Every file goes the same way, and `file::read` is that way: text -> TOML with spans -> schema version -> the walk
//! along the JSON Schema (unknown keys, types, ranges, names; all problems at once) -> serde -> the rules that a schema
//! cannot say (`rules`, `node`, `router_file`). The JSON Schema is made from the planes' structs and their
//! comments, so that what is checked, what `forebay schema` prints and what `docs/configuration.md` says are one thing.

mod check;
mod document;
mod error;
mod file;
mod formats;
mod key_path;
mod load;
pub mod manifest;
pub mod memory;
pub mod node;
mod pages;
mod procfile;
mod reference;
pub mod resolved;
pub mod router_file;
mod rules;
pub mod schema;
mod source;
mod suggest;
mod tls;
mod treatment;
mod users;
mod work;

pub use error::{Code, ConfigError, Excerpt, FileKind, Place, Problem};
pub use load::{Loaded, Origin};
pub use manifest::Manifest;
pub use memory::Budget;
pub use node::NodeConfig;
pub use resolved::Resolved;
pub use router_file::{RouterFile, Upstream};
