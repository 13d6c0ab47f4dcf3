//! The client's side of a release: which files of a folder are its source, and how they travel.
//!
//! A folder's source is its files and links that neither `.gitignore` nor `.forebayignore` names; hidden files are
//! part of it, `.git` and the node's own data never. Empty folders are not, as with git. A link must lead to something
//! in the folder.

mod archive;
mod error;

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ignore::WalkBuilder;

pub use self::error::SourceError;
use crate::config::Config;
use crate::digest::{ContentHasher, Kind, SourceDigest, hash};

/// Bytes read and sent at a time.
const PIECE_BYTES: usize = 64 << 10;
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

fn too_large(bytes_max: u64, entries: &[Entry]) -> SourceError {
    let largest = entries.iter().max_by_key(|entry| entry.bytes);
    let (largest, bytes) = largest.map(|entry| (entry.path.clone(), entry.bytes)).unwrap_or_default();
    SourceError::TooLarge { bytes_max, largest, bytes }
}

#[cfg(test)]
mod tests {
    use super::*;
    use control::error::ApiError;
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
