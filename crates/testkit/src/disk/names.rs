//! The names of files: what programs see, what the platter holds, and the changes between the two.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use stdx::rng::Rng;

use super::loss::Loss;

#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) seen: BTreeMap<PathBuf, u64>,
    durable: BTreeMap<PathBuf, u64>,
    unsynced: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Create(PathBuf, u64),
    Rename(PathBuf, PathBuf, u64),
    Unlink(PathBuf),
}

impl Names {
    pub(super) fn create(&mut self, path: &Path, inode: u64) {
        self.change(Change::Create(path.to_path_buf(), inode));
    }

    pub(super) fn create_settled(&mut self, path: &Path, inode: u64) {
        self.seen.insert(path.to_path_buf(), inode);
        self.durable.insert(path.to_path_buf(), inode);
    }

    /// False when there is no file `from`.
    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> bool {
        let Some(&inode) = self.seen.get(from) else { return false };
        self.change(Change::Rename(from.to_path_buf(), to.to_path_buf(), inode));
        true
    }

    /// False when there is no such file.
    pub(super) fn unlink(&mut self, path: &Path) -> bool {
        let there = self.seen.contains_key(path);
        if there {
            self.change(Change::Unlink(path.to_path_buf()));
        }
        there
    }

    pub(super) fn sync(&mut self, folder: &Path) {
        let (synced, rest): (Vec<_>, Vec<_>) =
            self.unsynced.drain(..).partition(|change| change.path().parent() == Some(folder));
        self.unsynced = rest;
        for change in synced {
            change.apply(&mut self.durable);
        }
    }

    pub(super) fn power_cut(&mut self, rng: &mut Rng) {
        let changes = std::mem::take(&mut self.unsynced);
        let mut loss = Loss::draw(rng, changes.len());
        for (i, change) in changes.iter().enumerate() {
            // Each change counts as a sector of its own, so that any subset can be kept.
            if loss.keeps(rng, i, i) {
                change.apply(&mut self.durable);
            }
        }
        self.seen.clone_from(&self.durable);
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.seen);
        self.unsynced.push(change);
    }
}

impl Change {
    fn path(&self) -> &Path {
        match self {
            Change::Create(path, _) | Change::Unlink(path) | Change::Rename(_, path, _) => path,
        }
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, u64>) {
        match self {
            Change::Create(path, inode) => {
                names.insert(path.clone(), *inode);
            }
            Change::Rename(from, to, inode) => {
                if names.get(from) == Some(inode) {
                    names.remove(from);
                }
                names.insert(to.clone(), *inode);
            }
            Change::Unlink(path) => {
                names.remove(path);
            }
        }
    }
}
