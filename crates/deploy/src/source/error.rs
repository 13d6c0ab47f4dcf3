//! Why a folder cannot be a release's source, and what to do about it.

use std::io;
use std::path::PathBuf;

use control::error::{ApiError, Kind as ErrorKind};

use super::PATH_BYTES_MAX;

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
