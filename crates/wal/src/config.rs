//! What the owner of a log decides.

use std::path::PathBuf;

use crate::format::{BATCH_HEADER, FRAME_HEADER, SEGMENT_DATA};

/// Where a log lies and how big its parts may grow. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The folder that holds the segments and nothing of anybody else; made when missing.
    pub folder: PathBuf,
    /// No segment file grows beyond this; it also bounds a record. From [`Config::SEGMENT_BYTES_LEAST`] to 4 GiB - 1.
    pub segment_bytes_max: u64,
    /// A batch is closed when the next record would take it beyond this. A single bigger record is a batch of its own.
    pub batch_bytes_max: usize,
    /// What may be appended and not yet taken; beyond it [`crate::AppendError::Full`].
    pub pending_bytes_max: usize,
    /// Disk space set aside behind the end of the segment being written, and as much for the next one, so that small
    /// records (deletes) still fit when the disk is full. 0 keeps none.
    pub reserve_bytes: u64,
}

impl Config {
    /// The smallest segment that makes sense: its header and a few records.
    pub const SEGMENT_BYTES_LEAST: u64 = 8192;

    /// The defaults for a log in `folder`: segments of 64 MiB, batches of 1 MiB, 16 MiB pending, no reserve.
    pub fn new(folder: PathBuf) -> Config {
        Config {
            folder,
            segment_bytes_max: 64 << 20,
            batch_bytes_max: 1 << 20,
            pending_bytes_max: 16 << 20,
            reserve_bytes: 0,
        }
    }

    /// The longest payload that a record of this log may have.
    pub fn payload_bytes_max(&self) -> usize {
        self.segment_limit() as usize - SEGMENT_DATA as usize - BATCH_HEADER - FRAME_HEADER
    }

    /// The segment limit as an offset, brought into the range that the format can hold.
    pub(crate) fn segment_limit(&self) -> u32 {
        let limit = self.segment_bytes_max.max(Config::SEGMENT_BYTES_LEAST);
        u32::try_from(limit).unwrap_or(u32::MAX)
    }
}
