//! The client's side of a release: which files of a folder are its source, and how they travel.
//!
//! A folder's source is its files and links that neither `.gitignore` nor `.forebayignore` names; hidden files are
//! part of it, `.git` and the node's own data never. Empty folders are not, as with git. A link must lead to something
//! in the folder.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use control::error::{ApiError, Kind as ErrorKind};
use ignore::WalkBuilder;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::config::Config;
use crate::digest::{ContentHasher, Kind, SourceDigest, hash};

/// Bytes read and sent at a time.
const PIECE_BYTES: usize = 64 << 10;
/// Pieces that wait for the network.
const PIECES_MAX: usize = 8;
/// Bytes of a path, and of a link's target.
pub(crate) const PATH_BYTES_MAX: usize = 1_024;

/// What a source may be at most.
#[derive(Clone, Copy, Debug)]
pub struct SourceLimits {
    /// Bytes of all files.
    pub bytes_max: u64,
    /// Files and links (and, when unpacking, folders).
    pub files_max: u32,
}

impl From<&Config> for SourceLimits {
    fn from(config: &Config) -> SourceLimits {
        SourceLimits { bytes_max: config.source_bytes_max, files_max: config.source_files_max }
    }
}

impl Default for SourceLimits {
    /// Those of a node that was told nothing else.
    fn default() -> SourceLimits {
        SourceLimits::from(&Config::default())
    }
}

/// Why a folder cannot be a release's source.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file or folder could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The walk failed: a bad ignore file, a folder that cannot be listed.
    #[error("cannot list the source: {0}")]
    Walk(#[from] ignore::Error),
    /// Neither a file, a folder nor a link.
    #[error("{} is neither a file, a folder nor a link", .0.display())]
    NotAFile(PathBuf),
    /// A link that leads out of the folder, or nowhere.
    #[error("the link {} leads to {}, which is not in the folder", path.display(), target.display())]
    LinkOut {
        /// The link.
        path: PathBuf,
        /// Its target.
        target: PathBuf,
    },
    /// A path that is too long to travel.
    #[error("the path {} is longer than {PATH_BYTES_MAX} bytes", .0.display())]
    PathTooLong(PathBuf),
    /// More bytes than a release may have.
    #[error("the source has more than {bytes_max} bytes; {} is the largest file ({bytes} bytes)", largest.display())]
    TooLarge {
        /// The limit.
        bytes_max: u64,
        /// The largest file.
        largest: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// More files than a release may have.
    #[error("the source has more than {files_max} files")]
    TooMany {
        /// The limit.
        files_max: u32,
    },
    /// A file became shorter or longer while it was read.
    #[error("{} changed while it was read", .0.display())]
    Changed(PathBuf),
}

impl From<SourceError> for ApiError {
    fn from(error: SourceError) -> ApiError {
        let (kind, code, hint) = match &error {
            SourceError::Io { .. } | SourceError::Walk(_) => (ErrorKind::Failed, "source_unreadable", None),
            SourceError::Changed(_) => (ErrorKind::Failed, "source_changed", Some("deploy again")),
            SourceError::NotAFile(_) => (ErrorKind::Usage, "source_not_a_file", Some("name it in .forebayignore")),
            SourceError::LinkOut { .. } => {
                (ErrorKind::Usage, "source_link_out", Some("name the link in .forebayignore, or copy what it leads to"))
            }
            SourceError::PathTooLong(_) => (ErrorKind::Usage, "source_path_too_long", None),
            SourceError::TooLarge { .. } | SourceError::TooMany { .. } => (
                ErrorKind::Policy,
                "source_too_large",
                Some(
                    "name what the application does not need in .forebayignore, or raise deploy.source_bytes_max / source_files_max",
                ),
            ),
        };
        let error = ApiError::new(kind, code, error.to_string());
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

#[derive(Clone, Debug)]
struct Entry {
    path: PathBuf,
    kind: Kind,
    bytes: u64,
}

/// The files of a folder that make a release, in the order of their paths.
#[derive(Clone, Debug)]
pub struct Source {
    root: PathBuf,
    entries: Vec<Entry>,
    bytes: u64,
}

impl Source {
    /// Lists the source in `folder`. Nothing in the folders `never` is part of it: the node's data, above all.
    ///
    /// # Errors
    /// When something cannot be read, is no file, leads out of the folder, or is beyond the limits.
    pub fn scan(folder: &Path, limits: SourceLimits, never: &[PathBuf]) -> Result<Source, SourceError> {
        let root = fs::canonicalize(folder).map_err(|source| SourceError::Io { path: folder.into(), source })?;
        let never: Vec<PathBuf> = never.iter().filter_map(|path| fs::canonicalize(path).ok()).collect();
        let mut entries = Vec::new();
        let mut bytes = 0u64;
        for found in walk(&root, never) {
            let found = found?;
            let Some(entry) = examine(&root, &found)? else { continue };
            bytes = bytes.saturating_add(entry.bytes);
            entries.push(entry);
            if bytes > limits.bytes_max {
                return Err(too_large(limits.bytes_max, &entries));
            }
            if entries.len() > limits.files_max as usize {
                return Err(SourceError::TooMany { files_max: limits.files_max });
            }
        }
        entries.sort_unstable_by(|a, b| a.path.as_os_str().as_bytes().cmp(b.path.as_os_str().as_bytes()));
        Ok(Source { root, entries, bytes })
    }

    /// How many files and links it has.
    pub fn files(&self) -> usize {
        self.entries.len()
    }

    /// How many bytes its files have.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads all files and gives the digest that the node will find.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn digest(&self) -> Result<String, SourceError> {
        let mut digest = SourceDigest::default();
        for entry in &self.entries {
            let path = self.root.join(&entry.path);
            let content = match entry.kind {
                Kind::Link => hash(target(&path)?.as_os_str().as_bytes()),
                Kind::File | Kind::Executable => hash_file(&path)?,
            };
            digest.add(entry.path.as_os_str().as_bytes(), entry.kind, content);
        }
        Ok(digest.finish())
    }

    /// Writes the source as a tar archive: modes 0644 and 0755, no owner, no time, so that equal sources give equal
    /// archives.
    ///
    /// # Errors
    /// When a file cannot be read or has changed, or `into` does not take the bytes.
    pub fn write_tar(&self, into: impl Write) -> Result<(), SourceError> {
        let mut archive = tar::Builder::new(into);
        for entry in &self.entries {
            let path = self.root.join(&entry.path);
            let failed = |source: io::Error| match source.kind() {
                io::ErrorKind::UnexpectedEof => SourceError::Changed(entry.path.clone()),
                _ => SourceError::Io { path: entry.path.clone(), source },
            };
            append(&mut archive, entry, &path).map_err(failed)?;
        }
        let end = |source| SourceError::Io { path: self.root.clone(), source };
        archive.into_inner().and_then(|mut into| into.flush()).map_err(end)
    }

    /// The archive as a stream of pieces, made by a thread that goes no faster than they are taken.
    pub fn stream(self) -> ReceiverStream<io::Result<Bytes>> {
        let (pieces, taken) = mpsc::channel(PIECES_MAX);
        std::thread::spawn(move || {
            let into = io::BufWriter::with_capacity(PIECE_BYTES, Pieces(pieces.clone()));
            if let Err(error) = self.write_tar(into) {
                // A receiver that has gone does not want to know.
                pieces.blocking_send(Err(io::Error::other(error))).ok();
            }
        });
        ReceiverStream::new(taken)
    }
}

fn walk(root: &Path, never: Vec<PathBuf>) -> ignore::Walk {
    WalkBuilder::new(root)
        .hidden(false)
        .ignore(false)
        .git_ignore(true)
        .git_global(false)
        .git_exclude(false)
        .parents(false)
        .require_git(false)
        .follow_links(false)
        .add_custom_ignore_filename(".forebayignore")
        .filter_entry(move |entry| entry.file_name() != ".git" && !never.iter().any(|path| entry.path() == path))
        .build()
}

/// What a found path is; `None` for folders.
fn examine(root: &Path, found: &ignore::DirEntry) -> Result<Option<Entry>, SourceError> {
    let Ok(path) = found.path().strip_prefix(root).map(Path::to_path_buf) else { return Ok(None) };
    let failed = |source| SourceError::Io { path: path.clone(), source };
    if path.as_os_str().len() > PATH_BYTES_MAX {
        return Err(SourceError::PathTooLong(path));
    }
    let about = fs::symlink_metadata(found.path()).map_err(failed)?;
    if about.is_dir() {
        return Ok(None);
    }
    if about.is_symlink() {
        check_link(root, &path)?;
        return Ok(Some(Entry { path, kind: Kind::Link, bytes: 0 }));
    }
    if !about.is_file() {
        return Err(SourceError::NotAFile(path));
    }
    let kind = if about.permissions().mode() & 0o100 == 0 { Kind::File } else { Kind::Executable };
    Ok(Some(Entry { path, kind, bytes: about.len() }))
}

/// A link may lead only to what is in the folder, by whatever way it goes there.
fn check_link(root: &Path, path: &Path) -> Result<(), SourceError> {
    let target = target(&root.join(path))?;
    let inside = target.is_relative()
        && target.as_os_str().len() <= PATH_BYTES_MAX
        && fs::canonicalize(root.join(path)).is_ok_and(|end| end.starts_with(root));
    if inside { Ok(()) } else { Err(SourceError::LinkOut { path: path.to_path_buf(), target }) }
}

fn target(link: &Path) -> Result<PathBuf, SourceError> {
    fs::read_link(link).map_err(|source| SourceError::Io { path: link.to_path_buf(), source })
}

fn hash_file(path: &Path) -> Result<[u8; 32], SourceError> {
    let failed = |source| SourceError::Io { path: path.to_path_buf(), source };
    let mut file = File::open(path).map_err(failed)?;
    let mut hasher = ContentHasher::new();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match file.read(&mut piece).map_err(failed)? {
            0 => return Ok(hasher.finish()),
            n => hasher.update(&piece[..n]),
        }
    }
}

fn append(archive: &mut tar::Builder<impl Write>, entry: &Entry, path: &Path) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_mtime(0);
    match entry.kind {
        Kind::Link => {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            header.set_mode(0o777);
            archive.append_link(&mut header, &entry.path, fs::read_link(path)?)
        }
        Kind::File | Kind::Executable => {
            header.set_entry_type(tar::EntryType::Regular);
            header.set_size(entry.bytes);
            header.set_mode(if entry.kind == Kind::Executable { 0o755 } else { 0o644 });
            let file = Exactly { file: File::open(path)?, left: entry.bytes };
            archive.append_data(&mut header, &entry.path, file)
        }
    }
}

/// Reads as many bytes as the header has promised: a file that grows is cut there, one that shrinks is an error.
struct Exactly {
    file: File,
    left: u64,
}

impl Read for Exactly {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(into.len());
        if wanted == 0 {
            return Ok(0);
        }
        match self.file.read(&mut into[..wanted])? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            n => {
                self.left -= n as u64;
                Ok(n)
            }
        }
    }
}

/// Writes into a bounded channel.
struct Pieces(mpsc::Sender<io::Result<Bytes>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = Bytes::copy_from_slice(bytes);
        self.0.blocking_send(Ok(piece)).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn too_large(bytes_max: u64, entries: &[Entry]) -> SourceError {
    let largest = entries.iter().max_by_key(|entry| entry.bytes);
    let (largest, bytes) = largest.map(|entry| (entry.path.clone(), entry.bytes)).unwrap_or_default();
    SourceError::TooLarge { bytes_max, largest, bytes }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    const LIMITS: SourceLimits = SourceLimits { bytes_max: 1 << 20, files_max: 100 };

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        dir
    }

    fn paths(source: &Source) -> Vec<String> {
        source.entries.iter().map(|e| e.path.display().to_string()).collect()
    }

    #[test]
    fn ignore_files_hold_and_hidden_files_are_part_of_it() {
        let dir = folder(&[
            ("app.py", "x"),
            (".env.example", "x"),
            (".gitignore", "*.pyc\nvenv/\n"),
            (".forebayignore", "docs/\n"),
            ("a.pyc", "x"),
            ("venv/lib", "x"),
            ("docs/big", "x"),
            (".git/config", "x"),
            ("sub/.git/config", "x"),
            ("data/state.db", "x"),
        ]);
        let source = Source::scan(dir.path(), LIMITS, &[dir.path().join("data")]).unwrap();
        assert_eq!(paths(&source), [".env.example", ".forebayignore", ".gitignore", "app.py"]);
    }

    #[test]
    fn the_digest_knows_content_and_execute_bit_and_not_the_folder_or_the_time() {
        let files = [("b/app.py", "print()"), ("a.txt", "")];
        let (one, two) = (folder(&files), folder(&files));
        let digest = |dir: &tempfile::TempDir| Source::scan(dir.path(), LIMITS, &[]).unwrap().digest().unwrap();
        assert_eq!(digest(&one), digest(&two));
        let before = digest(&two);
        fs::set_permissions(two.path().join("a.txt"), fs::Permissions::from_mode(0o755)).unwrap();
        assert_ne!(digest(&two), before);
        fs::write(one.path().join("b/app.py"), "print(1)").unwrap();
        assert_ne!(digest(&one), before);
    }

    #[test]
    fn equal_sources_give_equal_archives() {
        let archive = || {
            let dir = folder(&[("b", "2"), ("a/c", "1")]);
            let mut bytes = Vec::new();
            Source::scan(dir.path(), LIMITS, &[]).unwrap().write_tar(&mut bytes).unwrap();
            bytes
        };
        assert_eq!(archive(), archive());
    }

    #[test]
    fn a_link_that_leaves_the_folder_is_refused_by_whatever_way() {
        for (at, target) in
            [("out", "/etc/passwd"), ("out", "../x"), ("out", "nowhere"), ("out", "s/t/up/.."), ("s/out", "../..")]
        {
            let dir = folder(&[("s/t/file", "x")]);
            symlink("../..", dir.path().join("s/t/up")).unwrap();
            symlink(target, dir.path().join(at)).unwrap();
            let error = Source::scan(dir.path(), LIMITS, &[]).unwrap_err();
            assert!(matches!(&error, SourceError::LinkOut { path, .. } if path == Path::new(at)), "{target}: {error}");
        }
        let dir = folder(&[("s/file", "x")]);
        symlink("s/file", dir.path().join("in")).unwrap();
        assert_eq!(paths(&Source::scan(dir.path(), LIMITS, &[]).unwrap()), ["in", "s/file"]);
    }

    #[test]
    fn limits_are_kept_and_the_largest_file_is_named() {
        let dir = folder(&[("big", "123456789"), ("small", "1")]);
        let error = Source::scan(dir.path(), SourceLimits { bytes_max: 9, files_max: 9 }, &[]).unwrap_err();
        assert_eq!(error.to_string(), "the source has more than 9 bytes; big is the largest file (9 bytes)");
        let error = Source::scan(dir.path(), SourceLimits { bytes_max: 99, files_max: 1 }, &[]).unwrap_err();
        assert_eq!(ApiError::from(error).code, "source_too_large");
    }
}
