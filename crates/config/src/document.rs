//! A TOML document that remembers where everything stood, and the problems found in it so far.

use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::{Code, ConfigError, FileKind, PROBLEMS_MAX, Problem};
use crate::key_path::{KeyPath, Step};
use crate::source::Source;

/// Which part of `key = value` a problem is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spot {
    Key,
    Value,
}

/// A problem before its place in the file is looked up.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) code: Code,
    pub(crate) path: KeyPath,
    pub(crate) spot: Spot,
    pub(crate) message: String,
    pub(crate) expected: Option<String>,
    pub(crate) hint: Option<String>,
}

impl Finding {
    /// A value that cannot be used.
    pub(crate) fn invalid(path: KeyPath, message: impl Into<String>) -> Finding {
        let message = message.into();
        Finding { code: Code::Invalid, path, spot: Spot::Value, message, expected: None, hint: None }
    }

    pub(crate) fn code(self, code: Code) -> Finding {
        Finding { code, ..self }
    }

    /// The key is meant, not its value.
    pub(crate) fn on_key(self) -> Finding {
        Finding { spot: Spot::Key, ..self }
    }

    pub(crate) fn expected(self, what: impl Into<String>) -> Finding {
        Finding { expected: Some(what.into()), ..self }
    }

    pub(crate) fn hint(self, what: impl Into<String>) -> Finding {
        Finding { hint: Some(what.into()), ..self }
    }

    pub(crate) fn maybe_hint(self, what: Option<String>) -> Finding {
        Finding { hint: what.or(self.hint), ..self }
    }
}

/// The parsed text.
pub(crate) struct Document<'t> {
    pub(crate) kind: FileKind,
    pub(crate) source: Source<'t>,
    root: Spanned<DeTable<'t>>,
}

impl<'t> Document<'t> {
    /// Parses the text; all syntax errors that the parser can tell apart are told.
    pub(crate) fn parse(kind: FileKind, source: Source<'t>) -> Result<Document<'t>, ConfigError> {
        let (root, errors) = DeTable::parse_recoverable(source.text);
        told(kind, &source, errors.iter().map(|e| (e.span(), syntax_finding(e))).collect())?;
        Ok(Document { kind, source, root })
    }

    pub(crate) fn root(&self) -> &DeTable<'t> {
        self.root.get_ref()
    }

    /// Turns the document into its struct.
    pub(crate) fn deserialize<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        T::deserialize(toml::Deserializer::from(self.root.clone())).map_err(|e| {
            let path = e.span().map_or_else(KeyPath::root, |span| self.path_at(span.start));
            let finding = Finding::invalid(path, e.message().trim().replace('\n', ", "));
            ConfigError::one(self.kind, problem(&self.source, e.span(), finding))
        })
    }

    /// Puts findings into the order of the file, with their places.
    pub(crate) fn problems(&self, findings: Vec<Finding>) -> Result<(), ConfigError> {
        let placed = findings.into_iter().map(|finding| (self.span(&finding.path, finding.spot), finding));
        told(self.kind, &self.source, placed.collect())
    }

    /// Where a key or its value stands; what is absent is looked for one step up.
    pub(crate) fn span(&self, path: &KeyPath, spot: Spot) -> Option<Range<usize>> {
        let steps = path.steps();
        (1..=steps.len()).rev().find_map(|n| {
            let (key, value) = self.find(&steps[..n])?;
            let whole = n == steps.len();
            Some(key.filter(|_| whole && spot == Spot::Key).unwrap_or_else(|| value.span()))
        })
    }

    /// Whether the file has the key.
    pub(crate) fn has(&self, path: &KeyPath) -> bool {
        self.find(path.steps()).is_some()
    }

    /// The value at the end of the steps, and where its key stands when the last step is one.
    fn find(&self, steps: &[Step]) -> Option<(Option<Range<usize>>, &Spanned<DeValue<'t>>)> {
        let (last, way) = steps.split_last()?;
        let holder = if way.is_empty() { None } else { Some(self.find(way)?.1.get_ref()) };
        match (last, holder) {
            (Step::Key(name), None) => entry(self.root(), name),
            (Step::Key(name), Some(DeValue::Table(table))) => entry(table, name),
            (Step::Index(n), Some(DeValue::Array(items))) => items.get(*n).map(|item| (None, item)),
            _ => None,
        }
    }

    /// The path to the innermost value around an offset.
    fn path_at(&self, offset: usize) -> KeyPath {
        in_table(self.root(), &KeyPath::root(), offset).unwrap_or_default()
    }
}

fn entry<'a, 't>(table: &'a DeTable<'t>, name: &str) -> Option<(Option<Range<usize>>, &'a Spanned<DeValue<'t>>)> {
    table.get_key_value(name).map(|(key, value)| (Some(key.span()), value))
}

fn in_table(table: &DeTable<'_>, at: &KeyPath, offset: usize) -> Option<KeyPath> {
    table.iter().find_map(|(key, value)| {
        let here = at.key(key.get_ref());
        if key.span().contains(&offset) { Some(here) } else { in_value(value, &here, offset) }
    })
}

fn in_value(value: &Spanned<DeValue<'_>>, at: &KeyPath, offset: usize) -> Option<KeyPath> {
    let inner = match value.get_ref() {
        DeValue::Table(table) => in_table(table, at, offset),
        DeValue::Array(array) => array.iter().enumerate().find_map(|(n, item)| in_value(item, &at.index(n), offset)),
        _ => None,
    };
    inner.or_else(|| value.span().contains(&offset).then(|| at.clone()))
}

/// Puts findings into the order of the text; only those that will be told are looked up in it.
///
/// # Errors
/// The findings, when there are any.
pub(crate) fn told(
    kind: FileKind,
    source: &Source<'_>,
    mut findings: Vec<(Option<Range<usize>>, Finding)>,
) -> Result<(), ConfigError> {
    findings.sort_by_key(|(span, _)| span.as_ref().map_or(0, |span| span.start));
    let more = findings.len().saturating_sub(PROBLEMS_MAX);
    let told = findings.into_iter().take(PROBLEMS_MAX);
    ConfigError::of(kind, told.map(|(span, finding)| problem(source, span, finding)).collect(), more)
}

fn problem(source: &Source<'_>, span: Option<Range<usize>>, finding: Finding) -> Problem {
    Problem {
        code: finding.code,
        place: source.place(span.as_ref()),
        key: finding.path.to_string(),
        message: finding.message,
        expected: finding.expected,
        hint: finding.hint,
        excerpt: span.and_then(|span| source.excerpt(&span)),
    }
}

fn syntax_finding(error: &toml::de::Error) -> Finding {
    let message = format!("this is not valid TOML: {}", error.message().trim().replace('\n', ", "));
    Finding::invalid(KeyPath::root(), message).code(Code::Syntax)
}
