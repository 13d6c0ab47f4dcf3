//! The format version of a plane folder: `DATA/<plane>/FORMAT` holds `forebay <plane> <version>`.
//!
//! One older version is read, and migrated after a copy; a newer one is refused. A fixture of every released format
//! stays in the tests of its plane.

use std::io;
use std::path::{Path, PathBuf};

use crate::io::{Io, OpenMode, replace_file};

/// What a plane folder was written by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// There was no format file: the folder is new, and now says the present version.
    Fresh,
    /// The present version.
    Same,
    /// The version before; the plane migrates it and then calls [`write()`].
    Older(u32),
}

/// Why a plane folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// Written by a later Forebay.
    #[error("{} has format {found} of the {plane} plane; this Forebay reads up to {known}", folder.display())]
    Newer {
        /// The plane folder.
        folder: PathBuf,
        /// The plane.
        plane: String,
        /// Its version.
        found: u32,
        /// The newest that is understood here.
        known: u32,
    },
    /// Older than the one version before the present one.
    #[error("{} has format {found} of the {plane} plane; this Forebay migrates only from {oldest}", folder.display())]
    TooOld {
        /// The plane folder.
        folder: PathBuf,
        /// The plane.
        plane: String,
        /// Its version.
        found: u32,
        /// The oldest that can be migrated.
        oldest: u32,
    },
    /// The file is there but does not say what it should.
    #[error("{} is not a format file of the {plane} plane", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The plane.
        plane: String,
    },
    /// The folder has other files but no format file, so nothing is known of them.
    #[error("{} is not empty and has no FORMAT file", folder.display())]
    Unknown {
        /// The plane folder.
        folder: PathBuf,
    },
    /// The disk.
    #[error("cannot read or write the format of {}: {source}", folder.display())]
    Io {
        /// The plane folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl FormatError {
    /// A stable word for machines.
    pub fn code(&self) -> &'static str {
        match self {
            FormatError::Newer { .. } => "format_newer",
            FormatError::TooOld { .. } => "format_too_old",
            FormatError::Malformed { .. } | FormatError::Unknown { .. } => "format_malformed",
            FormatError::Io { .. } => "format_unreadable",
        }
    }

    /// What the operator can do.
    pub fn hint(&self) -> &'static str {
        match self {
            FormatError::Newer { .. } => "run the Forebay that wrote it, or name another folder with --data",
            FormatError::TooOld { .. } => "migrate it step by step with the Forebay versions in between",
            FormatError::Malformed { .. } | FormatError::Unknown { .. } => {
                "name the right folder with --data, or move this one away"
            }
            FormatError::Io { .. } => "check the folder's permissions and the disk",
        }
    }
}

/// Reads the folder's version, writing `current` where the folder is new (empty but for its LOCK).
///
/// # Errors
/// A newer or too old version, a file that is no format file, or a disk that fails.
pub fn open<D: Io>(io: &D, folder: &Path, plane: &str, current: u32) -> Result<Found, FormatError> {
    let failed = |source| FormatError::Io { folder: folder.to_path_buf(), source };
    let names = io.list(folder).map_err(failed)?;
    if !names.iter().any(|name| name == "FORMAT") {
        if names.iter().any(|name| name != "LOCK" && name != "FORMAT.new") {
            return Err(FormatError::Unknown { folder: folder.to_path_buf() });
        }
        write(io, folder, plane, current)?;
        return Ok(Found::Fresh);
    }
    let path = folder.join("FORMAT");
    let malformed = || FormatError::Malformed { path: path.clone(), plane: plane.into() };
    let found = parse(&read_small(io, &path).map_err(failed)?, plane).ok_or_else(malformed)?;
    let (folder, plane) = (folder.to_path_buf(), plane.to_string());
    match found {
        v if v == current => Ok(Found::Same),
        v if v > current => Err(FormatError::Newer { folder, plane, found, known: current }),
        v if v + 1 == current => Ok(Found::Older(v)),
        _ => Err(FormatError::TooOld { folder, plane, found, oldest: current - 1 }),
    }
}

/// Whether the folder is of this version, without changing anything.
///
/// # Errors
/// As [`open`], and when there is no format file.
pub fn check<D: Io>(io: &D, folder: &Path, plane: &str, current: u32) -> Result<(), FormatError> {
    let names = io.list(folder).map_err(|source| FormatError::Io { folder: folder.to_path_buf(), source })?;
    if !names.iter().any(|name| name == "FORMAT") {
        return Err(FormatError::Unknown { folder: folder.to_path_buf() });
    }
    match open(io, folder, plane, current)? {
        Found::Older(found) => {
            let (folder, plane) = (folder.to_path_buf(), plane.to_string());
            Err(FormatError::TooOld { folder, plane, found, oldest: current })
        }
        Found::Fresh | Found::Same => Ok(()),
    }
}

/// Writes the folder's version, durably.
///
/// # Errors
/// A disk that fails; the old version then still stands.
pub fn write<D: Io>(io: &D, folder: &Path, plane: &str, version: u32) -> Result<(), FormatError> {
    let text = format!("forebay {plane} {version}\n");
    replace_file(io, &folder.join("FORMAT"), text.as_bytes())
        .map_err(|source| FormatError::Io { folder: folder.to_path_buf(), source })
}

fn read_small<D: Io>(io: &D, path: &Path) -> io::Result<Vec<u8>> {
    const BYTES_MAX: u64 = 200;
    let file = io.open(path, OpenMode::Read)?;
    let len = io.len(&file)?.min(BYTES_MAX);
    let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
    io.read_exact_at(&file, &mut bytes, 0)?;
    Ok(bytes)
}

fn parse(bytes: &[u8], plane: &str) -> Option<u32> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.strip_prefix("forebay ")?.strip_prefix(plane)?.strip_prefix(' ')?.strip_suffix('\n')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::Disk;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn a_new_folder_is_marked_and_then_known() {
        let dir = folder();
        assert_eq!(open(&Disk, dir.path(), "queue", 3).unwrap(), Found::Fresh);
        assert_eq!(std::fs::read_to_string(dir.path().join("FORMAT")).unwrap(), "forebay queue 3\n");
        assert_eq!(open(&Disk, dir.path(), "queue", 3).unwrap(), Found::Same);
        assert_eq!(open(&Disk, dir.path(), "queue", 4).unwrap(), Found::Older(3));
    }

    #[test]
    fn a_check_writes_nothing() {
        let dir = folder();
        assert_eq!(check(&Disk, dir.path(), "queue", 3).unwrap_err().code(), "format_malformed");
        write(&Disk, dir.path(), "queue", 3).unwrap();
        check(&Disk, dir.path(), "queue", 3).unwrap();
        assert_eq!(check(&Disk, dir.path(), "queue", 4).unwrap_err().code(), "format_too_old");
        assert_eq!(check(&Disk, dir.path(), "queue", 2).unwrap_err().code(), "format_newer");
    }

    #[test]
    fn a_newer_or_much_older_or_foreign_folder_is_refused() {
        let dir = folder();
        write(&Disk, dir.path(), "queue", 7).unwrap();
        assert_eq!(open(&Disk, dir.path(), "queue", 6).unwrap_err().code(), "format_newer");
        assert_eq!(open(&Disk, dir.path(), "queue", 9).unwrap_err().code(), "format_too_old");
        assert_eq!(open(&Disk, dir.path(), "logs", 7).unwrap_err().code(), "format_malformed");
        std::fs::remove_file(dir.path().join("FORMAT")).unwrap();
        std::fs::write(dir.path().join("photo.jpg"), "x").unwrap();
        assert_eq!(open(&Disk, dir.path(), "queue", 6).unwrap_err().code(), "format_malformed");
    }
}
