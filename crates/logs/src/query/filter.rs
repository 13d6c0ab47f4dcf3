//! What must hold of a record: terms that are all to be true.

use serde_json::Value;
use stdx::ids::{AppName, EnvName, ProcessName, ReleaseNo};
use stdx::trace::{SpanId, TraceId};

use super::needle::Needle;
use super::text::{self, SyntaxError};
use crate::format::View;
use crate::level::Level;
use crate::record::{Source, Stream};

/// Terms, all of which a record must meet. None: every record does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    terms: Vec<(Sign, Term)>,
}

/// Whether a term is to hold or not to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    Must,
    MustNot,
}

/// One condition on a record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Term {
    App(AppName),
    Env(EnvName),
    Process(ProcessName),
    Instance(String),
    Source(Source),
    Stream(Stream),
    /// This level or worse.
    Level(Level),
    Trace(TraceId),
    Span(SpanId),
    Release(ReleaseNo),
    /// In the message or anywhere in the fields.
    Text(Needle),
    Message(Needle),
    /// A field has this value.
    Field {
        key: String,
        value: Needle,
    },
    /// A field is there.
    HasField {
        key: String,
    },
}

impl Filter {
    /// Reads the query language: words, `"phrases"`, `key:value`, each with `-` before it for *not*. See `docs/logs.md`.
    ///
    /// # Errors
    /// What is wrong, at which column, and what to write instead.
    pub fn parse(text: &str) -> Result<Filter, SyntaxError> {
        Ok(Filter { terms: text::parse(text)? })
    }

    /// Only records of this application.
    #[must_use]
    pub fn app(self, app: AppName) -> Filter {
        self.and(Term::App(app))
    }

    /// Only records of this environment.
    #[must_use]
    pub fn env(self, env: EnvName) -> Filter {
        self.and(Term::Env(env))
    }

    /// Only records of this process type.
    #[must_use]
    pub fn process(self, process: ProcessName) -> Filter {
        self.and(Term::Process(process))
    }

    /// Only records of this instance: `web.17`.
    #[must_use]
    pub fn instance(self, instance: impl Into<String>) -> Filter {
        self.and(Term::Instance(instance.into()))
    }

    /// Only records of this source.
    #[must_use]
    pub fn source(self, source: Source) -> Filter {
        self.and(Term::Source(source))
    }

    /// Only records of this level or worse.
    #[must_use]
    pub fn level(self, level: Level) -> Filter {
        self.and(Term::Level(level))
    }

    /// Only records of this trace.
    #[must_use]
    pub fn trace(self, trace: TraceId) -> Filter {
        self.and(Term::Trace(trace))
    }

    /// Only records that meet the other filter too.
    #[must_use]
    pub fn and_all(mut self, other: Filter) -> Filter {
        self.terms.extend(other.terms);
        self
    }

    fn and(mut self, term: Term) -> Filter {
        self.terms.push((Sign::Must, term));
        self
    }

    /// Says whether a record meets it.
    pub(crate) fn admits(&self, record: &View<'_>) -> bool {
        self.terms.iter().all(|(sign, term)| term.holds(record) == (*sign == Sign::Must))
    }
}

impl Term {
    fn holds(&self, record: &View<'_>) -> bool {
        match self {
            Term::App(app) => record.app == Some(app.as_str()),
            Term::Env(env) => record.env == Some(env.as_str()),
            Term::Process(process) => record.process == Some(process.as_str()),
            Term::Instance(instance) => record.instance == Some(instance.as_str()),
            Term::Source(source) => record.source == Some(*source),
            Term::Stream(stream) => record.stream == Some(*stream),
            Term::Level(level) => record.level.is_at_least(*level),
            Term::Trace(trace) => record.trace == Some(*trace),
            Term::Span(span) => record.span == Some(*span),
            Term::Release(release) => record.release == Some(release.0),
            Term::Text(needle) => needle.is_in(record.message) || needle.is_in(record.fields),
            Term::Message(needle) => needle.is_in(record.message),
            Term::Field { key, value } => with_field(record, key, |found| equals(found, value)),
            Term::HasField { key } => with_field(record, key, |_| true),
        }
    }
}

/// Looks a field up, first by its whole name, then by its dotted path; the JSON is read only where the name's last part
/// stands in it.
fn with_field(record: &View<'_>, key: &str, test: impl Fn(&Value) -> bool) -> bool {
    let last = key.rsplit('.').next().unwrap_or(key);
    if memchr::memmem::find(record.fields.as_bytes(), last.as_bytes()).is_none() {
        return false;
    }
    let Ok(fields) = serde_json::from_str::<Value>(record.fields) else { return false };
    let by_path = || key.split('.').try_fold(&fields, |value, part| value.get(part));
    fields.get(key).or_else(by_path).is_some_and(test)
}

fn equals(found: &Value, wanted: &Needle) -> bool {
    match found {
        Value::String(text) => wanted.is(text),
        other => wanted.is(&other.to_string()),
    }
}
