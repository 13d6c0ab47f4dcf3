//! One holder per plane folder: `DATA/queue/LOCK` and the like.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustix::fs::{FlockOperation, flock};

/// A held lock; dropping it lets go. The kernel lets go of it when the process dies, however it dies.
///
/// It belongs to the open file and not to the process: a process that is handed the file has the lock too, and both must let
/// go of it before anybody else gets it.
#[derive(Debug)]
pub struct FolderLock {
    file: Arc<File>,
    who: String,
}

/// The locks of this process: each that it has, and those that the program before it left when it executed this one.
static LOCKS: Mutex<Locks> = Mutex::new(Locks { held: Vec::new(), left: Vec::new() });

struct Locks {
    held: Vec<Weak<File>>,
    left: Vec<OwnedFd>,
}

fn locks() -> MutexGuard<'static, Locks> {
    LOCKS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Second handles of all locks that this process has, for the program that it executes in its place. As long as one of them is
/// open nobody else gets the lock, whatever becomes of the first.
///
/// # Errors
/// When there are no descriptors left.
pub fn held() -> io::Result<Vec<OwnedFd>> {
    let files: Vec<Arc<File>> = locks().held.iter().filter_map(Weak::upgrade).collect();
    files.iter().map(|file| Ok(file.try_clone()?.into())).collect()
}

/// Locks that the program before left: [`FolderLock::take`] goes on with that of its folder.
pub fn left(handles: Vec<OwnedFd>) {
    locks().left.extend(handles);
}

/// Lets go of what the program before left and nobody took.
pub fn let_go_of_the_rest() {
    locks().left.clear();
}

/// What was left for this folder.
fn take_left(folder: &Path) -> Option<File> {
    let at = fs::metadata(folder.join("LOCK")).ok()?;
    let mut locks = locks();
    let index = locks.left.iter().position(|handle| {
        rustix::fs::fstat(handle).is_ok_and(|found| (found.st_dev, found.st_ino) == (at.dev(), at.ino()))
    })?;
    Some(locks.left.swap_remove(index).into())
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
        let anew = || {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o600).open(folder.join("LOCK"))
        };
        let file = take_left(folder).map_or_else(anew, Ok).map_err(failed)?;
        let lock = FolderLock::hold(folder, file, who)?;
        lock.sign().map_err(failed)?;
        Ok(lock)
    }

    /// Goes on with a lock on `folder` that another process has handed over, and still has: whoever of the two is to keep it
    /// [signs](FolderLock::sign) it.
    ///
    /// # Errors
    /// [`LockError::Io`] when it is the lock of another folder, [`LockError::Held`] when it was let go meanwhile and somebody
    /// else has it.
    pub fn handed(folder: &Path, file: OwnedFd, who: &str) -> Result<FolderLock, LockError> {
        let failed = |source| LockError::Io { folder: folder.to_path_buf(), source };
        let file = File::from(file);
        let (of, at) = (file.metadata().map_err(failed)?, fs::metadata(folder.join("LOCK")).map_err(failed)?);
        if (of.dev(), of.ino()) != (at.dev(), at.ino()) {
            return Err(failed(io::Error::other("the lock that was handed over is that of another folder")));
        }
        FolderLock::hold(folder, file, who)
    }

    fn hold(folder: &Path, mut file: File, who: &str) -> Result<FolderLock, LockError> {
        let failed = |source| LockError::Io { folder: folder.to_path_buf(), source };
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                let file = Arc::new(file);
                let mut locks = locks();
                locks.held.retain(|held| held.strong_count() > 0);
                locks.held.push(Arc::downgrade(&file));
                Ok(FolderLock { file, who: who.into() })
            }
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut text = String::new();
                file.rewind().and_then(|()| file.take(200).read_to_string(&mut text)).map_err(failed)?;
                let holder = if text.trim().is_empty() { "another process".into() } else { text.trim().into() };
                Err(LockError::Held { folder: folder.to_path_buf(), holder })
            }
            Err(errno) => Err(failed(errno.into())),
        }
    }

    /// Writes down that this process has it.
    ///
    /// # Errors
    /// What the system says.
    pub fn sign(&self) -> io::Result<()> {
        let mut file = &*self.file;
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "pid {} ({})", std::process::id(), self.who)
    }

    /// A second handle of the lock, for another process.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub fn to_hand_over(&self) -> io::Result<OwnedFd> {
        Ok(self.file.try_clone()?.into())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_handed_over_outlasts_the_one_who_had_it() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("router");
        let old = FolderLock::take(&folder, "old").unwrap();
        let new = FolderLock::handed(&folder, old.to_hand_over().unwrap(), "new").unwrap();
        new.sign().unwrap();
        drop(old);
        let said = FolderLock::take(&folder, "third").unwrap_err().to_string();
        assert!(said.ends_with(&format!("is in use by pid {} (new)", std::process::id())), "{said}");
        drop(new);
        FolderLock::take(&folder, "third").unwrap();
    }

    #[test]
    fn a_lock_that_was_left_is_taken_up_by_its_folder() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("queue");
        let old = FolderLock::take(&folder, "old").unwrap();
        let left_by_old: Vec<OwnedFd> = vec![old.to_hand_over().unwrap()];
        assert!(!held().unwrap().is_empty());
        drop(old);
        assert!(matches!(FolderLock::take(&folder, "other"), Err(LockError::Held { .. })), "it is still held");
        left(left_by_old);
        let new = FolderLock::take(&folder, "new").unwrap();
        assert!(matches!(FolderLock::take(&folder, "other"), Err(LockError::Held { .. })));
        drop(new);
        FolderLock::take(&folder, "other").unwrap();
    }

    #[test]
    fn the_lock_of_another_folder_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let [one, other] = ["one", "other"].map(|name| FolderLock::take(&dir.path().join(name), name).unwrap());
        let error = FolderLock::handed(&dir.path().join("other"), one.to_hand_over().unwrap(), "one").unwrap_err();
        assert!(matches!(error, LockError::Io { .. }), "{error}");
        drop(other);
    }
}
