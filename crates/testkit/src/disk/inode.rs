//! One file: what programs see, what the platter holds, and the changes between the two.

use std::collections::BTreeSet;
use std::ops::Range;

use stdx::rng::Rng;

use super::SECTOR;
use super::loss::Loss;

#[derive(Debug, Default)]
pub(super) struct Inode {
    /// The page cache: what reads return.
    pub(super) seen: Vec<u8>,
    /// What a power cut leaves at least.
    durable: Vec<u8>,
    unsynced: Vec<Change>,
    pub(super) reserved: u64,
    /// Sectors that cannot be read until they are written again.
    pub(super) bad_sectors: BTreeSet<usize>,
}

#[derive(Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    SetLen(usize),
}

impl Inode {
    /// A file that is wholly on disk.
    pub(super) fn settled(bytes: Vec<u8>) -> Inode {
        Inode { seen: bytes.clone(), durable: bytes, ..Inode::default() }
    }

    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        self.bad_sectors.retain(|bad| !(offset / SECTOR..(offset + bytes.len()).div_ceil(SECTOR)).contains(bad));
        put(&mut self.seen, offset, bytes);
        self.unsynced.push(Change::Write { offset, bytes: bytes.to_vec() });
    }

    pub(super) fn set_len(&mut self, len: usize) {
        self.seen.resize(len, 0);
        self.reserved = self.reserved.min(len as u64);
        self.unsynced.push(Change::SetLen(len));
    }

    pub(super) fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            match change {
                Change::Write { offset, bytes } => put(&mut self.durable, offset, &bytes),
                Change::SetLen(len) => self.durable.resize(len, 0),
            }
        }
    }

    /// A sync that failed: some of it reached the disk, and the cache calls all of it clean.
    pub(super) fn sync_and_fail(&mut self, rng: &mut Rng) {
        self.keep_some(rng);
    }

    pub(super) fn power_cut(&mut self, rng: &mut Rng) {
        self.keep_some(rng);
        self.seen.clone_from(&self.durable);
        self.reserved = 0;
    }

    /// The bytes in `range` up to the first bad sector; `None` when it starts in one.
    pub(super) fn read(&self, range: Range<usize>) -> Option<&[u8]> {
        let sectors = range.start / SECTOR..range.end.div_ceil(SECTOR);
        let end = match self.bad_sectors.range(sectors).next() {
            Some(bad) if bad * SECTOR <= range.start => return None,
            Some(bad) => bad * SECTOR,
            None => range.end,
        };
        Some(&self.seen[range.start..end])
    }

    /// Disk space taken.
    pub(super) fn space(&self) -> u64 {
        (self.seen.len() as u64).max(self.reserved)
    }

    fn keep_some(&mut self, rng: &mut Rng) {
        let changes = std::mem::take(&mut self.unsynced);
        let mut loss = Loss::draw(rng, changes.len());
        let lengths = loss.lengths(rng, changes.len());
        let mut len = self.durable.len();
        for (i, change) in changes.iter().enumerate() {
            match change {
                Change::Write { offset, bytes } => {
                    for (at, piece) in sectors(*offset, bytes) {
                        if loss.keeps(rng, i, at / SECTOR) {
                            put(&mut self.durable, at, piece);
                        }
                    }
                    if i < lengths {
                        len = len.max(offset + bytes.len());
                    }
                }
                Change::SetLen(to) if i < lengths => {
                    len = *to;
                    if *to < self.durable.len() {
                        self.durable[*to..].fill(0);
                    }
                }
                Change::SetLen(_) => {}
            }
        }
        self.durable.resize(len, 0);
    }
}

fn put(image: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if image.len() < end {
        image.resize(end, 0);
    }
    image[offset..end].copy_from_slice(bytes);
}

/// The parts of a write, each within one sector.
fn sectors(offset: usize, bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let first = (SECTOR - offset % SECTOR).min(bytes.len());
    let (head, rest) = bytes.split_at(first);
    let rest = rest.chunks(SECTOR).enumerate().map(move |(i, piece)| (offset + first + i * SECTOR, piece));
    std::iter::once((offset, head)).chain(rest)
}
