//! Verbs that run to their end, and what they printed.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// A verb that has ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Itself, when it succeeded.
    pub(crate) fn ok(self) -> Ran {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self
    }

    /// Itself, when it ended with this exit code and this stable word.
    pub(crate) fn failed(self, exit: i32, code: &str) -> Ran {
        assert_eq!(self.code, Some(exit), "{self:#?}");
        assert!(self.stderr.lines().any(|line| line == format!("code: {code}")), "no `code: {code}` in {self:#?}");
        self
    }

    /// Itself, when it told all of these on stderr.
    pub(crate) fn says(self, words: &[&str]) -> Ran {
        for word in words {
            assert!(self.stderr.contains(word), "`{word}` is missing in {self:#?}");
        }
        self
    }

    /// The release that a `deploy --json` or `rollback --json` ended with.
    pub(crate) fn release(self) -> u64 {
        let ran = self.ok();
        let last: Value = serde_json::from_str(ran.stdout.lines().last().unwrap_or_default()).unwrap();
        assert_eq!(last["event"], "done", "{ran:#?}");
        last["release"].as_u64().unwrap()
    }
}

/// A binary, told where its data is, without what the caller's environment might say.
pub(super) fn forebay(binary: &Path, data: &Path) -> Command {
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("FOREBAY_")) {
        command.env_remove(name);
    }
    command.arg("--data").arg(data).stdin(Stdio::null());
    command
}

pub(super) fn run(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}
