//! What writer, committer and readers of one log share.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::error::Poison;
use crate::format::Seed;
use crate::types::{Lsn, Segment};

pub(crate) struct Shared {
    pub(crate) folder: PathBuf,
    pub(crate) uuid: [u8; 16],
    poison: OnceLock<Poison>,
    segments: Mutex<BTreeMap<u64, Segment>>,
    /// Segments whose file is kept when they leave.
    damaged: Mutex<BTreeSet<u64>>,
}

impl Shared {
    pub(crate) fn new(folder: PathBuf, uuid: [u8; 16], segments: impl IntoIterator<Item = Segment>) -> Shared {
        let segments = segments.into_iter().map(|s| (s.number, s)).collect();
        Shared { folder, uuid, poison: OnceLock::new(), segments: Mutex::new(segments), damaged: Mutex::default() }
    }

    pub(crate) fn seed(&self, segment: u64) -> Seed {
        Seed::new(&self.uuid, segment)
    }

    /// Stops the log for good; the first cause wins and is returned.
    pub(crate) fn poison(&self, cause: Poison) -> Poison {
        self.poison.get_or_init(|| cause).clone()
    }

    pub(crate) fn poisoned(&self) -> Option<&Poison> {
        self.poison.get()
    }

    pub(crate) fn segments(&self) -> Vec<Segment> {
        self.lock().values().copied().collect()
    }

    pub(crate) fn segment(&self, number: u64) -> Option<Segment> {
        self.lock().get(&number).copied()
    }

    /// Notes that `segment` is durable up to `bytes`.
    pub(crate) fn grown(&self, number: u64, first_lsn: Lsn, bytes: u32) {
        self.lock().entry(number).or_insert(Segment { number, first_lsn, bytes }).bytes = bytes;
    }

    /// The segment's file is not to be unlinked when it leaves.
    pub(crate) fn keep_file(&self, number: u64) {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner).insert(number);
    }

    pub(crate) fn keeps_file(&self, number: u64) -> bool {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner).contains(&number)
    }

    /// Takes the segments below `floor` out of the list and returns them.
    pub(crate) fn forget_below(&self, floor: u64) -> Vec<Segment> {
        let mut segments = self.lock();
        let kept = segments.split_off(&floor);
        std::mem::replace(&mut *segments, kept).into_values().collect()
    }

    /// A panic elsewhere cannot leave this map half changed, so its lock is taken all the same.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Segment>> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
