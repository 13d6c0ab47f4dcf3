//! A TOML document that remembers where everything stood, and the problems found in it so far.

use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::{Code, ConfigError, FileKind, Problem};
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
        let problems = errors.iter().map(|e| syntax_problem(&source, e)).collect();
        ConfigError::of(kind, problems)?;
        Ok(Document { kind, source, root })
    }

    pub(crate) fn root(&self) -> &DeTable<'t> {
        self.root.get_ref()
    }

    /// Turns the document into its struct.
    pub(crate) fn deserialize<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        T::deserialize(toml::Deserializer::from(self.root.clone())).map_err(|e| {
            let path = e.span().map_or_else(KeyPath::root, |span| self.path_at(span.start));
            let problem = Problem {
                code: Code::Invalid,
                place: self.source.place(e.span().as_ref()),
                key: path.to_string(),
                message: e.message().trim().replace('\n', ", "),
                expected: None,
                hint: None,
                excerpt: e.span().and_then(|span| self.source.excerpt(&span)),
            };
            ConfigError::one(self.kind, problem)
        })
    }

    /// Puts findings into the order of the file, with their places.
    pub(crate) fn problems(&self, findings: Vec<Finding>) -> Result<(), ConfigError> {
        let mut located: Vec<(usize, Problem)> = findings
            .into_iter()
            .map(|finding| {
                let span = self.span(&finding.path, finding.spot);
                (span.as_ref().map_or(0, |s| s.start), locate(&self.source, finding, span))
            })
            .collect();
        located.sort_by_key(|(offset, _)| *offset);
        ConfigError::of(self.kind, located.into_iter().map(|(_, problem)| problem).collect())
    }

    /// Where a key or its value stands; what is absent is looked for one step up.
    pub(crate) fn span(&self, path: &KeyPath, spot: Spot) -> Option<Range<usize>> {
        let mut here: Option<Range<usize>> = None;
        let mut value: Option<&Spanned<DeValue<'t>>> = None;
        for (n, step) in path.steps().iter().enumerate() {
            let last = n + 1 == path.steps().len();
            let table = match (n, value.map(Spanned::get_ref)) {
                (0, _) => Some(self.root()),
                (_, Some(DeValue::Table(table))) => Some(table),
                _ => None,
            };
            let next = match (step, table, value.map(Spanned::get_ref)) {
                (Step::Key(name), Some(table), _) => match table.get_key_value(name.as_str()) {
                    Some((key, _)) if last && spot == Spot::Key => return Some(key.span()),
                    Some((_, value)) => Some(value),
                    None => None,
                },
                (Step::Index(n), _, Some(DeValue::Array(array))) => array.get(*n),
                _ => None,
            };
            let Some(next) = next else { break };
            here = Some(next.span());
            value = Some(next);
        }
        here
    }

    /// Whether the file has the key.
    pub(crate) fn has(&self, path: &KeyPath) -> bool {
        self.span(path, Spot::Key).is_some_and(|span| self.path_at(span.start) == *path)
    }

    /// The path to the innermost value around an offset.
    fn path_at(&self, offset: usize) -> KeyPath {
        in_table(self.root(), &KeyPath::root(), offset).unwrap_or_default()
    }
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

/// A finding with its place in a text.
pub(crate) fn locate(source: &Source<'_>, finding: Finding, span: Option<Range<usize>>) -> Problem {
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

fn syntax_problem(source: &Source<'_>, error: &toml::de::Error) -> Problem {
    let span = error.span();
    Problem {
        code: Code::Syntax,
        place: source.place(span.as_ref()),
        key: String::new(),
        message: format!("this is not valid TOML: {}", error.message().trim().replace('\n', ", ")),
        expected: None,
        hint: None,
        excerpt: span.and_then(|span| source.excerpt(&span)),
    }
}
