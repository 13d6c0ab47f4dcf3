//! The batch header: what was written and synced together.

use super::{Seed, lsn_is_sound, u32_at, u64_at};

/// Length of the header in front of each batch.
pub(crate) const BATCH_HEADER: usize = 40;
/// The first four bytes of every batch.
pub(crate) const BATCH_MAGIC: [u8; 4] = [0xFB, b'B', b'A', 0x1A];

/// The header of one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    /// Bytes of record frames that follow the header.
    pub(crate) body_len: u32,
    /// How many records; 0 for a batch that only carries a new floor.
    pub(crate) count: u32,
    /// The checksum of the batch before.
    pub(crate) chain: u32,
    /// The LSN of the first record, or of the next one to come when there is none.
    pub(crate) first_lsn: u64,
    /// The oldest segment that is still part of the log; older ones are removed once this batch is on disk.
    pub(crate) floor: u64,
    /// The checksum of header and body: what the next batch carries as its chain.
    pub(crate) crc: u32,
}

impl BatchHeader {
    /// Fills in the header of `batch` (its first [`BATCH_HEADER`] bytes) from the fields and the body that follows, for
    /// this place. Returns the batch's checksum.
    ///
    /// ```text
    ///  0 magic 4 | 4 body length u32 | 8 count u32 | 12 chain u32 | 16 first LSN u64 | 24 floor u64
    /// 32 CRC32C of place, bytes 0..32 and body | 36 CRC32C of place and bytes 0..36
    /// ```
    pub(crate) fn seal(batch: &mut [u8], fields: BatchHeader, seed: Seed, offset: u32) -> u32 {
        let (head, body) = batch.split_at_mut(BATCH_HEADER);
        debug_assert_eq!(body.len(), fields.body_len as usize);
        head[0..4].copy_from_slice(&BATCH_MAGIC);
        head[4..8].copy_from_slice(&fields.body_len.to_le_bytes());
        head[8..12].copy_from_slice(&fields.count.to_le_bytes());
        head[12..16].copy_from_slice(&fields.chain.to_le_bytes());
        head[16..24].copy_from_slice(&fields.first_lsn.to_le_bytes());
        head[24..32].copy_from_slice(&fields.floor.to_le_bytes());
        let place = seed.at(offset);
        let crc = crc32c::crc32c_append(crc32c::crc32c_append(place, &head[..32]), body);
        head[32..36].copy_from_slice(&crc.to_le_bytes());
        let head_crc = crc32c::crc32c_append(place, &head[..36]);
        head[36..40].copy_from_slice(&head_crc.to_le_bytes());
        crc
    }

    /// Reads a header that stands at `offset`; `None` when it is not one. The body is not looked at.
    pub(crate) fn decode(head: &[u8], seed: Seed, offset: u32) -> Option<BatchHeader> {
        if head.len() < BATCH_HEADER || head[0..4] != BATCH_MAGIC {
            return None;
        }
        if u32_at(head, 36) != crc32c::crc32c_append(seed.at(offset), &head[..36]) {
            return None;
        }
        let first_lsn = u64_at(head, 16);
        lsn_is_sound(first_lsn).then(|| BatchHeader {
            body_len: u32_at(head, 4),
            count: u32_at(head, 8),
            chain: u32_at(head, 12),
            first_lsn,
            floor: u64_at(head, 24),
            crc: u32_at(head, 32),
        })
    }

    /// Says whether `batch`, header and whole body, is what was written at `offset`.
    pub(crate) fn body_is_whole(&self, batch: &[u8], seed: Seed, offset: u32) -> bool {
        let Some(body) = batch.get(BATCH_HEADER..BATCH_HEADER + self.body_len as usize) else {
            return false;
        };
        self.crc == crc32c::crc32c_append(crc32c::crc32c_append(seed.at(offset), &batch[..32]), body)
    }
}
