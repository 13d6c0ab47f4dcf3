//! How both sides begin: the report of a start, the two hellos, the refusal.

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

use super::{VERSION, VERSION_MIN};
use crate::ticket::Ticket;

/// What init writes once to the pipe that it was started with.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Report {
    /// The application runs.
    Started(Ticket),
    /// Nothing was started, nothing was left behind.
    Failed(Failure),
}

/// Why init could not start an application: the step, and what the system said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The step that failed.
    pub stage: Stage,
    /// The system's error number, where there is one.
    pub errno: Option<i32>,
    /// What else is known.
    #[serde(default)]
    pub detail: Option<String>,
}

/// The steps of a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Reading the spec from the inherited memory file.
    Spec,
    /// Leaving the node's session.
    Detach,
    /// Listening on the control socket.
    Socket,
    /// Making the pipes and watching for signals.
    Pipes,
    /// Making the secrets' folder.
    Secrets,
    /// Waiting for the application: the node that asked for it is gone.
    Unwanted,
    /// Starting a process.
    Fork,
    /// Setting limits.
    Limits,
    /// Becoming the application's user.
    Uid,
    /// Entering the application's folder.
    Folder,
    /// Running `/bin/sh`.
    Exec,
}

impl Stage {
    /// A stage from its place in the list, as a child process tells it.
    pub(crate) fn from_index(index: u8) -> Option<Stage> {
        use Stage::*;
        [Spec, Detach, Socket, Pipes, Secrets, Unwanted, Fork, Limits, Uid, Folder, Exec]
            .get(usize::from(index))
            .copied()
    }
}

impl Failure {
    /// A step that the system refused.
    pub(crate) fn system(stage: Stage, error: impl Into<io::Error>) -> Failure {
        let error = error.into();
        let detail = error.raw_os_error().is_none().then(|| error.to_string());
        Failure { stage, errno: error.raw_os_error(), detail }
    }

    /// A step that failed for a reason of our own.
    pub(crate) fn because(stage: Stage, detail: impl Into<String>) -> Failure {
        Failure { stage, errno: None, detail: Some(detail.into()) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.stage {
            Stage::Spec => "init cannot read its orders",
            Stage::Detach => "init cannot leave the node's session",
            Stage::Socket => "init cannot listen on its socket",
            Stage::Pipes => "init cannot make its pipes",
            Stage::Secrets => "the secrets cannot be put into memory",
            Stage::Unwanted => "the node that asked for it does not wait any more",
            Stage::Fork => "no process can be started",
            Stage::Limits => "the limits cannot be set",
            Stage::Uid => "the application's user cannot be taken",
            Stage::Folder => "the application's folder cannot be entered",
            Stage::Exec => "/bin/sh cannot be run",
        })?;
        if let Some(detail) = &self.detail {
            write!(f, ": {detail}")?;
        }
        match self.errno {
            Some(errno) => write!(f, ": {}", io::Error::from_raw_os_error(errno)),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

/// The first frame of an init.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct InitHello {
    pub(crate) version: u16,
    pub(crate) version_min: u16,
    pub(crate) ticket: Ticket,
    /// What could not be had, in sentences.
    #[serde(default)]
    pub(crate) notes: Vec<String>,
}

/// The first frame of a node.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NodeHello {
    pub(crate) version: u16,
    pub(crate) version_min: u16,
}

impl NodeHello {
    pub(crate) fn ours() -> NodeHello {
        NodeHello { version: VERSION, version_min: VERSION_MIN }
    }
}

/// Init's answer to a node that it takes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Welcome {
    /// What both will speak.
    pub(crate) version: u16,
}

/// The highest version that both speak.
pub(crate) fn common_version(theirs: u16, theirs_min: u16) -> Option<u16> {
    let version = theirs.min(VERSION);
    (version >= theirs_min.max(VERSION_MIN)).then_some(version)
}

/// The last frame on a connection that init does not want.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Refusal {
    pub(crate) code: RefusalCode,
    pub(crate) text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RefusalCode {
    /// Another node is connected.
    Busy,
    /// No common version.
    Version,
    /// What was said is not of this protocol.
    Garbage,
    /// A code of a later version.
    #[serde(other)]
    Other,
}

/// What goes wrong between a node and an init.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The socket failed.
    #[error("the init's socket: {0}")]
    Io(#[from] io::Error),
    /// The peer is no process of ours.
    #[error("the process behind the socket is {found:?}, not the init {expected}")]
    Stranger {
        /// The init's process id.
        expected: u32,
        /// Whose socket it is, where the kernel says so.
        found: Option<i32>,
    },
    /// Another node has this instance.
    #[error("another node is connected to it: {text}")]
    Busy {
        /// What init says.
        text: String,
    },
    /// No common version of the protocol.
    #[error("the init speaks versions {theirs_min} to {theirs} of the protocol, this node {VERSION_MIN} to {VERSION}")]
    Version {
        /// Its newest.
        theirs: u16,
        /// Its oldest.
        theirs_min: u16,
    },
    /// The peer hung up before it had greeted.
    #[error("the init hung up: {text}")]
    Closed {
        /// What it said before, if anything.
        text: String,
    },
    /// What was said is not of this protocol.
    #[error("not understood: {what}")]
    Garbage {
        /// What was said.
        what: String,
    },
    /// It did not answer in time.
    #[error("the init did not answer in {ms} ms")]
    Silent {
        /// How long was waited.
        ms: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_versions_meet_at_the_highest_common_one() {
        assert_eq!(common_version(VERSION, VERSION_MIN), Some(VERSION));
        assert_eq!(common_version(VERSION + 5, 1), Some(VERSION), "a newer peer that still speaks ours");
        assert_eq!(common_version(VERSION + 5, VERSION + 1), None);
        assert_eq!(common_version(0, 0), None);
    }

    #[test]
    fn a_stage_survives_the_way_through_a_pipe() {
        for stage in [Stage::Spec, Stage::Uid, Stage::Folder, Stage::Exec] {
            assert_eq!(Stage::from_index(stage as u8), Some(stage));
        }
        assert_eq!(Stage::from_index(200), None);
    }
}
