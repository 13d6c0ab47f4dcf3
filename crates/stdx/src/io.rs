//! The disk, behind a seam: what `wal`, the queue and the log store may do to files, and nothing more.
//!
//! Production uses [`Disk`]; tests use the fake disk of `testkit`, which keeps what is not yet synced apart and can tear,
//! drop or reorder it on a power cut, fail any call, fill up, or be slow. So the rules are the kernel's own:
//! - what [`Io::write_at`] wrote is on disk only after [`Io::sync_data`] on that file returned `Ok`;
//! - a created, renamed or removed name is on disk only after [`Io::sync_dir`] on its folder returned `Ok`;
//! - after a failed sync nothing is known of what was written before it: the kernel may have marked it clean. The
//!   owner stops acknowledging; it never tries the same sync again and believes it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// How to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// An existing file, for reading.
    Read,
    /// An existing file, for reading and writing.
    Write,
    /// A new file (mode 0600), for reading and writing; one that exists is an error.
    CreateNew,
}

/// The calls a storage engine may make. All block; offsets and lengths are in bytes.
pub trait Io: Clone + Send + Sync + 'static {
    /// An open file. Dropping it closes it, which says nothing about durability.
    type File: Send + Sync + 'static;

    /// Opens or creates a file.
    ///
    /// # Errors
    /// What the system says.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Self::File>;

    /// Writes some of `bytes` at `offset` and says how many; may be fewer than asked.
    ///
    /// # Errors
    /// What the system says; some bytes may have been written.
    fn write_at(&self, file: &Self::File, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Reads into `buf` from `offset` and says how many bytes; 0 at the end of the file.
    ///
    /// # Errors
    /// What the system says.
    fn read_at(&self, file: &Self::File, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// The file's length.
    ///
    /// # Errors
    /// What the system says.
    fn len(&self, file: &Self::File) -> io::Result<u64>;

    /// Makes what was written to this file durable (`fdatasync`).
    ///
    /// # Errors
    /// What the system says; see the module's rules.
    fn sync_data(&self, file: &Self::File) -> io::Result<()>;

    /// Cuts or extends the file to `len`.
    ///
    /// # Errors
    /// What the system says.
    fn set_len(&self, file: &Self::File, len: u64) -> io::Result<()>;

    /// Reserves disk space for `len` bytes from the start without changing the length.
    ///
    /// # Errors
    /// `StorageFull` when there is not that much; `Unsupported` where the file system cannot.
    fn reserve(&self, file: &Self::File, len: u64) -> io::Result<()>;

    /// Renames a file over whatever has the new name.
    ///
    /// # Errors
    /// What the system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file's name.
    ///
    /// # Errors
    /// What the system says.
    fn unlink(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in `folder` durable.
    ///
    /// # Errors
    /// What the system says; see the module's rules.
    fn sync_dir(&self, folder: &Path) -> io::Result<()>;

    /// Creates a folder and its parents (mode 0700), and is content with one that is there.
    ///
    /// # Errors
    /// What the system says.
    fn create_dir(&self, folder: &Path) -> io::Result<()>;

    /// The names of the files in `folder`, sorted.
    ///
    /// # Errors
    /// What the system says.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;

    /// Bytes free for us on the file system that holds `folder`.
    ///
    /// # Errors
    /// What the system says.
    fn free_bytes(&self, folder: &Path) -> io::Result<u64>;

    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// What the system says, `WriteZero` when it takes nothing; some bytes may have been written.
    fn write_all_at(&self, file: &Self::File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write_at(file, bytes, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    bytes = &bytes[n..];
                    offset += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Fills `buf` from `offset`.
    ///
    /// # Errors
    /// What the system says, `UnexpectedEof` when the file ends before.
    fn read_exact_at(&self, file: &Self::File, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buf.is_empty() {
            match self.read_at(file, buf, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => {
                    buf = &mut buf[n..];
                    offset += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

/// The machine's own file systems.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Io for Disk {
    type File = File;

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<File> {
        match mode {
            OpenMode::Read => File::open(path),
            OpenMode::Write => OpenOptions::new().read(true).write(true).open(path),
            OpenMode::CreateNew => OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path),
        }
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        file.write_at(bytes, offset)
    }

    fn read_at(&self, file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        file.read_at(buf, offset)
    }

    fn len(&self, file: &File) -> io::Result<u64> {
        Ok(file.metadata()?.len())
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn set_len(&self, file: &File, len: u64) -> io::Result<()> {
        file.set_len(len)
    }

    fn reserve(&self, file: &File, len: u64) -> io::Result<()> {
        Ok(rustix::fs::fallocate(file, rustix::fs::FallocateFlags::KEEP_SIZE, 0, len)?)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    fn create_dir(&self, folder: &Path) -> io::Result<()> {
        crate::lock::make_private_dir(folder)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn free_bytes(&self, folder: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(folder)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

/// Writes a small file whole: a temporary beside it, synced, renamed into place, the folder synced.
///
/// # Errors
/// What the system says; the old file is then still whole.
pub fn replace_file<D: Io>(io: &D, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder: PathBuf = path.parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf);
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    match io.unlink(&temporary) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let file = io.open(&temporary, OpenMode::CreateNew)?;
    io.write_all_at(&file, bytes, 0)?;
    io.sync_data(&file)?;
    io.rename(&temporary, path)?;
    io.sync_dir(&folder)
}
