//! One holder per plane folder: `DATA/queue/LOCK` and the like.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// A held lock; dropping it lets go. The kernel lets go of it when the process dies, however it dies.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

/// Why a folder could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it; `holder` is what it wrote about itself.
    #[error("{} is in use by {holder}", folder.display())]
    Held {
        /// The folder that was asked for.
        folder: PathBuf,
        /// What the holder says of itself: `pid 4711 (forebay node)`.
        holder: String,
    },
    /// The lock file could not be opened or written.
    #[error("cannot lock {}: {source}", folder.display())]
    Io {
        /// The folder that was asked for.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl FolderLock {
    /// Creates `folder` (mode 0700) where it is missing and takes its `LOCK`; `who` tells others who has it.
    ///
    /// # Errors
    /// [`LockError::Held`] when another process has the folder, [`LockError::Io`] when it cannot be opened.
    pub fn take(folder: &Path, who: &str) -> Result<FolderLock, LockError> {
        let failed = |source| LockError::Io { folder: folder.to_path_buf(), source };
        make_private_dir(folder).map_err(failed)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(folder.join("LOCK"))
            .map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut text = String::new();
                file.take(200).read_to_string(&mut text).map_err(failed)?;
                let holder = if text.trim().is_empty() { "another process".into() } else { text.trim().into() };
                return Err(LockError::Held { folder: folder.to_path_buf(), holder });
            }
            Err(errno) => return Err(failed(errno.into())),
        }
        file.set_len(0).map_err(failed)?;
        file.rewind().map_err(failed)?;
        writeln!(file, "pid {} ({who})", std::process::id()).map_err(failed)?;
        Ok(FolderLock { _file: file })
    }
}

/// Creates a folder and its parents, the last with mode 0700; one that is there already is left as it is.
///
/// # Errors
/// What the system says when it cannot be made.
pub fn make_private_dir(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        other => other,
    }
}
