//! Where releases lie: `DATA/releases/<app>/<env>/<n>/`. A source is unpacked beside its place and renamed into it, so
//! that a folder with a number is always whole.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use control::error::{ApiError, Kind};
use stdx::ids::{ReleaseNo, Scope};

use crate::errors::is_full;
use crate::source::SourceLimits;
use crate::unpack::{Unpacked, unpack};

/// Ending of folders that are not whole.
const PARTIAL: &str = "partial";

/// The folder `DATA/releases`.
#[derive(Clone, Debug)]
pub(crate) struct Releases {
    root: PathBuf,
}

/// A source that is unpacked and has no number yet. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct Staged {
    folder: Option<PathBuf>,
    pub(crate) unpacked: Unpacked,
}

impl Staged {
    /// Where it lies.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.as_deref().unwrap_or(Path::new(""))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(folder) = self.folder.take() {
            remove(&folder);
        }
    }
}

impl Releases {
    /// Makes `root` where it is missing (0711: others may pass, not look).
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn open(root: PathBuf) -> io::Result<Releases> {
        passable(&root)?;
        Ok(Releases { root })
    }

    /// Where a release's source lies.
    pub(crate) fn folder(&self, scope: &Scope, source: ReleaseNo) -> PathBuf {
        self.scope(scope).join(source.0.to_string())
    }

    /// Unpacks an archive beside the releases of `scope`. Blocks.
    ///
    /// # Errors
    /// What is wrong with the archive, or the disk; nothing is left behind.
    pub(crate) fn stage(&self, scope: &Scope, archive: impl Read, limits: SourceLimits) -> Result<Staged, ApiError> {
        static UPLOADS: AtomicU64 = AtomicU64::new(0);
        let number = UPLOADS.fetch_add(1, Ordering::Relaxed);
        let home = self.scope(scope);
        make_home(&self.root, &home).map_err(|e| not_written(&home, &e))?;
        let folder = home.join(format!("upload-{number}.{PARTIAL}"));
        match unpack(archive, &folder, limits) {
            Ok(unpacked) => Ok(Staged { folder: Some(folder), unpacked }),
            Err(error) => {
                remove(&folder);
                Err(error.into())
            }
        }
    }

    /// Gives a staged source its number, and the application's user (where it has one) leave to read it. Blocks.
    ///
    /// # Errors
    /// What the system says; the source is then removed.
    pub(crate) fn place(
        &self,
        mut staged: Staged,
        scope: &Scope,
        release: ReleaseNo,
        uid: Option<u32>,
    ) -> Result<(), ApiError> {
        let to = self.folder(scope, release);
        let placed = || -> io::Result<()> {
            let from = staged.folder();
            let mode = if uid.is_some() { 0o750 } else { 0o700 };
            if let Some(uid) = uid {
                chown(from, None, Some(uid))?;
            }
            fs::set_permissions(from, fs::Permissions::from_mode(mode))?;
            fs::rename(from, &to)?;
            fs::File::open(self.scope(scope))?.sync_all()
        };
        placed().map_err(|e| not_written(&to, &e))?;
        staged.folder = None;
        Ok(())
    }

    /// Removes what is not among `kept`: sources of forgotten releases, uploads that a crash has left. Blocks.
    pub(crate) fn sweep(&self, scope: &Scope, kept: &BTreeSet<ReleaseNo>) {
        let home = self.scope(scope);
        let Ok(entries) = fs::read_dir(&home) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.parse().ok()).map(ReleaseNo);
            if number.is_some_and(|no| !kept.contains(&no)) {
                remove(&entry.path());
            }
        }
    }

    /// Removes uploads that a crash has left; at start, before anybody uploads. Blocks.
    pub(crate) fn sweep_uploads(&self, scope: &Scope) {
        let Ok(entries) = fs::read_dir(self.scope(scope)) else { return };
        for entry in entries.flatten() {
            if entry.path().extension().is_some_and(|ending| ending == PARTIAL) {
                remove(&entry.path());
            }
        }
    }

    fn scope(&self, scope: &Scope) -> PathBuf {
        self.root.join(scope.app.as_str()).join(scope.env.as_str())
    }
}

fn make_home(root: &Path, home: &Path) -> io::Result<()> {
    if let Some(app) = home.parent().filter(|app| app.starts_with(root)) {
        passable(app)?;
    }
    passable(home)
}

/// A folder that others may pass through and not list.
fn passable(folder: &Path) -> io::Result<()> {
    if !folder.is_dir() {
        fs::DirBuilder::new().recursive(true).mode(0o711).create(folder)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o711))?;
    }
    Ok(())
}

/// A folder that cannot be removed costs space and nothing else: it is said and tried again at the next sweep.
fn remove(folder: &Path) {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(folder = %folder.display(), %error, "cannot remove an old source");
        }
        _ => {}
    }
}

fn not_written(path: &Path, error: &io::Error) -> ApiError {
    let code = if is_full(error) { "disk_full" } else { "source_not_written" };
    ApiError::new(Kind::Failed, code, format!("cannot write {}: {error}", path.display()))
}
