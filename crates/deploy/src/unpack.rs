//! The node's side of a release's source: an archive that somebody sent becomes a folder, and nothing outside of it.
//!
//! What is taken: files, folders and symbolic links with relative paths. What is refused: absolute paths, `..`, hard
//! links, devices, pipes, the same path twice, a link that leads out of the folder, and all that is beyond the limits,
//! while it streams in. Links are made when all files are written, so that nothing is ever written through one. Modes
//! become 0644 and 0755: no set-uid, nothing that others may write.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use control::error::{ApiError, Kind as ErrorKind};
use tar::{Archive, Entry, EntryType};

use crate::digest::{ContentHash, ContentHasher, Kind, SourceDigest, hash};
use crate::errors::is_full;
use crate::source::{PATH_BYTES_MAX, SourceLimits};

const PIECE_BYTES: usize = 64 << 10;
/// Bytes of one part of a path (`NAME_MAX`).
const NAME_BYTES_MAX: usize = 255;
/// Folders within folders.
const DEPTH_MAX: usize = 64;
/// Bytes that the archive may spend on headers and padding for each entry.
const OVERHEAD_BYTES: u64 = 4 << 10;

/// Why an archive was not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The archive ends early or is none.
    #[error("the archive cannot be read: {0}")]
    Archive(io::Error),
    /// The disk.
    #[error("cannot write {}: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something that no source may have.
    #[error("the archive's entry {path:?} is refused: {reason}")]
    Refused {
        /// The entry.
        path: String,
        /// Why.
        reason: &'static str,
    },
    /// More than a source may have.
    #[error("the source has more than {limit} {what}")]
    TooLarge {
        /// The limit.
        limit: u64,
        /// Of what.
        what: &'static str,
    },
}

impl From<UnpackError> for ApiError {
    fn from(error: UnpackError) -> ApiError {
        let (kind, code) = match &error {
            UnpackError::Archive(_) => (ErrorKind::Usage, "source_archive_broken"),
            UnpackError::Io { source, .. } if is_full(source) => (ErrorKind::Failed, "disk_full"),
            UnpackError::Io { .. } => (ErrorKind::Failed, "source_not_written"),
            UnpackError::Refused { .. } => (ErrorKind::Usage, "source_refused"),
            UnpackError::TooLarge { .. } => (ErrorKind::Policy, "source_too_large"),
        };
        ApiError::new(kind, code, error.to_string())
    }
}

/// What was unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// The digest of what is now on disk, 64 hex digits.
    pub digest: String,
    /// Bytes of all files.
    pub bytes: u64,
    /// Files and links.
    pub files: usize,
}

/// Unpacks `archive` into the new folder `into` and makes it durable.
///
/// # Errors
/// When the archive holds what it must not, ends early, is beyond the limits, or the disk fails. What was written until
/// then stays for the caller to remove.
pub fn unpack(archive: impl Read, into: &Path, limits: SourceLimits) -> Result<Unpacked, UnpackError> {
    make_folder(into).map_err(|source| UnpackError::Io { path: into.into(), source })?;
    let bytes_max = limits.bytes_max.saturating_add(u64::from(limits.files_max).saturating_mul(OVERHEAD_BYTES));
    let mut archive = Archive::new(archive.take(bytes_max));
    let mut unpacker =
        Unpacker { root: into, limits, bytes: 0, entries: 0, digest: SourceDigest::default(), links: BTreeMap::new() };
    for entry in archive.entries().map_err(UnpackError::Archive)? {
        unpacker.take(&mut entry.map_err(UnpackError::Archive)?)?;
    }
    let files = unpacker.finish()?;
    sync_all(into)?;
    Ok(files)
}

struct Unpacker<'a> {
    root: &'a Path,
    limits: SourceLimits,
    bytes: u64,
    entries: u32,
    digest: SourceDigest,
    /// Path to target; made at the end.
    links: BTreeMap<PathBuf, PathBuf>,
}

impl Unpacker<'_> {
    fn take(&mut self, entry: &mut Entry<'_, impl Read>) -> Result<(), UnpackError> {
        self.entries += 1;
        if self.entries > self.limits.files_max {
            return Err(UnpackError::TooLarge { limit: self.limits.files_max.into(), what: "files" });
        }
        let path = relative(&entry.path_bytes())?;
        match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous => self.file(&path, entry),
            EntryType::Directory => self.folders(&path),
            EntryType::Symlink => self.link(path, entry),
            EntryType::Link => Err(refused(&path, "hard links are not taken")),
            EntryType::Char | EntryType::Block => Err(refused(&path, "devices are not taken")),
            EntryType::Fifo => Err(refused(&path, "pipes are not taken")),
            _ => Err(refused(&path, "only files, folders and symbolic links are taken")),
        }
    }

    fn file(&mut self, path: &Path, entry: &mut Entry<'_, impl Read>) -> Result<(), UnpackError> {
        if path.as_os_str().is_empty() {
            return Err(refused(path, "a file needs a name"));
        }
        self.folders(path.parent().unwrap_or(Path::new("")))?;
        let executable = entry.header().mode().map_err(UnpackError::Archive)? & 0o100 != 0;
        let kind = if executable { Kind::Executable } else { Kind::File };
        let mode = if executable { 0o755 } else { 0o644 };
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(self.root.join(path));
        let mut file = match file {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Err(refused(path, "the path is there twice")),
            Err(source) => return Err(UnpackError::Io { path: path.into(), source }),
        };
        let content = self.copy(path, entry, &mut file)?;
        file.set_permissions(fs::Permissions::from_mode(mode))
            .map_err(|source| UnpackError::Io { path: path.into(), source })?;
        self.digest.add(path.as_os_str().as_bytes(), kind, content);
        Ok(())
    }

    fn copy(&mut self, path: &Path, from: &mut impl Read, into: &mut File) -> Result<ContentHash, UnpackError> {
        let mut hasher = ContentHasher::new();
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let n = from.read(&mut piece).map_err(UnpackError::Archive)?;
            if n == 0 {
                return Ok(hasher.finish());
            }
            self.bytes = self.bytes.saturating_add(n as u64);
            if self.bytes > self.limits.bytes_max {
                return Err(UnpackError::TooLarge { limit: self.limits.bytes_max, what: "bytes" });
            }
            hasher.update(&piece[..n]);
            into.write_all(&piece[..n]).map_err(|source| UnpackError::Io { path: path.into(), source })?;
        }
    }

    /// Makes the folders of a path. No link exists yet, so each is a real folder in the root.
    fn folders(&self, path: &Path) -> Result<(), UnpackError> {
        let mut folder = self.root.to_path_buf();
        for part in path.components() {
            folder.push(part);
            match make_folder(&folder) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                    return Err(refused(path, "a file is where a folder should be"));
                }
                Err(source) => return Err(UnpackError::Io { path: folder, source }),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    fn link(&mut self, path: PathBuf, entry: &Entry<'_, impl Read>) -> Result<(), UnpackError> {
        if path.as_os_str().is_empty() {
            return Err(refused(&path, "a link needs a name"));
        }
        let target =
            entry.link_name_bytes().map(|bytes| PathBuf::from(std::ffi::OsString::from_vec(bytes.into_owned())));
        let target = target.unwrap_or_default();
        let bytes = target.as_os_str().len();
        if bytes == 0 || bytes > PATH_BYTES_MAX || target.is_absolute() || target.as_os_str().as_bytes().contains(&0) {
            return Err(refused(&path, "a link needs a relative target of at most 1024 bytes"));
        }
        if self.links.insert(path.clone(), target).is_some() {
            return Err(refused(&path, "the path is there twice"));
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Unpacked, UnpackError> {
        let root = fs::canonicalize(self.root).map_err(|source| UnpackError::Io { path: self.root.into(), source })?;
        let links = std::mem::take(&mut self.links);
        for (path, target) in &links {
            // A link among the links already made must not be a folder of this one's path.
            let folder = path.parent().unwrap_or(Path::new(""));
            if links.keys().any(|other| folder.starts_with(other)) {
                return Err(refused(path, "its folder is a link"));
            }
            self.folders(folder)?;
            symlink(target, root.join(path)).map_err(|source| match source.kind() {
                io::ErrorKind::AlreadyExists => refused(path, "the path is there twice"),
                _ => UnpackError::Io { path: path.clone(), source },
            })?;
            self.digest.add(path.as_os_str().as_bytes(), Kind::Link, hash(target.as_os_str().as_bytes()));
        }
        for path in links.keys() {
            let inside = fs::canonicalize(root.join(path)).is_ok_and(|end| end.starts_with(&root));
            if !inside {
                return Err(refused(path, "the link leads out of the folder or nowhere"));
            }
        }
        Ok(Unpacked { digest: self.digest.finish(), bytes: self.bytes, files: self.entries as usize })
    }
}

/// A path of the archive as a path below the root.
fn relative(bytes: &[u8]) -> Result<PathBuf, UnpackError> {
    let given = Path::new(std::ffi::OsStr::from_bytes(bytes));
    if bytes.len() > PATH_BYTES_MAX {
        return Err(refused(given, "the path is longer than 1024 bytes"));
    }
    if bytes.contains(&0) {
        return Err(refused(given, "the path contains a NUL byte"));
    }
    let mut path = PathBuf::new();
    for part in given.components() {
        match part {
            Component::Normal(name) if name.len() > NAME_BYTES_MAX => {
                return Err(refused(given, "a part of the path is longer than 255 bytes"));
            }
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return Err(refused(given, "the path is absolute")),
            Component::ParentDir => return Err(refused(given, "the path contains `..`")),
        }
    }
    if path.components().count() > DEPTH_MAX {
        return Err(refused(given, "the path is deeper than 64 folders"));
    }
    Ok(path)
}

fn refused(path: &Path, reason: &'static str) -> UnpackError {
    UnpackError::Refused { path: path.to_string_lossy().chars().take(200).collect(), reason }
}

/// Mode 0755 whatever the umask says: the application may run as another user.
fn make_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o755).create(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

/// One sync of the file system instead of one for each file and folder: a source may have 50,000 of them.
fn sync_all(folder: &Path) -> Result<(), UnpackError> {
    let failed = |source| UnpackError::Io { path: folder.into(), source };
    let folder = File::open(folder).map_err(failed)?;
    rustix::fs::syncfs(&folder).map_err(|errno| failed(errno.into()))
}
