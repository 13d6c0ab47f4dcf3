//! The little YAML of the stats and list commands, quoted as version 1.13 does.

use std::fmt::{Display, Write};

/// A document being written.
pub(crate) struct Yaml(String);

impl Yaml {
    pub(crate) fn new() -> Yaml {
        Yaml("---\n".into())
    }

    /// `key: value`
    pub(crate) fn line(&mut self, key: &str, value: impl Display) -> &mut Yaml {
        writeln!(self.0, "{key}: {value}").expect("a String takes what is written to it");
        self
    }

    /// `key: "value"`
    pub(crate) fn text(&mut self, key: &str, value: impl Display) -> &mut Yaml {
        writeln!(self.0, "{key}: \"{value}\"").expect("a String takes what is written to it");
        self
    }

    /// `- item`
    pub(crate) fn item(&mut self, item: impl Display) -> &mut Yaml {
        writeln!(self.0, "- {item}").expect("a String takes what is written to it");
        self
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}
