//! The segment header: 64 bytes at the start of the file and once more at [`HEADER_COPY`], on another disk sector.

use super::{VERSION, lsn_is_sound, u32_at, u64_at};

/// Length of one copy of the header.
pub(crate) const SEGMENT_HEADER: usize = 64;
/// Where the second copy stands.
pub(crate) const HEADER_COPY: u32 = 4096;
/// Where the first batch starts.
pub(crate) const SEGMENT_DATA: u32 = HEADER_COPY + SEGMENT_HEADER as u32;

const MAGIC: [u8; 8] = *b"FBAYWAL\n";

/// What a segment says of itself and of the log up to its first batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// The log's identity, the same in all its segments.
    pub(crate) uuid: [u8; 16],
    /// The segment's number; the file's name repeats it.
    pub(crate) number: u64,
    /// The LSN of the first record that will stand in this segment.
    pub(crate) first_lsn: u64,
    /// The number of the oldest segment that was part of the log when this one was made.
    pub(crate) floor: u64,
    /// The checksum of the batch before the first one in this segment; 0 for a new log.
    pub(crate) chain: u32,
    /// Where the segment before this one ends; 0 for a new log. What its file holds beyond was cut, even if the cut
    /// itself did not reach the disk.
    pub(crate) previous_end: u32,
}

/// Why a header cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    /// The checksum is right and the version is not ours: written by a newer Forebay.
    Newer(u32),
    /// Not a header, or not a whole one.
    Damaged,
}

impl SegmentHeader {
    /// ```text
    ///  0 magic 8 | 8 version u32 | 12 chain u32 | 16 uuid 16 | 32 number u64 | 40 first LSN u64 | 48 floor u64
    /// 56 end of the previous segment u32 | 60 CRC32C of bytes 0..60
    /// ```
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER] {
        let mut out = [0; SEGMENT_HEADER];
        out[0..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&VERSION.to_le_bytes());
        out[12..16].copy_from_slice(&self.chain.to_le_bytes());
        out[16..32].copy_from_slice(&self.uuid);
        out[32..40].copy_from_slice(&self.number.to_le_bytes());
        out[40..48].copy_from_slice(&self.first_lsn.to_le_bytes());
        out[48..56].copy_from_slice(&self.floor.to_le_bytes());
        out[56..60].copy_from_slice(&self.previous_end.to_le_bytes());
        let crc = crc32c::crc32c(&out[..60]);
        out[60..64].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// The first [`SEGMENT_DATA`] bytes of a segment: the header, zeros, the header again.
    pub(crate) fn encode_area(&self) -> Vec<u8> {
        let header = self.encode();
        let mut area = vec![0; SEGMENT_DATA as usize];
        area[..SEGMENT_HEADER].copy_from_slice(&header);
        area[HEADER_COPY as usize..].copy_from_slice(&header);
        area
    }

    /// Reads a header. Every version keeps magic, version and checksum where they are, so that a newer one is told from
    /// a damaged one.
    pub(crate) fn decode(bytes: &[u8; SEGMENT_HEADER]) -> Result<SegmentHeader, HeaderFault> {
        if bytes[0..8] != MAGIC || u32_at(bytes, 60) != crc32c::crc32c(&bytes[..60]) {
            return Err(HeaderFault::Damaged);
        }
        match u32_at(bytes, 8) {
            0 => Err(HeaderFault::Damaged),
            VERSION if lsn_is_sound(u64_at(bytes, 40)) => {
                let mut uuid = [0; 16];
                uuid.copy_from_slice(&bytes[16..32]);
                Ok(SegmentHeader {
                    uuid,
                    number: u64_at(bytes, 32),
                    first_lsn: u64_at(bytes, 40),
                    floor: u64_at(bytes, 48),
                    chain: u32_at(bytes, 12),
                    previous_end: u32_at(bytes, 56),
                })
            }
            VERSION => Err(HeaderFault::Damaged),
            newer => Err(HeaderFault::Newer(newer)),
        }
    }
}
