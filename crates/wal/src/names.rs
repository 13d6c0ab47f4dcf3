//! The names of the files in a log's folder.

use std::path::{Path, PathBuf};

/// The file that holds the reserve of disk space.
pub(crate) const RESERVE: &str = "reserve";

/// No log gets that far; it leaves room to count on from whatever a name says.
const NUMBER_MAX: u64 = u64::MAX >> 1;

/// What a name in the folder stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// `00000000000000000007.wal`
    Segment(u64),
    /// `00000000000000000007.wal.new`: never part of the log, left by a crash.
    Temporary(u64),
    /// `00000000000000000007.wal.damaged`: kept for whoever looks into a damage.
    Quarantined(u64),
    /// Not ours.
    Other,
}

impl Name {
    pub(crate) fn parse(name: &str) -> Name {
        let Some((digits, kind)) = name.split_once('.') else { return Name::Other };
        if digits.len() != 20 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Name::Other;
        }
        let Ok(number) = digits.parse::<u64>() else { return Name::Other };
        if !(1..=NUMBER_MAX).contains(&number) {
            return Name::Other;
        }
        match kind {
            "wal" => Name::Segment(number),
            "wal.new" => Name::Temporary(number),
            "wal.damaged" => Name::Quarantined(number),
            _ => Name::Other,
        }
    }
}

pub(crate) fn segment(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:020}.wal"))
}

pub(crate) fn temporary(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:020}.wal.new"))
}

pub(crate) fn quarantined(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:020}.wal.damaged"))
}

pub(crate) fn reserve(folder: &Path) -> PathBuf {
    folder.join(RESERVE)
}
