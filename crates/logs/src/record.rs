//! What comes in: a record, as a plane or an instance's output makes it.

use std::fmt;

use bytes::Bytes;
use serde_json::{Map, Value};
use stdx::clock::Wall;
use stdx::ids::{ProcessName, ReleaseNo, Scope};
use stdx::trace::{SpanId, TraceId};

use crate::level::Level;

/// Who said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// An instance of an application, by its output.
    App,
    /// The router: an access record.
    Router,
    /// The queue: what happened to a job.
    Queue,
    /// The deploy plane.
    Deploy,
    /// The node itself.
    Node,
}

impl Source {
    /// All of them, by their number on disk.
    pub(crate) const ALL: [Source; 5] = [Source::App, Source::Router, Source::Queue, Source::Deploy, Source::Node];

    /// The word for it in rows and queries.
    pub fn name(self) -> &'static str {
        match self {
            Source::App => "app",
            Source::Router => "router",
            Source::Queue => "queue",
            Source::Deploy => "deploy",
            Source::Node => "node",
        }
    }

    /// Reads [`Source::name`] back.
    pub fn from_name(name: &str) -> Option<Source> {
        Source::ALL.into_iter().find(|source| source.name() == name)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Which output of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// The word for it in rows and queries.
    pub fn name(self) -> &'static str {
        match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        }
    }

    /// Reads [`Stream::name`] back.
    pub fn from_name(name: &str) -> Option<Stream> {
        match name {
            "stdout" => Some(Stream::Stdout),
            "stderr" => Some(Stream::Stderr),
            _ => None,
        }
    }
}

/// What is said.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// A line of output as it came, without its newline. JSON objects in it become fields; see `docs/logs.md`.
    Line(Bytes),
    /// A message with fields, from a plane.
    Text {
        /// The sentence.
        message: String,
        /// What belongs to it.
        fields: Map<String, Value>,
    },
}

/// One record on its way in. Its number is given by the store.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// When it arrived at Forebay; a time inside a line stays a field of it.
    pub time: Wall,
    /// Who said it.
    pub source: Source,
    /// The application and environment, where it is of one.
    pub scope: Option<Scope>,
    /// The process type.
    pub process: Option<ProcessName>,
    /// The instance: `web.17`.
    pub instance: Option<String>,
    /// The release.
    pub release: Option<ReleaseNo>,
    /// Which output.
    pub stream: Option<Stream>,
    /// How bad it is; a level inside a JSON line wins.
    pub level: Level,
    /// The trace; one inside a JSON line wins.
    pub trace: Option<TraceId>,
    /// The span; one inside a JSON line wins.
    pub span: Option<SpanId>,
    /// What is said.
    pub body: Body,
    /// The number that the instance's init process gave it. Per scope and instance they must come in order: one that is
    /// not above the last one stored, nor later in time, is taken for a repetition and not stored again.
    pub origin_seq: Option<u64>,
    /// The length in bytes that the line had before somebody upstream cut it.
    pub cut_from: Option<u64>,
}

impl Record {
    /// A record of `source` with a message and nothing else.
    pub fn text(time: Wall, source: Source, level: Level, message: impl Into<String>) -> Record {
        let body = Body::Text { message: message.into(), fields: Map::new() };
        Record::new(time, source, level, body)
    }

    /// A line of an instance's output.
    pub fn line(time: Wall, scope: Scope, stream: Stream, bytes: Bytes) -> Record {
        Record {
            scope: Some(scope),
            stream: Some(stream),
            ..Record::new(time, Source::App, Level::Info, Body::Line(bytes))
        }
    }

    /// A record with the parts that every record has.
    pub fn new(time: Wall, source: Source, level: Level, body: Body) -> Record {
        Record {
            time,
            source,
            scope: None,
            process: None,
            instance: None,
            release: None,
            stream: None,
            level,
            trace: None,
            span: None,
            body,
            origin_seq: None,
            cut_from: None,
        }
    }

    /// Adds a field to a text record; a line is left as it is.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Record {
        if let Body::Text { fields, .. } = &mut self.body {
            fields.insert(key.into(), value.into());
        }
        self
    }

    /// Bytes of memory that it stands for while it waits, roughly: what the limit on waiting bytes is counted in.
    pub(crate) fn cost(&self) -> u64 {
        const STRUCT: usize = 256;
        let body = match &self.body {
            Body::Line(bytes) => bytes.len(),
            Body::Text { message, fields } => message.len() + map_cost(fields),
        };
        (STRUCT + body) as u64
    }
}

fn map_cost(map: &Map<String, Value>) -> usize {
    map.iter().map(|(key, value)| 32 + key.len() + value_cost(value)).sum()
}

fn value_cost(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 16,
        Value::String(text) => 24 + text.len(),
        Value::Array(values) => values.iter().map(value_cost).sum(),
        Value::Object(map) => map_cost(map),
    }
}
