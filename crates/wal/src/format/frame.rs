//! The record frame: one record inside a batch.

use super::{Seed, u32_at, u64_at};

/// Length of what stands in front of a payload.
pub(crate) const FRAME_HEADER: usize = 17;

/// One record as it stands in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) lsn: u64,
    pub(crate) kind: u8,
    /// Offset of the payload in the segment.
    pub(crate) offset: u32,
    pub(crate) payload: &'a [u8],
    /// Whether the frame's own checksum holds.
    pub(crate) whole: bool,
}

/// Appends a frame that will stand at `offset` in the segment.
///
/// ```text
/// 0 payload length u32 | 4 CRC32C of place, length, LSN, kind, payload | 8 LSN u64 | 16 kind u8 | 17 payload
/// ```
pub(crate) fn write_frame(out: &mut Vec<u8>, seed: Seed, offset: u32, lsn: u64, kind: u8, payload: &[&[u8]]) {
    let start = out.len();
    let len: usize = payload.iter().map(|part| part.len()).sum();
    out.extend_from_slice(&(len as u32).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&lsn.to_le_bytes());
    out.push(kind);
    for part in payload {
        out.extend_from_slice(part);
    }
    let crc = checksum(&out[start..], seed, offset);
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
}

fn checksum(frame: &[u8], seed: Seed, offset: u32) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(seed.at(offset), &frame[..4]), &frame[8..])
}

impl<'a> Frame<'a> {
    /// LSN and payload length of the frame at the start of `bytes`; `None` when it does not fit.
    pub(crate) fn peek(bytes: &[u8]) -> Option<(u64, usize)> {
        if bytes.len() < FRAME_HEADER {
            return None;
        }
        let len = u32_at(bytes, 0) as usize;
        (len <= bytes.len() - FRAME_HEADER).then(|| (u64_at(bytes, 8), len))
    }

    /// Reads the frame at the start of `bytes`, which stands at `offset` in the segment, and checks it. `None` when it
    /// does not fit.
    pub(crate) fn decode(bytes: &'a [u8], seed: Seed, offset: u32) -> Option<Frame<'a>> {
        let mut frame = Frame::read(bytes, offset)?;
        let whole = &bytes[..FRAME_HEADER + frame.payload.len()];
        frame.whole = u32_at(whole, 4) == checksum(whole, seed, offset);
        Some(frame)
    }

    /// The same for bytes that a batch's checksum vouches for.
    fn read(bytes: &'a [u8], offset: u32) -> Option<Frame<'a>> {
        let (lsn, len) = Frame::peek(bytes)?;
        let offset = offset.checked_add(FRAME_HEADER as u32)?;
        let payload = &bytes[FRAME_HEADER..FRAME_HEADER + len];
        Some(Frame { lsn, kind: bytes[16], offset, payload, whole: true })
    }
}

/// The frames of a batch's body, one after the other; ends at the first that does not fit.
pub(crate) struct Frames<'a> {
    body: &'a [u8],
    offset: u32,
    /// What to check the frames with; `None` when the batch's checksum vouches for them.
    seed: Option<Seed>,
}

impl<'a> Frames<'a> {
    /// Frames of which each is checked; `offset` is where `body` starts in the segment.
    pub(crate) fn new(body: &'a [u8], seed: Seed, offset: u32) -> Frames<'a> {
        Frames { body, offset, seed: Some(seed) }
    }

    /// Frames of a batch whose checksum holds.
    pub(crate) fn trusted(body: &'a [u8], offset: u32) -> Frames<'a> {
        Frames { body, offset, seed: None }
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        let frame = match self.seed {
            Some(seed) => Frame::decode(self.body, seed, self.offset)?,
            None => Frame::read(self.body, self.offset)?,
        };
        let taken = FRAME_HEADER + frame.payload.len();
        self.body = &self.body[taken..];
        self.offset = self.offset.saturating_add(taken as u32);
        Some(frame)
    }
}
