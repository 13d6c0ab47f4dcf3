//! What separates an instance from its neighbours, in the words of `forebay ps`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The level that was reached, never the one that was wished for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Isolation {
    /// It runs as a user of its own.
    pub uid: bool,
    /// Its memory and processes are limited by a control group.
    pub cgroup: bool,
}

impl fmt::Display for Isolation {
    /// `none`, `uid`, `cgroup`, `uid+cgroup`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match (self.uid, self.cgroup) {
            (false, false) => "none",
            (true, false) => "uid",
            (false, true) => "cgroup",
            (true, true) => "uid+cgroup",
        })
    }
}
