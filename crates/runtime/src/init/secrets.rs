//! Secrets as files in a private folder in memory.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

use crate::protocol::{Failure, Stage};
use crate::spec::Spec;

/// `TMPFS_MAGIC` of statfs(2).
const TMPFS_MAGIC: u64 = 0x0102_1994;
/// Where every Linux has memory for files.
const SHARED_MEMORY: &str = "/dev/shm";

/// Makes the folder (0700) and the files (0400), owned by the application's user. `None`: there are no secrets and no
/// place in memory where they could be.
pub(super) fn make(spec: &Spec) -> Result<Option<PathBuf>, Failure> {
    let Some(folder) = choose(spec) else {
        if spec.secrets.is_empty() {
            return Ok(None);
        }
        let wanted = spec.secrets_folder.display();
        return Err(Failure::because(
            Stage::Secrets,
            format!("neither {wanted} nor {SHARED_MEMORY} is in memory and within reach of the application"),
        ));
    };
    match fill(&folder, spec) {
        Ok(()) => Ok(Some(folder)),
        Err(error) => {
            remove(&folder);
            let detail = Some(folder.display().to_string());
            Err(Failure { detail, ..Failure::system(Stage::Secrets, error) })
        }
    }
}

/// Removes a folder of secrets and what the application has put beside them.
pub(crate) fn remove(folder: &Path) {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, folder = %folder.display(), "secrets remain in memory");
        }
        _ => {}
    }
}

fn choose(spec: &Spec) -> Option<PathBuf> {
    let wanted = &spec.secrets_folder;
    if wanted.parent().is_some_and(|parent| in_memory(parent) && within_reach(parent, spec.uid)) && !wanted.exists() {
        return Some(wanted.clone());
    }
    // Anybody may make names there, so ours cannot be guessed; and one that exists is never used.
    let shared = Path::new(SHARED_MEMORY);
    let name = format!("forebay-{}-{:016x}", spec.instance, random()?);
    (in_memory(shared) && within_reach(shared, spec.uid)).then(|| shared.join(name))
}

fn random() -> Option<u64> {
    let mut bytes = [0; 8];
    let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).ok()?;
    (filled == bytes.len()).then(|| u64::from_ne_bytes(bytes))
}

fn in_memory(folder: &Path) -> bool {
    rustix::fs::statfs(folder).is_ok_and(|stat| u64::try_from(stat.f_type).is_ok_and(|magic| magic == TMPFS_MAGIC))
}

/// Whether a user can pass through a folder and all above it.
fn within_reach(folder: &Path, uid: Option<u32>) -> bool {
    let Some(uid) = uid else { return true };
    let passable = |folder: &Path| {
        let Ok(meta) = folder.metadata() else { return false };
        let bit = if meta.uid() == uid { 0o100 } else { 0o001 };
        meta.mode() & bit != 0
    };
    folder.ancestors().filter(|ancestor| !ancestor.as_os_str().is_empty()).all(passable)
}

fn fill(folder: &Path, spec: &Spec) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(folder)?;
    for (name, value) in &spec.secrets {
        let path = folder.join(name);
        let mut file = File::options().write(true).create_new(true).mode(0o400).open(&path)?;
        file.write_all(value)?;
        if let Some(uid) = spec.uid {
            chown(&path, Some(uid), Some(uid))?;
        }
    }
    spec.uid.map_or(Ok(()), |uid| chown(folder, Some(uid), Some(uid)))
}
