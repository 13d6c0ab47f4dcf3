//! A batch on its way from the writer to the committer.

use crate::format::{BATCH_HEADER, FRAME_HEADER, Seed, write_frame};
use crate::types::{Lsn, Position};

/// Records that are written and synced together. Made by [`crate::Writer::take_batch`], to be committed in that order.
pub struct Batch {
    /// Room for the header, then the frames.
    pub(crate) bytes: Vec<u8>,
    pub(crate) segment: u64,
    /// Where the header will stand.
    pub(crate) offset: u32,
    pub(crate) first_lsn: Lsn,
    pub(crate) count: u32,
    pub(crate) floor: u64,
}

impl Batch {
    pub(crate) fn new(mut bytes: Vec<u8>, segment: u64, offset: u32, first_lsn: Lsn, floor: u64) -> Batch {
        bytes.clear();
        bytes.resize(BATCH_HEADER, 0);
        Batch { bytes, segment, offset, first_lsn, count: 0, floor }
    }

    pub(crate) fn push(&mut self, seed: Seed, lsn: Lsn, kind: u8, payload: &[&[u8]]) -> Position {
        let offset = self.offset + self.bytes.len() as u32;
        let before = self.bytes.len();
        write_frame(&mut self.bytes, seed, offset, lsn.0, kind, payload);
        self.count += 1;
        let len = (self.bytes.len() - before - FRAME_HEADER) as u32;
        Position { segment: self.segment, offset: offset + FRAME_HEADER as u32, len }
    }

    /// How many records it holds; 0 when it only carries the removal of old segments.
    pub fn records(&self) -> u32 {
        self.count
    }

    /// The LSN of the last record in it, or of the last one before it when it is empty.
    pub fn last_lsn(&self) -> Lsn {
        Lsn(self.first_lsn.0 + u64::from(self.count) - 1)
    }

    /// Its length on disk.
    pub fn len_bytes(&self) -> usize {
        self.bytes.len()
    }
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch")
            .field("segment", &self.segment)
            .field("offset", &self.offset)
            .field("first_lsn", &self.first_lsn)
            .field("records", &self.count)
            .field("bytes", &self.bytes.len())
            .finish()
    }
}
