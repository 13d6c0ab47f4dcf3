//! Bugs, planted between a log and its disk: a simulator that does not find them proves nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::FakeDisk;
use stdx::io::{Io, OpenMode};

/// One bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// Folders are not synced.
    DirectorySyncSkipped,
    /// A batch is acknowledged before it is synced.
    AcknowledgedBeforeSync,
    /// A new segment gets its name before its content is synced.
    RenamedBeforeSync,
    /// Files go when the batch that removes them is written, not when it is synced.
    UnlinkedBeforeSync,
    /// What recovery read from the page cache is taken for durable.
    LastBatchNotRewritten,
    /// After a failed sync the log goes on.
    FailedSyncIgnored,
    /// A short write is taken for a whole one.
    ShortWriteIgnored,
}

impl Plant {
    /// All of them.
    pub const ALL: [Plant; 7] = [
        Plant::DirectorySyncSkipped,
        Plant::AcknowledgedBeforeSync,
        Plant::RenamedBeforeSync,
        Plant::UnlinkedBeforeSync,
        Plant::LastBatchNotRewritten,
        Plant::FailedSyncIgnored,
        Plant::ShortWriteIgnored,
    ];
}

/// The fake disk with a bug in front of it.
#[derive(Clone)]
pub struct Planted {
    disk: FakeDisk,
    plant: Plant,
}

/// An open file and the name it was opened by.
pub struct NamedFile {
    file: Arc<<FakeDisk as Io>::File>,
    path: PathBuf,
}

impl Planted {
    /// Puts the bug in front of the disk.
    pub fn new(disk: FakeDisk, plant: Plant) -> Planted {
        Planted { disk, plant }
    }

    /// Removes, for good, the segments that the batch in `bytes` says may go.
    fn unlink_early(&self, file: &NamedFile, bytes: &[u8]) -> io::Result<()> {
        let (Some(magic), Some(floor)) = (bytes.first(), bytes.get(24..32)) else { return Ok(()) };
        let Some(folder) = file.path.parent() else { return Ok(()) };
        if *magic != 0xFB {
            return Ok(());
        }
        let floor = u64::from_le_bytes(floor.try_into().map_err(io::Error::other)?);
        for name in self.disk.list(folder)? {
            let number = name.strip_suffix(".wal").and_then(|digits| digits.parse::<u64>().ok());
            if number.is_some_and(|number| number < floor) {
                self.disk.unlink(&folder.join(name))?;
                self.disk.sync_dir(folder)?;
            }
        }
        Ok(())
    }
}

impl Io for Planted {
    type File = NamedFile;

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<NamedFile> {
        Ok(NamedFile { file: Arc::new(self.disk.open(path, mode)?), path: path.to_path_buf() })
    }

    fn write_at(&self, file: &NamedFile, bytes: &[u8], offset: u64) -> io::Result<usize> {
        match self.plant {
            Plant::UnlinkedBeforeSync => self.unlink_early(file, bytes)?,
            Plant::LastBatchNotRewritten => {
                let mut there = vec![0; bytes.len()];
                if self.disk.read_exact_at(&file.file, &mut there, offset).is_ok() && there == bytes {
                    return Ok(bytes.len());
                }
            }
            _ => {}
        }
        let taken = self.disk.write_at(&file.file, bytes, offset)?;
        Ok(if self.plant == Plant::ShortWriteIgnored { bytes.len() } else { taken })
    }

    fn read_at(&self, file: &NamedFile, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk.read_at(&file.file, buf, offset)
    }

    fn len(&self, file: &NamedFile) -> io::Result<u64> {
        self.disk.len(&file.file)
    }

    fn sync_data(&self, file: &NamedFile) -> io::Result<()> {
        let new = file.path.extension().is_some_and(|extension| extension == "new");
        match self.plant {
            Plant::AcknowledgedBeforeSync if !new => Ok(()),
            Plant::RenamedBeforeSync if new => Ok(()),
            Plant::FailedSyncIgnored => self.disk.sync_data(&file.file).or(Ok(())),
            _ => self.disk.sync_data(&file.file),
        }
    }

    fn set_len(&self, file: &NamedFile, len: u64) -> io::Result<()> {
        self.disk.set_len(&file.file, len)
    }

    fn reserve(&self, file: &NamedFile, len: u64) -> io::Result<()> {
        self.disk.reserve(&file.file, len)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.disk.unlink(path)
    }

    fn sync_dir(&self, folder: &Path) -> io::Result<()> {
        if self.plant == Plant::DirectorySyncSkipped { Ok(()) } else { self.disk.sync_dir(folder) }
    }

    fn create_dir(&self, folder: &Path) -> io::Result<()> {
        self.disk.create_dir(folder)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.disk.list(folder)
    }

    fn free_bytes(&self, folder: &Path) -> io::Result<u64> {
        self.disk.free_bytes(folder)
    }
}
