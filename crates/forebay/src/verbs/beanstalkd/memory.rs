//! Where a queue without `-b` lies: a private folder in memory that goes with the process.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// How the folders are called, before the process's id.
const PREFIX: &str = "forebay-beanstalkd-";

/// The folder; dropping it removes it.
pub(super) struct MemoryFolder(PathBuf);

impl MemoryFolder {
    /// Makes one in `/dev/shm`, or where temporary files go when there is none, and removes those that processes killed
    /// before left there.
    pub(super) fn make() -> io::Result<MemoryFolder> {
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
        sweep(&base)?;
        let folder = base.join(format!("{PREFIX}{}", std::process::id()));
        stdx::lock::make_private_dir(&folder)?;
        Ok(MemoryFolder(folder))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for MemoryFolder {
    fn drop(&mut self) {
        if let Err(cause) = fs::remove_dir_all(&self.0) {
            tracing::warn!(%cause, folder = %self.0.display(), "a folder in memory stays behind");
        }
    }
}

/// Removes our folders whose process is gone; one that somebody else removes at the same time is no matter.
fn sweep(base: &Path) -> io::Result<()> {
    for entry in fs::read_dir(base)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else { continue };
        let ours = entry.metadata().is_ok_and(|meta| meta.uid() == rustix::process::geteuid().as_raw());
        if ours && pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists() {
            match fs::remove_dir_all(entry.path()) {
                Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause),
                _ => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_processes_that_are_gone_go_and_others_stay() {
        let base = tempfile::tempdir().unwrap();
        let alive = format!("{PREFIX}{}", std::process::id());
        let names = [format!("{PREFIX}4294967295"), alive.clone(), "forebay-beanstalkd-mine".into(), "other".into()];
        for name in &names {
            fs::create_dir(base.path().join(name)).unwrap();
        }
        sweep(base.path()).unwrap();
        let left: Vec<bool> = names.iter().map(|name| base.path().join(name).exists()).collect();
        assert_eq!(left, [false, true, true, true]);
    }
}
