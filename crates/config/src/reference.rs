//! The reference of a file as Markdown, made from its schema: a table of keys for each table of the file.

use std::fmt::Write;

use serde_json::Value;

use crate::check::{bounds, is_type, resolve, tables, words};
use crate::error::FileKind;
use crate::formats;
use crate::schema;

/// Every key of a file: its type and range, its default and its meaning.
pub fn markdown(kind: FileKind) -> String {
    let root = schema::of(kind);
    let mut text = String::new();
    tables(&root, &root, "", &mut |path, table| {
        let title = if path.is_empty() { "Top of the file".into() } else { format!("`{path}`") };
        let about = table["description"].as_str().filter(|_| !path.is_empty()).unwrap_or_default().replace('\n', " ");
        let gap = if about.is_empty() { "" } else { "\n\n" };
        let rows = rows(&root, table);
        write!(text, "### {title}\n\n{about}{gap}| Key | Value | Default | Meaning |\n|---|---|---|---|\n{rows}\n")
            .expect("a String takes all");
    });
    text
}

fn rows(root: &Value, table: &Value) -> String {
    let required: Vec<&str> = table["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut text = String::new();
    for (name, property) in table["properties"].as_object().into_iter().flatten() {
        let target = resolve(root, property);
        if is_table(root, target) {
            continue;
        }
        let default = if required.contains(&name.as_str()) { "required".into() } else { default(name, property) };
        let about = property["description"].as_str().unwrap_or_default().replace('\n', " ").replace('|', "\\|");
        writeln!(text, "| `{name}` | {} | {default} | {about} |", value(root, target)).expect("a String takes all");
    }
    text
}

/// Whether a key opens a table that has a section of its own.
fn is_table(root: &Value, schema: &Value) -> bool {
    let inner = if is_type(schema, "array") { &schema["items"] } else { &schema["additionalProperties"] };
    schema["properties"].is_object() || (inner.is_object() && resolve(root, inner)["properties"].is_object())
}

/// What a key takes, in a few words.
fn value(root: &Value, schema: &Value) -> String {
    if schema["format"].as_str().and_then(formats::named).is_some() {
        return schema["format"].as_str().unwrap_or_default().replace('-', " ");
    }
    if is_type(schema, "array") {
        return match schema["prefixItems"].as_array() {
            Some(items) => format!("list of {}", items.len()),
            None => format!("list of {}", value(root, resolve(root, &schema["items"]))),
        };
    }
    if is_type(schema, "object") {
        return format!("table of {}", value(root, resolve(root, &schema["additionalProperties"])));
    }
    if is_type(schema, "integer") {
        let (least, most) = bounds(schema);
        let types_own = [u8::MAX.into(), u16::MAX.into(), u32::MAX.into(), i64::MAX.into()];
        if least == most {
            return least.to_string();
        }
        return if types_own.contains(&most) { format!("{least} or more") } else { format!("{least} to {most}") };
    }
    if let Some(words) = words(schema) {
        return words.join(", ");
    }
    if is_type(schema, "boolean") { "true or false".into() } else { "text".into() }
}

fn default(name: &str, property: &Value) -> String {
    match &property["default"] {
        Value::Null => "absent".into(),
        Value::Array(items) if items.is_empty() => "empty".into(),
        Value::Object(items) if items.is_empty() => "empty".into(),
        Value::Number(n) if name.contains("bytes") => n.as_u64().map_or_else(|| n.to_string(), size),
        Value::Number(n) => n.to_string(),
        other => format!("`{other}`"),
    }
}

/// A number of bytes, and what one would call it where it is a round one.
fn size(n: u64) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match units.iter().find(|(_, bits)| n >= 1 << bits && n.is_multiple_of(1 << bits)) {
        Some((unit, bits)) => format!("{n} ({} {unit})", n >> bits),
        None => n.to_string(),
    }
}
