//! The plane's end of the log: lays out records in memory and does no I/O.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::batch::Batch;
use crate::config::Config;
use crate::error::AppendError;
use crate::format::{BATCH_HEADER, FRAME_HEADER, SEGMENT_DATA, Seed};
use crate::shared::Shared;
use crate::types::{Lsn, Position};

/// Buffers kept for reuse.
const SPARE_BUFFERS: usize = 4;

/// Appends records. It decides where each one will stand, batch and segment boundaries included, so that the owner can
/// index a record before it is on disk.
pub struct Writer {
    shared: Arc<Shared>,
    segment_limit: u32,
    batch_bytes_max: usize,
    pending_bytes_max: usize,
    payload_bytes_max: usize,
    /// The segment that is being filled, its checksum seed, and the first byte not yet given out.
    segment: u64,
    seed: Seed,
    offset: u32,
    next_lsn: Lsn,
    floor: u64,
    /// The floor rose while no batch was pending to carry it.
    floor_waits: bool,
    /// Batches in order; the last one still takes records.
    pending: VecDeque<Batch>,
    pending_bytes: usize,
    spare: Vec<Vec<u8>>,
}

/// Where a writer goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tail {
    pub(crate) segment: u64,
    pub(crate) offset: u32,
    /// The segment has no file yet.
    pub(crate) fresh: bool,
    pub(crate) next_lsn: Lsn,
    pub(crate) chain: u32,
    /// Where the last batch ends, in the segment before if this one is fresh.
    pub(crate) end: u32,
    pub(crate) floor: u64,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, config: &Config, tail: Tail) -> Writer {
        Writer {
            seed: shared.seed(tail.segment),
            shared,
            segment_limit: config.segment_limit(),
            batch_bytes_max: config.batch_bytes_max,
            pending_bytes_max: config.pending_bytes_max,
            payload_bytes_max: config.payload_bytes_max(),
            segment: tail.segment,
            offset: tail.offset,
            next_lsn: tail.next_lsn,
            floor: tail.floor,
            floor_waits: false,
            pending: VecDeque::new(),
            pending_bytes: 0,
            spare: Vec::new(),
        }
    }

    /// Appends a record whose payload is the concatenation of `payload`, and says where it will stand. It is on disk when
    /// the batch that holds it is committed; see [`crate::Committed::durable`].
    ///
    /// # Errors
    /// [`AppendError`]; the log is unchanged then.
    pub fn append(&mut self, kind: u8, payload: &[&[u8]]) -> Result<(Lsn, Position), AppendError> {
        if let Some(cause) = self.shared.poisoned() {
            return Err(cause.clone().into());
        }
        let len: usize = payload.iter().map(|part| part.len()).sum();
        if len > self.payload_bytes_max {
            return Err(AppendError::TooLong { len, max: self.payload_bytes_max });
        }
        let frame = FRAME_HEADER + len;
        if self.pending_bytes > 0 && self.pending_bytes + frame > self.pending_bytes_max {
            return Err(AppendError::Full { pending: self.pending_bytes, max: self.pending_bytes_max });
        }
        if !self.last_batch_takes(frame) {
            self.start_batch(frame);
        }
        let (seed, lsn) = (self.seed, self.next_lsn);
        let Some(batch) = self.pending.back_mut() else { unreachable!("start_batch leaves a batch") };
        let position = batch.push(seed, lsn, kind, payload);
        self.next_lsn = lsn.next();
        self.offset += frame as u32;
        self.pending_bytes += frame;
        Ok((lsn, position))
    }

    /// Bytes appended and not yet taken.
    pub fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    /// The LSN that the next record gets.
    pub fn next_lsn(&self) -> Lsn {
        self.next_lsn
    }

    /// The segment that the next record may go to; older ones take no more records.
    pub fn segment(&self) -> u64 {
        self.segment
    }

    /// The oldest pending batch, closed now if it still took records. `None` when nothing is pending. Batches must be
    /// committed in the order they were taken, one at a time.
    pub fn take_batch(&mut self) -> Option<Batch> {
        if self.pending.is_empty() && self.floor_waits {
            self.start_batch(0);
        }
        let batch = self.pending.pop_front()?;
        self.pending_bytes -= batch.bytes.len();
        Some(batch)
    }

    /// Removes all segments with a lower number. The files go once everything appended so far is on disk, so records
    /// that were copied forward are safe. The segment being written always stays.
    pub fn remove_segments_below(&mut self, segment: u64) {
        let floor = segment.min(self.segment);
        if floor <= self.floor {
            return;
        }
        self.floor = floor;
        match self.pending.back_mut() {
            Some(batch) => batch.floor = floor,
            None => self.floor_waits = true,
        }
    }

    /// Gives back the buffer of a committed batch.
    pub fn recycle(&mut self, buffer: Vec<u8>) {
        if self.spare.len() < SPARE_BUFFERS && buffer.capacity() <= self.batch_bytes_max.saturating_mul(2) {
            self.spare.push(buffer);
        }
    }

    fn last_batch_takes(&self, frame: usize) -> bool {
        self.pending
            .back()
            .is_some_and(|batch| batch.bytes.len() + frame <= self.batch_bytes_max && self.fits_segment(frame))
    }

    fn fits_segment(&self, more: usize) -> bool {
        self.offset as usize + more <= self.segment_limit as usize
    }

    /// Starts a batch that will take at least one frame of `frame` bytes, in a new segment if this one is full.
    fn start_batch(&mut self, frame: usize) {
        if !self.fits_segment(BATCH_HEADER + frame) {
            self.segment += 1;
            self.seed = self.shared.seed(self.segment);
            self.offset = SEGMENT_DATA;
        }
        let buffer = self.spare.pop().unwrap_or_default();
        self.pending.push_back(Batch::new(buffer, self.segment, self.offset, self.next_lsn, self.floor));
        self.floor_waits = false;
        self.offset += BATCH_HEADER as u32;
        self.pending_bytes += BATCH_HEADER;
    }
}
