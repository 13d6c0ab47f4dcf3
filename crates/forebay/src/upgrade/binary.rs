//! Which program takes over: the one that now has the name by which this one was started, with the same arguments.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How this process was started.
#[derive(Clone, Debug)]
pub(crate) struct Binary {
    path: PathBuf,
    words: Vec<OsString>,
}

impl Binary {
    /// Looks while the file that this process was started from is still there: afterwards the kernel calls it deleted.
    pub(crate) fn of_this_process() -> io::Result<Binary> {
        let words: Vec<OsString> = env::args_os().collect();
        let running = env::current_exe()?;
        // By the name that was typed rather than by that of the file: it may be a link that an upgrade turns elsewhere.
        let path = words.first().and_then(|typed| named(Path::new(typed), &running));
        Ok(Binary { path: path.unwrap_or(running), words })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What starts it as this process was started.
    pub(crate) fn command(&self) -> Command {
        self.command_of(&self.path)
    }

    /// The same of another file.
    pub(super) fn command_of(&self, path: &Path) -> Command {
        let mut command = Command::new(path);
        let mut words = self.words.iter();
        if let Some(first) = words.next() {
            command.arg0(first);
        }
        command.args(words);
        command
    }
}

/// The path that `typed` stands for, if that is the program that runs.
fn named(typed: &Path, running: &Path) -> Option<PathBuf> {
    let is_it = |path: &PathBuf| fs::canonicalize(path).is_ok_and(|found| found == running);
    if typed.components().count() > 1 {
        return std::path::absolute(typed).ok().filter(is_it);
    }
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(typed)).find(is_it)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_followed_anew_and_a_made_up_name_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let running = fs::canonicalize(env::current_exe().unwrap()).unwrap();
        let link = dir.path().join("forebay");
        std::os::unix::fs::symlink(&running, &link).unwrap();
        assert_eq!(named(&link, &running), Some(link));
        assert_eq!(named(Path::new("/bin/sh"), &running), None);
        assert_eq!(named(Path::new("no-such-program"), &running), None);
    }
}
