//! Who said it: so that an error about an address names the line, the variable or the flag it came from.

use std::fmt;

/// Where a setting came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// A line of `node.toml`.
    File {
        /// The file.
        name: String,
        /// The line, from 1.
        line: usize,
    },
    /// A variable: `FOREBAY_HTTP`.
    Variable(&'static str),
    /// A flag: `--http`.
    Flag(&'static str),
}

impl Origin {
    /// A key with its origin, as errors name it: `router.listen (node.toml:12)`, `router.listen (--http)`.
    pub fn at(&self, key: &str) -> String {
        format!("{key} ({self})")
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File { name, line } => write!(f, "{name}:{line}"),
            Origin::Variable(name) | Origin::Flag(name) => f.write_str(name),
        }
    }
}

/// Who said where to listen and where to keep things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origins {
    /// Of `data`.
    pub data: Origin,
    /// Of `key_file`.
    pub key_file: Origin,
    /// Of `router.listen`.
    pub http: Origin,
    /// Of `router.tls.listen`.
    pub https: Origin,
    /// Of `queue.listen`.
    pub queue: Origin,
    /// Of `admin.listen`.
    pub admin: Origin,
}
