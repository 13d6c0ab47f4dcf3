//! What memory knows of the far jobs in a file: where each block begins, and with what.

use std::collections::HashMap;
use std::ops::Range;

use wal::Lsn;

use super::super::blocks::Place;
use crate::engine::TubeIx;
use crate::names::JobId;

/// Entries of one block, be they jobs or keys.
pub(in crate::log::checkpoint) const BLOCK_ENTRIES: usize = 128;

/// When a job is due, and its id: the order in which jobs of a tube come back.
pub(in crate::log::checkpoint) type Key = (u64, JobId);

/// A block of far jobs, by id.
#[derive(Clone, Copy, Debug)]
pub(in crate::log::checkpoint) struct RowBlock {
    pub(in crate::log::checkpoint) first: JobId,
    pub(in crate::log::checkpoint) place: Place,
}

/// A block of the keys of one tube, in their order.
#[derive(Clone, Copy, Debug)]
pub(in crate::log::checkpoint) struct KeyBlock {
    pub(in crate::log::checkpoint) tube: TubeIx,
    pub(in crate::log::checkpoint) first: Key,
    pub(in crate::log::checkpoint) place: Place,
}

/// The far part of a checkpoint.
#[derive(Debug, Default)]
pub(in crate::log::checkpoint) struct FarIndex {
    pub(in crate::log::checkpoint) lsn: Lsn,
    /// The engine's tubes by their number in the file.
    pub(in crate::log::checkpoint) tubes: Vec<TubeIx>,
    pub(in crate::log::checkpoint) rows: Vec<RowBlock>,
    /// By tube.
    pub(in crate::log::checkpoint) keys: Vec<KeyBlock>,
    /// The last job.
    pub(in crate::log::checkpoint) last: JobId,
    pub(in crate::log::checkpoint) jobs: u64,
}

impl FarIndex {
    /// The block in which the job is if it is in any.
    pub(super) fn block_of(&self, id: JobId) -> Option<usize> {
        if id > self.last {
            return None;
        }
        self.rows.partition_point(|block| block.first <= id).checked_sub(1)
    }

    /// The blocks of keys of each tube.
    pub(in crate::log::checkpoint) fn tubes_keys(&self) -> HashMap<TubeIx, Range<usize>> {
        let mut all: HashMap<TubeIx, Range<usize>> = HashMap::new();
        for (ix, block) in self.keys.iter().enumerate() {
            all.entry(block.tube).or_insert(ix..ix).end = ix + 1;
        }
        all
    }

    /// What it takes of memory, nearly.
    pub(super) fn bytes(&self) -> u64 {
        let bytes = self.rows.capacity() * size_of::<RowBlock>() + self.keys.capacity() * size_of::<KeyBlock>();
        (bytes + self.tubes.capacity() * size_of::<TubeIx>()) as u64
    }
}
