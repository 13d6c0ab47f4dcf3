//! The bytes on disk. The layout with offsets is in the crate's documentation and in `docs/formats/wal.md`.

mod batch;
mod frame;
mod segment;

pub(crate) use batch::{BATCH_HEADER, BATCH_MAGIC, BatchHeader};
pub(crate) use frame::{FRAME_HEADER, Frame, Frames, write_frame};
pub(crate) use segment::{HEADER_COPY, HeaderFault, SEGMENT_DATA, SEGMENT_HEADER, SegmentHeader};

/// The newest format that this code reads, and the one that it writes.
pub const VERSION: u32 = 1;

/// What every checksum in a segment starts from: the log's identity and the segment's number. Bytes are therefore valid
/// only in the file and at the offset they were written for; a misdirected read or a copy of a log inside a payload
/// never passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seed(u32);

impl Seed {
    pub(crate) fn new(uuid: &[u8; 16], segment: u64) -> Seed {
        Seed(crc32c::crc32c_append(crc32c::crc32c(uuid), &segment.to_le_bytes()))
    }

    /// The start value for a structure at `offset`.
    pub(crate) fn at(self, offset: u32) -> u32 {
        crc32c::crc32c_append(self.0, &offset.to_le_bytes())
    }
}

/// LSNs start at 1 and never come near the end of their range; a checksum that happens to fit proves less than this.
fn lsn_is_sound(lsn: u64) -> bool {
    (1..=u64::MAX >> 1).contains(&lsn)
}

/// Reads a little-endian `u32`; the caller has checked the length.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut raw = [0; 4];
    raw.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(raw)
}

/// Reads a little-endian `u64`; the caller has checked the length.
fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut raw = [0; 8];
    raw.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(raw)
}
