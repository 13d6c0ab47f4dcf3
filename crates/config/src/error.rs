//! What is wrong with a configuration: all problems of a file at once, each with its place, key and what was expected.

use std::fmt;

use control::error::{ApiError, Kind};

/// Problems told of one file; there may be more.
pub(crate) const PROBLEMS_MAX: usize = 20;

/// Which of the files it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// `forebay.toml` or a `Procfile`.
    Manifest,
    /// `node.toml`, with the environment and the flags of a node.
    Node,
    /// `router.toml`.
    Router,
}

impl FileKind {
    /// What stable codes begin with.
    fn prefix(self) -> &'static str {
        match self {
            FileKind::Manifest => "manifest",
            FileKind::Node => "node_config",
            FileKind::Router => "router_config",
        }
    }

    /// The version of the format that this Forebay reads and writes.
    pub fn schema(self) -> u32 {
        1
    }
}

/// What sort of problem; with the file's kind it makes the stable code, such as `manifest_unknown_key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// There is no such file.
    Missing,
    /// The file is there and cannot be read, or is no UTF-8.
    Unreadable,
    /// The file is larger than any sensible one.
    TooLarge,
    /// It is not TOML, or not a Procfile.
    Syntax,
    /// A key that the schema does not have.
    UnknownKey,
    /// A key that the schema requires is absent.
    MissingKey,
    /// A value that is of the wrong type, out of range, malformed or at odds with another.
    Invalid,
    /// `schema` is newer than what this Forebay reads.
    SchemaNewer,
    /// The memory budgets add up to more than the node may use.
    MemoryExceeded,
}

impl Code {
    fn word(self) -> &'static str {
        match self {
            Code::Missing => "missing",
            Code::Unreadable => "unreadable",
            Code::TooLarge => "too_large",
            Code::Syntax => "syntax",
            Code::UnknownKey => "unknown_key",
            Code::MissingKey => "missing_key",
            Code::Invalid => "invalid",
            Code::SchemaNewer => "schema_newer",
            Code::MemoryExceeded => "memory_exceeded",
        }
    }
}

/// Where a problem is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a file, at a line and column counted from 1, the column in characters.
    Line {
        /// The file as the user knows it.
        file: String,
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// A file as a whole.
    File(String),
    /// A flag or an environment variable: `--http`, `FOREBAY_HTTP`.
    Setting(String),
}

impl fmt::Display for Place {
    /// `forebay.toml:12:1`, `forebay.toml`, `--http`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Line { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Place::File(name) | Place::Setting(name) => f.write_str(name),
        }
    }
}

/// The line of a problem and which part of it is meant, both in characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// The line's number, from 1.
    pub line: usize,
    /// The line's text, cut to what fits a screen.
    pub text: String,
    /// Characters before the part that is meant.
    pub begin: usize,
    /// Characters that are meant, at least one.
    pub length: usize,
}

impl Excerpt {
    /// Two lines: the source line behind its number, and carets below the part that is meant.
    pub fn lines(&self) -> [String; 2] {
        let number = self.line.to_string();
        let blank = " ".repeat(number.len());
        let carets = "^".repeat(self.length);
        [format!("{number} | {}", self.text), format!("{blank} | {}{carets}", " ".repeat(self.begin))]
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What sort of problem.
    pub code: Code,
    /// Where.
    pub place: Place,
    /// The key: `processes.web.instances`; empty when it is about the file as a whole.
    pub key: String,
    /// What is wrong, in a sentence without a full stop.
    pub message: String,
    /// What would have been right.
    pub expected: Option<String>,
    /// What to do.
    pub hint: Option<String>,
    /// The source line.
    pub excerpt: Option<Excerpt>,
}

impl Problem {
    /// `processes.web.instances (forebay.toml:12:1)`
    pub fn at(&self) -> String {
        if self.key.is_empty() { self.place.to_string() } else { format!("{} ({})", self.key, self.place) }
    }

    /// What is wrong and what would have been right, on one line.
    pub fn sentence(&self) -> String {
        match &self.expected {
            Some(expected) => format!("{}: expected {expected}", self.message),
            None => self.message.clone(),
        }
    }
}

impl fmt::Display for Problem {
    /// The sentence, the place, the source line and the hint, on lines of their own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  at {}", self.sentence(), self.at())?;
        for line in self.excerpt.iter().flat_map(Excerpt::lines) {
            write!(f, "\n  {line}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

/// Why a configuration cannot be used: at least one problem, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Which file.
    pub kind: FileKind,
    /// The first problems, at least one and at most 20.
    pub problems: Vec<Problem>,
    /// How many more there are, counted up to a thousand.
    pub more: usize,
}

impl ConfigError {
    /// An error of one problem.
    pub(crate) fn one(kind: FileKind, problem: Problem) -> ConfigError {
        ConfigError { kind, problems: vec![problem], more: 0 }
    }

    /// An error of the problems told and the number of the others.
    ///
    /// # Errors
    /// That error, when there is any problem.
    pub(crate) fn of(kind: FileKind, problems: Vec<Problem>, more: usize) -> Result<(), ConfigError> {
        if problems.is_empty() { Ok(()) } else { Err(ConfigError { kind, problems, more }) }
    }

    /// The stable code of the first problem: `manifest_unknown_key`.
    pub fn code(&self) -> String {
        let word = self.problems.first().map_or("invalid", |p| p.code.word());
        format!("{}_{word}", self.kind.prefix())
    }
}

impl fmt::Display for ConfigError {
    /// All problems, a blank line between two of them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.problems.iter().enumerate() {
            write!(f, "{}{problem}", if n > 0 { "\n\n" } else { "" })?;
        }
        if self.more > 0 {
            write!(f, "\n\nand {} more", self.more)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

impl From<ConfigError> for ApiError {
    /// One problem becomes the error itself, with its source line as details; several are counted in the message and
    /// told in the details.
    fn from(error: ConfigError) -> ApiError {
        let api = ApiError::new(Kind::Usage, error.code(), "");
        match error.problems.as_slice() {
            [one] => ApiError {
                message: one.sentence(),
                at: Some(one.at()),
                hint: one.hint.clone(),
                details: one.excerpt.iter().flat_map(Excerpt::lines).collect(),
                ..api
            },
            several => {
                let details = error.to_string().lines().map(str::to_owned).collect();
                let message = format!("{} problems in the configuration", several.len() + error.more);
                ApiError { message, at: several.first().map(Problem::at), details, ..api }
            }
        }
    }
}
