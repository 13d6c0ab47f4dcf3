//! Which times each segment holds, in memory: what a query may skip, and how far back a later record may reach.

use std::collections::BTreeMap;
use std::sync::Arc;

use stdx::clock::Wall;

use crate::checkpoint::Input;

/// Records of one block. Smaller blocks let sorted output flow sooner and cost more memory: 32 bytes each.
const BLOCK_RECORDS: u64 = 1024;

/// A run of records that follow each other in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) min: Wall,
    pub(crate) max: Wall,
}

/// One segment's blocks, in order; never empty.
#[derive(Clone, Debug)]
pub(crate) struct SegmentTimes {
    pub(crate) number: u64,
    pub(crate) blocks: Arc<Vec<Block>>,
}

#[derive(Debug, Default)]
pub(crate) struct Index {
    segments: BTreeMap<u64, Arc<Vec<Block>>>,
}

impl Index {
    /// Notes a record; they come in the order of their numbers.
    pub(crate) fn note(&mut self, segment: u64, seq: u64, time: Wall) {
        let blocks = Arc::make_mut(self.segments.entry(segment).or_default());
        match blocks.last_mut() {
            Some(block) if seq - block.first < BLOCK_RECORDS => {
                block.last = seq;
                block.min = block.min.min(time);
                block.max = block.max.max(time);
            }
            _ => blocks.push(Block { first: seq, last: seq, min: time, max: time }),
        }
    }

    /// For a checkpoint: how many segments, and of each its number, how many blocks, and those.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.segments.len() as u32).to_le_bytes());
        for (number, blocks) in &self.segments {
            out.extend_from_slice(&number.to_le_bytes());
            out.extend_from_slice(&(blocks.len() as u32).to_le_bytes());
            for number in blocks.iter().flat_map(|block| [block.first, block.last, block.min.0, block.max.0]) {
                out.extend_from_slice(&number.to_le_bytes());
            }
        }
    }

    /// The same back.
    pub(crate) fn decode(input: &mut Input<'_>) -> Option<Index> {
        let mut index = Index::default();
        for _ in 0..input.u32()? {
            let number = input.u64()?;
            let mut blocks = Vec::new();
            for _ in 0..input.u32()? {
                let (first, last, min, max) = (input.u64()?, input.u64()?, Wall(input.u64()?), Wall(input.u64()?));
                blocks.push(Block { first, last, min, max });
            }
            index.segments.insert(number, Arc::new(blocks));
        }
        Some(index)
    }

    /// Forgets the segments below `number`.
    pub(crate) fn forget_below(&mut self, number: u64) {
        self.segments = self.segments.split_off(&number);
    }

    /// The segments with records above `seq`, oldest first.
    pub(crate) fn above(&self, seq: u64) -> Vec<SegmentTimes> {
        let is_meant = |blocks: &Arc<Vec<Block>>| blocks.last().is_some_and(|block| block.last > seq);
        self.segments
            .iter()
            .filter(|(_, blocks)| is_meant(blocks))
            .map(|(number, blocks)| SegmentTimes { number: *number, blocks: Arc::clone(blocks) })
            .collect()
    }

    /// The time of the oldest record.
    pub(crate) fn oldest(&self) -> Option<Wall> {
        self.segments.values().flat_map(|blocks| blocks.iter()).map(|block| block.min).min()
    }

    /// The number of the oldest record.
    pub(crate) fn first_seq(&self) -> Option<u64> {
        self.segments.values().next()?.first().map(|block| block.first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_keep_the_range_of_their_records() {
        let mut index = Index::default();
        for seq in 1..=2000 {
            let time = if seq == 500 { 3 } else { 1000 + seq };
            index.note(if seq <= 1500 { 7 } else { 8 }, seq, Wall(time));
        }
        let blocks: Vec<_> = index.above(0).into_iter().flat_map(|s| s.blocks.to_vec()).collect();
        assert_eq!(blocks.len(), 3);
        assert_eq!(blocks[0], Block { first: 1, last: 1024, min: Wall(3), max: Wall(2024) });
        assert_eq!(blocks[2], Block { first: 1501, last: 2000, min: Wall(2501), max: Wall(3000) });
        assert_eq!(index.above(1500).len(), 1);
        assert_eq!(index.above(2000).len(), 0);
        assert_eq!(index.oldest(), Some(Wall(3)));
        index.forget_below(8);
        assert_eq!((index.oldest(), index.first_seq()), (Some(Wall(2501)), Some(1501)));
    }
}
