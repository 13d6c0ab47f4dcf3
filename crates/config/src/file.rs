//! The one way from a text to a checked struct.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::check;
use crate::document::{Document, Finding};
use crate::error::{Code, ConfigError, FileKind, Place, Problem};
use crate::key_path::KeyPath;
use crate::source::Source;

/// Bytes of a configuration file; beyond it nobody wrote it by hand.
pub(crate) const FILE_BYTES_MAX: usize = 1 << 20;

/// Reads a text: size, syntax, schema version, then the walk along the JSON Schema, then serde.
pub(crate) fn read<'t, T>(kind: FileKind, source: Source<'t>) -> Result<(T, Document<'t>), ConfigError>
where
    T: DeserializeOwned + JsonSchema,
{
    bounded(kind, source.name, source.text.len())?;
    let document = Document::parse(kind, source)?;
    schema_version(&document)?;
    let schema = schemars::schema_for!(T).to_value();
    document.problems(check::walk(document.root(), &schema))?;
    let value = document.deserialize()?;
    Ok((value, document))
}

/// Refuses a file that is larger than any sensible one.
pub(crate) fn bounded(kind: FileKind, name: &str, bytes: usize) -> Result<(), ConfigError> {
    if bytes <= FILE_BYTES_MAX {
        return Ok(());
    }
    let problem = Problem {
        expected: Some(format!("at most {FILE_BYTES_MAX} bytes")),
        ..whole_file(Code::TooLarge, name, format!("the file has {bytes} bytes"))
    };
    Err(ConfigError::one(kind, problem))
}

/// A problem of a file as a whole.
pub(crate) fn whole_file(code: Code, name: &str, message: impl Into<String>) -> Problem {
    Problem {
        code,
        place: Place::File(name.into()),
        key: String::new(),
        message: message.into(),
        expected: None,
        hint: None,
        excerpt: None,
    }
}

/// `schema` is looked at first: a newer file is told as newer, and not by its first strange key.
fn schema_version(document: &Document<'_>) -> Result<(), ConfigError> {
    let ours = document.kind.schema();
    let path = KeyPath::root().key("schema");
    let finding = match document.root().get("schema").map(|value| value.get_ref().as_integer()) {
        None => Finding::invalid(path, "`schema` is missing")
            .code(Code::MissingKey)
            .hint(format!("write `schema = {ours}` as the first line")),
        Some(Some(n)) => match i128::from_str_radix(n.as_str(), n.radix()) {
            Ok(n) if n == i128::from(ours) => return Ok(()),
            Ok(n) if n > i128::from(ours) => Finding::invalid(
                path,
                format!("the file is of schema {n}; this Forebay {} reads schema {ours}", env!("CARGO_PKG_VERSION")),
            )
            .code(Code::SchemaNewer)
            .hint(format!("use a newer Forebay that reads schema {n}, or write the file for schema {ours}")),
            _ => Finding::invalid(path, format!("there is no schema {n}")).expected(ours.to_string()),
        },
        Some(None) => Finding::invalid(path, "`schema` is not a number").expected(ours.to_string()),
    };
    document.problems(vec![finding])
}
