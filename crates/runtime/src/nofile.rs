//! The limit of open files: the node takes all it may have, its children get what they would have had without it.

use std::io;
use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The soft limit that this process was started with.
static ORIGINAL: OnceLock<Option<u64>> = OnceLock::new();

/// Why the limit could not be raised.
#[derive(Debug, thiserror::Error)]
#[error("cannot raise the limit of open files to {wanted:?}: {source}")]
pub struct NofileError {
    /// The hard limit; `None`: none.
    wanted: Option<u64>,
    source: io::Error,
}

/// Raises the soft limit of open files to the hard one and remembers what it was, for the children. Returns the limit
/// that now holds; `None`: none.
///
/// # Errors
/// When the system refuses.
pub fn raise_nofile() -> Result<Option<u64>, NofileError> {
    let limit = getrlimit(Resource::Nofile);
    ORIGINAL.get_or_init(|| limit.current);
    let wanted = limit.maximum;
    setrlimit(Resource::Nofile, Rlimit { current: wanted, maximum: wanted })
        .map_err(|errno| NofileError { wanted, source: errno.into() })?;
    Ok(wanted)
}

/// The soft limit that children are given: the one from before [`raise_nofile`].
pub(crate) fn original_nofile() -> Option<u64> {
    *ORIGINAL.get_or_init(|| getrlimit(Resource::Nofile).current)
}

/// Takes the soft limit back to what it was before [`raise_nofile`], for a program that is executed in the place of this one
/// and will raise it itself. What is open stays open.
///
/// # Errors
/// When the system refuses.
pub fn restore_nofile() -> Result<(), NofileError> {
    let (wanted, maximum) = (original_nofile(), getrlimit(Resource::Nofile).maximum);
    setrlimit(Resource::Nofile, Rlimit { current: wanted, maximum })
        .map_err(|errno| NofileError { wanted, source: errno.into() })
}
