//! What recovery found. A caller that drops it has not looked at its own data.

use std::fmt;

use crate::types::{Lsn, LsnRange};

/// The outcome of [`crate::open`]: what was read, what was cut, what is damaged.
#[must_use = "damage must be shown to somebody"]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Segments that are part of the log.
    pub segments: u64,
    /// Records delivered.
    pub records: u64,
    /// The newest record, if there ever was one.
    pub last_lsn: Lsn,
    /// What was cut from the end: written before a crash, never acknowledged.
    pub torn: Option<Torn>,
    /// Damage to acknowledged data. Empty on a healthy disk.
    pub damage: Vec<Damage>,
    /// Files of removed segments, and leftovers of a crash, that were unlinked.
    pub unlinked: u64,
}

impl Report {
    /// Says whether all that was ever acknowledged is there.
    pub fn is_clean(&self) -> bool {
        self.damage.is_empty()
    }
}

/// The end of the log after a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Torn {
    /// The last segment.
    pub segment: u64,
    /// Where it ends now.
    pub offset: u32,
    /// How many bytes were cut.
    pub bytes: u32,
}

/// One stretch of the log that is not what was written. It stays in its file, is reported at every open until its segment
/// is removed, and even then the file is kept, renamed to `*.wal.damaged`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The segment.
    pub segment: u64,
    /// What is wrong.
    pub what: DamageKind,
    /// The first damaged byte.
    pub from: u32,
    /// The first byte after the damage.
    pub to: u32,
    /// Records that are lost. Others in the same stretch were saved.
    pub lost: Vec<LsnRange>,
}

/// What is wrong with a stretch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DamageKind {
    /// One of the two copies of the segment header, or both.
    Header,
    /// One or more batches.
    Batches,
    /// The file is not there, nor are those up to the segment with the number `last`.
    Missing {
        /// The last one missing.
        last: u64,
    },
    /// The end of the segment is not there, though a later segment is.
    Truncated,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.what {
            DamageKind::Header => "the header is damaged",
            DamageKind::Batches => "records are damaged",
            DamageKind::Missing { .. } => "the file is missing",
            DamageKind::Truncated => "the end is missing",
        };
        write!(f, "segment {}, bytes {}-{}: {what}", self.segment, self.from, self.to)?;
        for (i, range) in self.lost.iter().enumerate() {
            write!(f, "{}{range}", if i == 0 { "; lost LSN " } else { ", " })?;
        }
        Ok(())
    }
}
