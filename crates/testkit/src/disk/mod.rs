//! A disk in memory that keeps apart what is synced and what is not, and fails as it is told.
//!
//! The model is stricter than a journaling file system: on a power cut each 512-byte sector of each unsynced write, each
//! change of a file's length and each created, renamed or removed name is kept or lost on its own; a file whose length was
//! kept and whose data was not reads as zeros there. What stays true is what the kernel promises: a sector holds what it
//! held at one moment, and what a successful sync covered is there. A failed sync keeps any part of what it covered and
//! calls it clean, so that a second sync succeeds and saves nothing. A failed sync of a folder keeps its changes unsynced.
//! Folders themselves are durable when made.

mod inode;
mod io;
mod loss;
mod names;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stdx::rng::Rng;

use inode::Inode;
pub use io::FakeFile;
use names::Names;

/// The unit that is written whole or not at all, in bytes.
pub const SECTOR: usize = 512;

/// A fake disk. Clones are the same disk. All it does follows from its seed and the calls made.
#[derive(Clone, Debug)]
pub struct FakeDisk {
    state: Arc<Mutex<State>>,
}

/// A kind of call that can be told to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `write_at`; nothing is written.
    Write,
    /// `read_at`.
    Read,
    /// `sync_data`; see the module's model.
    Sync,
    /// `sync_dir`.
    SyncDir,
    /// `rename`; nothing is renamed.
    Rename,
    /// `unlink`; nothing is removed.
    Unlink,
    /// `open` of a new file; nothing is made.
    Create,
}

#[derive(Debug)]
struct State {
    rng: Rng,
    inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    names: Names,
    folders: BTreeSet<PathBuf>,
    /// Counts power cuts: a file opened before one is gone.
    life: u64,
    capacity: Option<u64>,
    short_writes: bool,
    /// Calls that fail: the kind and how many of it go well before.
    failing: Vec<(Call, u32)>,
    /// Changes to the disk so far, and how many more are taken before the power is off.
    changes: u64,
    power_left: Option<u64>,
}

impl FakeDisk {
    /// An empty disk without limit and without faults.
    pub fn new(seed: u64) -> FakeDisk {
        let state = State {
            rng: Rng::with_seed(seed),
            inodes: BTreeMap::new(),
            next_inode: 1,
            names: Names::default(),
            folders: BTreeSet::new(),
            life: 0,
            capacity: None,
            short_writes: false,
            failing: Vec::new(),
            changes: 0,
            power_left: None,
        };
        FakeDisk { state: Arc::new(Mutex::new(state)) }
    }

    /// Cuts the power and turns it on again: of what was not synced any part is lost, open files answer with an error, and
    /// no fault is left but the capacity.
    pub fn power_cut(&self) {
        let mut state = self.lock();
        let State { rng, inodes, names, .. } = &mut *state;
        names.power_cut(rng);
        for inode in inodes.values_mut() {
            inode.power_cut(rng);
        }
        let named: BTreeSet<u64> = names.seen.values().copied().collect();
        inodes.retain(|number, _| named.contains(number));
        state.life += 1;
        state.power_left = None;
        state.failing.clear();
        state.short_writes = false;
    }

    /// Lets the power go off after `changes` more calls that change the disk. The one that follows may have reached it or
    /// not; from then on every call fails until [`FakeDisk::power_cut`].
    pub fn power_off_after(&self, changes: u64) {
        self.lock().power_left = Some(changes);
    }

    /// How many calls have changed the disk so far.
    pub fn changes(&self) -> u64 {
        self.lock().changes
    }

    /// Lets the `nth` next call of this kind (1 is the next) fail with EIO, once.
    pub fn fail(&self, call: Call, nth: u32) {
        self.lock().failing.push((call, nth.saturating_sub(1)));
    }

    /// Takes back all failures that are still to come, and short writes.
    pub fn heal(&self) {
        let mut state = self.lock();
        state.failing.clear();
        state.short_writes = false;
    }

    /// Lets every write take only a random part of what it is given.
    pub fn short_writes(&self) {
        self.lock().short_writes = true;
    }

    /// Sets the disk's size in bytes; beyond it writes take less than asked, and then fail with ENOSPC.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.lock().capacity = bytes;
    }

    /// Bytes taken by files that have a name.
    pub fn used(&self) -> u64 {
        self.lock().used()
    }

    /// The paths of all files, sorted.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.lock().names.seen.keys().cloned().collect()
    }

    /// A file's content as programs see it; `None` when there is no such file.
    pub fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.lock();
        let inode = state.names.seen.get(path)?;
        state.inodes.get(inode).map(|inode| inode.seen.clone())
    }

    /// Puts a file on the disk, durable, in the place of whatever has the name. Its folder is made.
    pub fn place(&self, path: &Path, contents: Vec<u8>) {
        let mut state = self.lock();
        if let Some(folder) = path.parent() {
            state.folders.extend(folder.ancestors().map(Path::to_path_buf));
        }
        let inode = state.next_inode;
        state.next_inode += 1;
        state.inodes.insert(inode, Inode::settled(contents));
        state.names.create_settled(path, inode);
    }

    /// Turns one bit of a file over, as bit rot does. Says whether there is such a bit.
    pub fn flip_bit(&self, path: &Path, byte: usize, bit: u8) -> bool {
        let Some(mut contents) = self.contents(path) else { return false };
        let Some(at) = contents.get_mut(byte) else { return false };
        *at ^= 1 << (bit % 8);
        self.place(path, contents);
        true
    }

    /// Makes the sector that holds `byte` of a file unreadable, until it is written again. Says whether there is such a
    /// file.
    pub fn break_sector(&self, path: &Path, byte: usize) -> bool {
        let mut state = self.lock();
        let Some(inode) = state.names.seen.get(path).copied() else { return false };
        state.inodes.get_mut(&inode).is_some_and(|inode| inode.bad_sectors.insert(byte / SECTOR))
    }

    /// A panic in a test that holds the lock fails that test already.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn used(&self) -> u64 {
        self.names.seen.values().filter_map(|inode| self.inodes.get(inode)).map(Inode::space).sum()
    }

    /// Bytes that may still be taken.
    fn free(&self) -> u64 {
        self.capacity.map_or(1 << 40, |capacity| capacity.saturating_sub(self.used()))
    }
}
