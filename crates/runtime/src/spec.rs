//! What an instance is to be: the command, its surroundings and its bounds.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use stdx::ids::{InstanceId, ReleaseNo, Scope};

use crate::protocol::MESSAGE_BYTES_LIMIT;

/// Bytes that fit the path of a unix socket (`sun_path` of unix(7), with its closing NUL).
const SOCKET_PATH_BYTES_MAX: usize = 107;
/// Bytes of all secrets of one instance: they lie in memory.
const SECRETS_BYTES_MAX: usize = 1 << 20;
/// Bytes of command and environment: far below what `execve` takes, far above what anybody needs.
const ENVIRONMENT_BYTES_MAX: usize = 512 << 10;

/// All that `forebay init` must know to run one instance. It reaches init through an inherited memory file, never
/// through arguments or the environment.
#[derive(Clone, Serialize, Deserialize)]
pub struct Spec {
    /// Whose instance it is.
    pub scope: Scope,
    /// Which run; never reused on a node.
    pub instance: InstanceId,
    /// The release that it runs.
    pub release: ReleaseNo,
    /// The command line, run by `/bin/sh -c`; a plain command replaces the shell (`exec`).
    pub command: String,
    /// The folder it is run in.
    pub folder: PathBuf,
    /// The whole environment; only `FOREBAY_SECRETS` is added.
    pub env: Vec<(OsString, OsString)>,
    /// Secrets by name, each a file in the folder that `FOREBAY_SECRETS` names.
    pub secrets: Vec<(String, Vec<u8>)>,
    /// Where the secrets' folder should be made. Where that is not in memory or not within reach of `uid`, init makes
    /// one in `/dev/shm` instead.
    pub secrets_folder: PathBuf,
    /// The user (and the group of the same number) that it runs as; `None`: as the node itself. Never 0.
    pub uid: Option<u32>,
    /// What it may use, and what is kept of its output.
    pub limits: Limits,
    /// Whether a control group is asked for.
    pub cgroups: Cgroups,
    /// Milliseconds for which full buffers may hold up its output before lines are dropped and counted.
    pub stdout_block_ms: u32,
    /// Milliseconds from SIGTERM to SIGKILL when init itself is told to end (shutdown of the machine).
    pub stop_timeout_ms: u32,
    /// Where init listens; at most 107 bytes, in a private folder.
    pub socket: PathBuf,
}

/// Whether an instance gets a control group of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cgroups {
    /// Where the machine allows it; `Isolation` says what came of it.
    WhereAllowed,
    /// Never.
    Off,
}

/// The bounds of one instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Bytes of memory, where a control group can be had.
    pub memory_bytes_max: Option<u64>,
    /// Processes and threads, where a control group can be had.
    pub pids_max: Option<u32>,
    /// Open files; `None`: what the node itself was started with.
    pub open_files_max: Option<u32>,
    /// Bytes of output that init keeps until they are acknowledged.
    pub output_bytes_max: u32,
    /// Bytes of one line; what is longer is cut and says so.
    pub message_bytes_max: u32,
    /// Milliseconds that processes left behind by the application may go on writing after its end.
    pub drain_ms: u32,
    /// Milliseconds for which last lines and exit status wait for a node.
    pub unclaimed_ms: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            memory_bytes_max: None,
            pids_max: None,
            open_files_max: None,
            output_bytes_max: 1 << 20,
            message_bytes_max: 64 << 10,
            drain_ms: 1_000,
            unclaimed_ms: 7 * 24 * 3_600_000,
        }
    }
}

/// Why a spec cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// There is nothing to run.
    #[error("the command is empty")]
    CommandEmpty,
    /// A NUL byte cannot be passed to a process.
    #[error("{what} contains a NUL byte")]
    Nul {
        /// `the command`, `the variable NAME`.
        what: String,
    },
    /// No application runs as root.
    #[error("an application never runs as user 0")]
    UidZero,
    /// The path of the socket does not fit the kernel's field.
    #[error("the socket path {} is {bytes} bytes long; at most {SOCKET_PATH_BYTES_MAX} are possible: use a shorter runtime folder", path.display())]
    SocketPathTooLong {
        /// The path.
        path: PathBuf,
        /// Its length.
        bytes: usize,
    },
    /// A secret's name is the name of a file.
    #[error("`{name}` cannot be the name of a secret: use letters, digits, '_', '-' and '.', not beginning with '.'")]
    SecretName {
        /// The name.
        name: String,
    },
    /// The secrets, or the command with its environment, are larger than what is allowed.
    #[error("{what} take {bytes} bytes; at most {bytes_max} are allowed")]
    TooLarge {
        /// `the secrets`, `command and environment`.
        what: &'static str,
        /// How much it is.
        bytes: usize,
        /// How much it may be.
        bytes_max: usize,
    },
    /// The bounds of the output contradict each other.
    #[error(
        "output_bytes_max ({output}) must be at least 8 x (message_bytes_max + 64), message_bytes_max ({message}) 1 to {MESSAGE_BYTES_LIMIT}"
    )]
    OutputLimits {
        /// `limits.output_bytes_max`.
        output: u32,
        /// `limits.message_bytes_max`.
        message: u32,
    },
}

impl Spec {
    /// Checks all that can be checked without touching the machine.
    ///
    /// # Errors
    /// What cannot be run, and why.
    pub fn check(&self) -> Result<(), SpecError> {
        if self.command.trim().is_empty() {
            return Err(SpecError::CommandEmpty);
        }
        if self.uid == Some(0) {
            return Err(SpecError::UidZero);
        }
        check_socket(&self.socket)?;
        self.check_environment()?;
        self.check_secrets()?;
        self.limits.check()
    }

    fn check_environment(&self) -> Result<(), SpecError> {
        let nul = |what: String| Err(SpecError::Nul { what });
        if self.command.contains('\0') {
            return nul("the command".into());
        }
        if self.folder.as_os_str().as_bytes().contains(&0) {
            return nul("the folder".into());
        }
        for (name, value) in &self.env {
            let odd_name = name.is_empty() || name.as_bytes().iter().any(|b| matches!(b, 0 | b'='));
            if odd_name || value.as_bytes().contains(&0) {
                return nul(format!("the variable {}", name.to_string_lossy().replace('\0', "\\0")));
            }
        }
        let bytes = self.command.len() + self.env.iter().map(|(n, v)| n.len() + v.len() + 2).sum::<usize>();
        within("command and environment", bytes, ENVIRONMENT_BYTES_MAX)
    }

    fn check_secrets(&self) -> Result<(), SpecError> {
        for (name, _) in &self.secrets {
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
            if !(1..=100).contains(&name.len()) || name.starts_with('.') || !name.bytes().all(plain) {
                return Err(SpecError::SecretName { name: name.chars().take(100).collect() });
            }
        }
        within("the secrets", self.secrets.iter().map(|(_, value)| value.len()).sum(), SECRETS_BYTES_MAX)
    }
}

impl Limits {
    fn check(&self) -> Result<(), SpecError> {
        let (output, message) = (self.output_bytes_max, self.message_bytes_max);
        let fits = (1..=MESSAGE_BYTES_LIMIT).contains(&message) && output / 8 >= message + 64;
        if fits { Ok(()) } else { Err(SpecError::OutputLimits { output, message }) }
    }
}

fn within(what: &'static str, bytes: usize, bytes_max: usize) -> Result<(), SpecError> {
    if bytes <= bytes_max { Ok(()) } else { Err(SpecError::TooLarge { what, bytes, bytes_max }) }
}

fn check_socket(path: &Path) -> Result<(), SpecError> {
    match path.as_os_str().len() {
        bytes if bytes > SOCKET_PATH_BYTES_MAX => Err(SpecError::SocketPathTooLong { path: path.into(), bytes }),
        _ => Ok(()),
    }
}

impl fmt::Debug for Spec {
    /// Names only: values of secrets and of the environment are nobody's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spec")
            .field("scope", &self.scope)
            .field("instance", &self.instance)
            .field("release", &self.release)
            .field("command", &self.command)
            .field("folder", &self.folder)
            .field("env", &self.env.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("secrets", &self.secrets.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("uid", &self.uid)
            .field("limits", &self.limits)
            .field("socket", &self.socket)
            .finish_non_exhaustive()
    }
}
