//! Checkpoints of the index: all jobs but their bodies as they were after one record, so that a start reads only what the
//! log says since. They are a shortcut and nothing else: the log alone is the whole state, and a start that finds no good
//! checkpoint reads all of it. The format is in `docs/formats/queue.md`.

mod blocks;
mod far;
mod read;
mod row;
mod write;

use std::io;
use std::path::{Path, PathBuf};

use stdx::io::Io;
use wal::Lsn;

use super::record::put_u32;

pub(crate) use far::Far;
pub(crate) use read::read;
pub(crate) use write::{Checkpoint, Written};

/// How many are kept: the newest, and the one before in case that is damaged.
const KEPT: usize = 2;

/// The folder of the checkpoints beside the log.
pub(crate) fn folder(queue: &Path) -> PathBuf {
    queue.join("index")
}

/// What kind of things a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Head = 1,
    Spaces = 2,
    Tubes = 3,
    Segments = 4,
    Jobs = 5,
    Facts = 6,
    End = 7,
    Keys = 8,
    Ticks = 9,
    FarJobs = 10,
    FarKeys = 11,
}

/// The end of a key that is its job's until that is done.
const UNTIL_DONE: u64 = u64::MAX;

/// A tube that is paused, with who and why behind it; 1 was one without.
const PAUSED: u8 = 2;

/// A checkpoint is not whole, or not one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    /// The disk.
    #[error("it cannot be read: {0}")]
    Disk(#[from] io::Error),
    /// The content.
    #[error("it is damaged")]
    Damaged,
    /// Another version wrote it.
    #[error("it has format {0}, which this Forebay does not read")]
    Newer(u32),
}

/// The first ones had no far jobs.
const VERSIONS: std::ops::RangeInclusive<u32> = 1..=2;
const MAGIC: [u8; 8] = *b"FBAYIDX\n";

fn path_of(folder: &Path, lsn: Lsn) -> PathBuf {
    folder.join(format!("{:020}.index", lsn.0))
}

/// An entry with its length in front.
fn put_list(out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    put_u32(out, 0);
    fill(out);
    let len = (out.len() - at - 4) as u32;
    out[at..at + 4].copy_from_slice(&len.to_le_bytes());
}

fn parse(name: &str) -> Option<Lsn> {
    let digits = name.strip_suffix(".index").filter(|digits| digits.len() == 20)?;
    digits.parse().ok().map(Lsn)
}

/// The checkpoints in the folder, the newest first. Leftovers of a crash are removed.
pub(crate) fn list<D: Io>(io: &D, folder: &Path) -> io::Result<Vec<Lsn>> {
    io.create_dir(folder)?;
    let mut found = Vec::new();
    for name in io.list(folder)? {
        match parse(&name) {
            Some(lsn) => found.push(lsn),
            None if name.ends_with(".index.new") => io.unlink(&folder.join(name))?,
            None => {}
        }
    }
    found.sort_unstable_by_key(|lsn| std::cmp::Reverse(*lsn));
    Ok(found)
}

/// Removes checkpoints, for good: the log may soon hold other records under their numbers.
pub(crate) fn remove<D: Io>(io: &D, folder: &Path, which: &[Lsn]) -> io::Result<()> {
    for lsn in which {
        io.unlink(&path_of(folder, *lsn))?;
    }
    if which.is_empty() { Ok(()) } else { io.sync_dir(folder) }
}

#[cfg(test)]
mod tests;
