//! One folder's segments, copied into another.

use std::io::{self, ErrorKind};
use std::path::Path;

use stdx::io::{Io, OpenMode};

use super::{BackupError, Copied};

/// Bytes copied at once.
const PIECE_BYTES: usize = 1 << 20;

/// A folder that is there and has nothing in it but perhaps a lock.
pub(super) fn make_empty<D: Io>(io: &D, folder: &Path) -> Result<(), BackupError> {
    io.create_dir(folder).map_err(BackupError::disk(folder))?;
    let names = io.list(folder).map_err(BackupError::disk(folder))?;
    if names.iter().any(|name| name != "LOCK") {
        return Err(BackupError::NotEmpty(folder.to_path_buf()));
    }
    Ok(())
}

/// Copies all segments, oldest first; what was removed just before is not needed.
pub(super) fn segments<D: Io>(io: &D, from: &Path, to: &Path) -> Result<Copied, BackupError> {
    let mut names = io.list(from).map_err(BackupError::disk(from))?;
    names.retain(|name| is_segment(name));
    names.sort_unstable();
    let mut copied = Copied::default();
    for name in names {
        let (source, target) = (from.join(&name), to.join(&name));
        match file(io, &source, &target) {
            Ok(bytes) => {
                copied.segments += 1;
                copied.bytes += bytes;
            }
            Err(error) if error.kind() == ErrorKind::NotFound && copied.segments == 0 => {}
            Err(error) => return Err(BackupError::Disk { path: source, source: error }),
        }
    }
    io.sync_dir(to).map_err(BackupError::disk(to))?;
    Ok(copied)
}

/// 20 digits and `.wal`: what is being made or was put aside is not part of the log.
fn is_segment(name: &str) -> bool {
    name.strip_suffix(".wal").is_some_and(|digits| digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// Copies a file as long as it is now.
fn file<D: Io>(io: &D, from: &Path, to: &Path) -> io::Result<u64> {
    let source = io.open(from, OpenMode::Read)?;
    let len = io.len(&source)?;
    let target = io.open(to, OpenMode::CreateNew)?;
    let mut piece = vec![0; PIECE_BYTES];
    let mut at = 0;
    while at < len {
        let bytes = usize::try_from(len - at).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
        io.read_exact_at(&source, &mut piece[..bytes], at)?;
        io.write_all_at(&target, &piece[..bytes], at)?;
        at += bytes as u64;
    }
    io.sync_data(&target)?;
    Ok(len)
}
