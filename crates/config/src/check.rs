//! The walk along a JSON Schema: every key known, every value of its type, range and format; all problems, not the first.
//!
//! It reads the parts of JSON Schema 2020-12 that the planes' structs produce: `$ref`, `anyOf` with null, `oneOf` of words,
//! `type`, `properties`, `required`, `additionalProperties`, `propertyNames`, `items`, `prefixItems`, the bounds, and `format`
//! by the table in `formats`. A table with `properties` is closed, whether the schema says so or not.

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use crate::document::Finding;
use crate::error::Code;
use crate::formats;
use crate::key_path::KeyPath;
use crate::suggest::nearest;

/// Everything in `table` that the schema does not allow.
pub(crate) fn walk(table: &DeTable<'_>, schema: &Value) -> Vec<Finding> {
    let mut walk = Walk { root: schema, findings: Vec::new() };
    walk.table(&KeyPath::root(), table, schema);
    walk.findings
}

/// Follows a `$ref` into the schema's definitions, and an `anyOf` with null to what is not null.
pub(crate) fn resolve<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
    if let Some(target) = schema["$ref"].as_str().and_then(|name| root.pointer(name.trim_start_matches('#'))) {
        return resolve(root, target);
    }
    let options = schema["anyOf"].as_array();
    match options.and_then(|options| options.iter().find(|option| option["type"] != "null")) {
        Some(option) => resolve(root, option),
        None => schema,
    }
}

/// Whether a schema is of a JSON type, alone or beside null.
pub(crate) fn is_type(schema: &Value, name: &str) -> bool {
    match &schema["type"] {
        Value::String(one) => one == name,
        Value::Array(several) => several.iter().any(|one| one == name),
        _ => false,
    }
}

/// The only texts that a schema takes, where it names them.
pub(crate) fn words(schema: &Value) -> Option<Vec<&str>> {
    schema["oneOf"].as_array()?.iter().map(|one| one["const"].as_str()).collect()
}

/// Findings of one file that are kept; a file with more of them is no configuration.
const FINDINGS_MAX: usize = 1_000;

struct Walk<'s> {
    root: &'s Value,
    findings: Vec<Finding>,
}

impl<'s> Walk<'s> {
    /// Adds a finding, up to a number that is enough for anybody.
    fn found(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        }
    }

    fn value(&mut self, at: &KeyPath, value: &Spanned<DeValue<'_>>, schema: &'s Value) {
        let schema = resolve(self.root, schema);
        match value.get_ref() {
            DeValue::Table(table) if is_type(schema, "object") => self.table(at, table, schema),
            DeValue::Array(items) if is_type(schema, "array") => self.array(at, items, schema),
            DeValue::Integer(n) if is_type(schema, "integer") => self.integer(at, n, schema),
            DeValue::String(text) if is_type(schema, "string") => self.text(at, text, schema),
            DeValue::Boolean(_) if is_type(schema, "boolean") => {}
            DeValue::String(text) if words(schema).is_some_and(|words| words.contains(&&**text)) => {}
            DeValue::String(text) if words(schema).is_some() => {
                self.found(
                    Finding::invalid(at.clone(), format!("{} is {text:?}", quoted(at))).expected(wanted(schema)),
                );
            }
            found => self.found(
                Finding::invalid(at.clone(), format!("{} is of the wrong type, {}", quoted(at), type_of(found)))
                    .expected(wanted(schema))
                    .maybe_hint(conversion(at, found, schema)),
            ),
        }
    }

    fn table(&mut self, at: &KeyPath, table: &DeTable<'_>, schema: &'s Value) {
        let properties = schema["properties"].as_object();
        for (key, value) in table {
            if self.findings.len() >= FINDINGS_MAX {
                return;
            }
            let name: &str = key.get_ref();
            let here = at.key(name);
            if let Some(property) = properties.and_then(|all| all.get(name)) {
                self.value(&here, value, property);
            } else if schema["additionalProperties"].is_object() {
                self.names(&here, name, &schema["propertyNames"]);
                self.value(&here, value, &schema["additionalProperties"]);
            } else {
                self.unknown(at, name, schema);
            }
        }
        self.required(at, table, schema);
        let most = schema["maxProperties"].as_u64().unwrap_or(u64::MAX);
        self.count(at, table.len(), 0, most);
    }

    fn required(&mut self, at: &KeyPath, table: &DeTable<'_>, schema: &'s Value) {
        let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        for name in required.filter(|name| !table.contains_key(*name)) {
            let property = resolve(self.root, &schema["properties"][name]);
            let finding = Finding::invalid(at.key(name), format!("`{name}` is missing{}", in_table(at)));
            self.found(finding.code(Code::MissingKey).expected(wanted(property)));
        }
    }

    fn unknown(&mut self, at: &KeyPath, name: &str, schema: &'s Value) {
        let known: Vec<&str> =
            schema["properties"].as_object().into_iter().flatten().map(|(k, _)| k.as_str()).collect();
        let hint = match nearest(name, known.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => match self.home_of(at, name) {
                Some(home) => format!("`{name}` belongs in {home}"),
                None => format!("known here: {}", known.join(", ")),
            },
        };
        let finding = Finding::invalid(at.key(name), format!("unknown key `{name}`{}", in_table(at)));
        self.found(finding.code(Code::UnknownKey).on_key().hint(hint));
    }

    /// The table of the schema that does have a key of this name; of several, one around where it stands.
    fn home_of(&self, at: &KeyPath, name: &str) -> Option<String> {
        let mut homes = Vec::new();
        tables(self.root, self.root, "", &mut |path, schema| {
            if schema["properties"].get(name).is_some() {
                homes.push(path.to_owned());
            }
        });
        let at = at.to_string();
        let around = at.split(['.', '[']).next().unwrap_or_default();
        let is_around = |home: &String| home.trim_start_matches('[').split(['.', ']']).next() == Some(around);
        let home = homes.iter().find(|home| is_around(home)).or(homes.first())?.clone();
        Some(if home.is_empty() { "the top of the file".into() } else { home })
    }

    fn array(&mut self, at: &KeyPath, items: &[Spanned<DeValue<'_>>], schema: &'s Value) {
        let prefix = schema["prefixItems"].as_array();
        for (n, item) in items.iter().enumerate() {
            let of_item = prefix.and_then(|all| all.get(n)).unwrap_or(&schema["items"]);
            if of_item.is_object() {
                self.value(&at.index(n), item, of_item);
            }
            let same = |other: &Spanned<DeValue<'_>>| {
                item.get_ref().as_str().is_some() && other.get_ref().as_str() == item.get_ref().as_str()
            };
            if schema["uniqueItems"] == true && items[..n].iter().any(same) {
                self.found(Finding::invalid(at.index(n), format!("{} has an item twice", quoted(at))));
            }
        }
        let least = schema["minItems"].as_u64().unwrap_or(0);
        let most = schema["maxItems"].as_u64().unwrap_or(u64::MAX);
        self.count(at, items.len(), least, most);
    }

    fn count(&mut self, at: &KeyPath, found: usize, least: u64, most: u64) {
        if (found as u64) < least || found as u64 > most {
            let expected = if least == most { format!("{least}") } else { format!("{least} to {most}") };
            let finding = Finding::invalid(at.clone(), format!("{} has {found} entries", quoted(at)));
            self.found(finding.expected(expected));
        }
    }

    fn integer(&mut self, at: &KeyPath, n: &DeInteger<'_>, schema: &Value) {
        let (least, most) = bounds(schema);
        match i128::from_str_radix(n.as_str(), n.radix()) {
            Ok(n) if (least..=most).contains(&n) => {}
            _ => self
                .findings
                .push(Finding::invalid(at.clone(), format!("{} is {n}", quoted(at))).expected(wanted(schema))),
        }
    }

    fn text(&mut self, at: &KeyPath, text: &str, schema: &Value) {
        let length = text.chars().count() as u64;
        let least = schema["minLength"].as_u64().unwrap_or(0);
        let most = schema["maxLength"].as_u64().unwrap_or(u64::MAX);
        if length < least || length > most {
            let finding = Finding::invalid(at.clone(), format!("{} has {length} characters", quoted(at)));
            self.found(finding.expected(format!("{least} to {most} characters")));
        } else {
            self.format(at, text, schema, false);
        }
    }

    fn names(&mut self, at: &KeyPath, name: &str, schema: &Value) {
        self.format(at, name, schema, true);
    }

    fn format(&mut self, at: &KeyPath, text: &str, schema: &Value, is_key: bool) {
        let Some(format) = schema["format"].as_str().and_then(formats::named) else { return };
        if (format.holds)(text) {
            return;
        }
        let shown: String = text.chars().take(64).collect();
        let finding = if is_key {
            Finding::invalid(at.clone(), format!("`{shown}` is not a valid name here")).on_key()
        } else {
            Finding::invalid(at.clone(), format!("{} is {shown:?}", quoted(at)))
        };
        self.found(finding.expected(format.expected));
    }
}

/// Visits every table of a schema with its path: `[processes.NAME]`, `[[routes]]`.
pub(crate) fn tables<'s>(root: &'s Value, schema: &'s Value, path: &str, visit: &mut dyn FnMut(&str, &'s Value)) {
    let schema = resolve(root, schema);
    let inner = path.trim_start_matches('[').trim_end_matches(']');
    let join = |name: &str| if inner.is_empty() { name.to_owned() } else { format!("{inner}.{name}") };
    if schema["properties"].is_object() {
        visit(path, schema);
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let property = resolve(root, property);
        if is_type(property, "object") {
            tables(root, property, &format!("[{}]", join(name)), visit);
        } else if is_type(property, "array") {
            tables(root, &property["items"], &format!("[[{}]]", join(name)), visit);
        }
    }
    if schema["additionalProperties"].is_object() {
        tables(root, &schema["additionalProperties"], &format!("[{}]", join("NAME")), visit);
    }
}

/// The whole numbers that a schema takes; without `minimum` and `maximum` those of its Rust type.
pub(crate) fn bounds(schema: &Value) -> (i128, i128) {
    let most = match schema["format"].as_str() {
        Some("uint8") => u8::MAX.into(),
        Some("uint16") => u16::MAX.into(),
        Some("uint32") => u32::MAX.into(),
        // TOML's own numbers end here.
        _ => i64::MAX.into(),
    };
    let bound = |name: &str| schema[name].as_i64().map(i128::from);
    (bound("minimum").unwrap_or(0), bound("maximum").unwrap_or(most))
}

/// What a schema wants, in words.
pub(crate) fn wanted(schema: &Value) -> String {
    if let Some(format) = schema["format"].as_str().and_then(formats::named) {
        return format.expected.into();
    }
    if let Some(words) = words(schema) {
        return format!("one of {}", words.join(", "));
    }
    if is_type(schema, "integer") {
        return match bounds(schema) {
            (least, most) if most == i128::from(i64::MAX) => format!("a whole number, {least} or more"),
            (least, most) => format!("a whole number from {least} to {most}"),
        };
    }
    let kind =
        [("string", "a text in quotes"), ("boolean", "true or false"), ("array", "a list"), ("object", "a table")];
    kind.iter().find(|(name, _)| is_type(schema, name)).map_or("something else", |(_, words)| words).into()
}

fn type_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// How to write what was probably meant.
fn conversion(at: &KeyPath, found: &DeValue<'_>, schema: &Value) -> Option<String> {
    let key = at.last_key().unwrap_or_default();
    match found {
        DeValue::Integer(n) if is_type(schema, "string") => Some(format!("write it in quotes: \"{n}\"")),
        DeValue::Boolean(b) if is_type(schema, "string") => Some(format!("write it in quotes: \"{b}\"")),
        DeValue::String(text) if is_type(schema, "array") => Some(format!("write it as a list: [{text:?}]")),
        DeValue::String(text) if is_type(schema, "integer") => {
            if text.parse::<u64>().is_ok() {
                Some(format!("write it without quotes: {text}"))
            } else if key.ends_with("_ms") {
                Some("the number is in milliseconds: ten seconds are 10000".into())
            } else if key.contains("bytes") {
                Some("the number is in bytes: one MiB is 1048576".into())
            } else {
                None
            }
        }
        DeValue::Table(_) if is_type(schema, "array") => {
            at.last_key().map(|key| format!("write the header as [[{key}]]"))
        }
        _ => None,
    }
}

fn quoted(at: &KeyPath) -> String {
    format!("`{}`", at.last_key().unwrap_or("the file"))
}

fn in_table(at: &KeyPath) -> String {
    if at.steps().is_empty() { String::new() } else { format!(" in {at}") }
}
