//! The words of the log: where a record is and in which order it came.

use std::fmt;

/// Log sequence number: 1, 2, 3 ... one per record, never given twice to an acknowledged record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

impl Lsn {
    /// The one after this.
    pub fn next(self) -> Lsn {
        Lsn(self.0 + 1)
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a record's payload stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The segment's number.
    pub segment: u64,
    /// Offset of the payload in the segment's file.
    pub offset: u32,
    /// Length of the payload in bytes.
    pub len: u32,
}

/// One record, as recovery and scans hand it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// Its number in the log.
    pub lsn: Lsn,
    /// Where it can be read again.
    pub position: Position,
    /// What the owner said it is.
    pub kind: u8,
    /// What the owner wrote.
    pub payload: &'a [u8],
}

/// LSNs from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LsnRange {
    /// The first one.
    pub first: Lsn,
    /// The last one.
    pub last: Lsn,
}

impl fmt::Display for LsnRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last { write!(f, "{}", self.first) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

/// One segment that is part of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its number.
    pub number: u64,
    /// The LSN of its first record.
    pub first_lsn: Lsn,
    /// Its durable length in bytes, headers included.
    pub bytes: u32,
}

/// A record up to which the owner of a log knows all of it, so that reading starts behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resume {
    /// The log's identity, see [`crate::Reader::log`].
    pub log: [u8; 16],
    /// The last record that is known.
    pub lsn: Lsn,
}

/// How far the reading of a log has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes read.
    pub bytes: u64,
    /// Bytes that there are to read.
    pub of: u64,
}
