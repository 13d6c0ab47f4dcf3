//! The path to a key: `processes.web.instances`, `routes[0].host`, `env."odd key"`.

use std::fmt;

/// One step of the way to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

/// From the root of a file to a key or value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyPath(Vec<Step>);

impl KeyPath {
    pub(crate) fn root() -> KeyPath {
        KeyPath::default()
    }

    /// The path to `name` in the table at this path.
    pub(crate) fn key(&self, name: &str) -> KeyPath {
        self.with(Step::Key(name.into()))
    }

    /// The path to item `n` of the array at this path.
    pub(crate) fn index(&self, n: usize) -> KeyPath {
        self.with(Step::Index(n))
    }

    fn with(&self, step: Step) -> KeyPath {
        let mut steps = self.0.clone();
        steps.push(step);
        KeyPath(steps)
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.0
    }

    /// The name of the last key on the path.
    pub(crate) fn last_key(&self) -> Option<&str> {
        self.0.iter().rev().find_map(|step| match step {
            Step::Key(name) => Some(name.as_str()),
            Step::Index(_) => None,
        })
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(name) => {
                    let dot = if n > 0 { "." } else { "" };
                    let bare =
                        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
                    if bare { write!(f, "{dot}{name}")? } else { write!(f, "{dot}{name:?}")? }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_as_one_would_write_it() {
        let path = KeyPath::root().key("routes").index(1).key("host");
        assert_eq!(path.to_string(), "routes[1].host");
        assert_eq!(path.last_key(), Some("host"));
        assert_eq!(KeyPath::root().key("env").key("A B").to_string(), "env.\"A B\"");
    }
}
