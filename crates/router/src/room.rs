//! The node's room for kept content, and one request's part of it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::config::Config;
use crate::kept::KeepLimits;

/// Where a piece is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Memory,
    /// At this byte of the request's file.
    Disk {
        at: u64,
    },
    Nowhere,
}

/// What all workers may keep together.
#[derive(Debug)]
pub(crate) struct Room {
    memory: AtomicU64,
    disk: AtomicU64,
    most: KeepLimits,
    /// Where files are made; `None`: nothing goes to disk.
    folder: Option<PathBuf>,
    files: AtomicU64,
}

impl Room {
    /// The room that `config` gives; `data` is the router's data folder.
    pub(crate) fn new(config: &Config, data: Option<&Path>) -> Room {
        let folder = config.spool_dir.clone().or_else(|| data.map(|data| data.join("spool")));
        let disk = if folder.is_some() { config.kept_disk_bytes_max } else { 0 };
        let most = KeepLimits { memory: config.kept_memory_bytes_max, disk };
        Room { memory: AtomicU64::new(0), disk: AtomicU64::new(0), most, folder, files: AtomicU64::new(0) }
    }

    /// A file that only its handle knows: nobody else can open it, and it is gone when the process is.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn file(&self) -> io::Result<File> {
        let folder = self.folder.as_ref().ok_or(io::ErrorKind::NotFound)?;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let name = format!("{}-{}", std::process::id(), self.files.fetch_add(1, Relaxed));
        let path = folder.join(name);
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        std::fs::remove_file(&path)?;
        Ok(file)
    }

    fn take(taken: &AtomicU64, most: u64, bytes: u64) -> bool {
        taken.fetch_update(Relaxed, Relaxed, |taken| taken.checked_add(bytes).filter(|sum| *sum <= most)).is_ok()
    }
}

/// One request's part; it goes back when it is dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    limits: KeepLimits,
    taken: KeepLimits,
    room: Arc<Room>,
}

impl Lease {
    pub(crate) fn new(limits: KeepLimits, room: Arc<Room>) -> Lease {
        Lease { limits, taken: KeepLimits::default(), room }
    }

    pub(crate) fn room(&self) -> &Arc<Room> {
        &self.room
    }

    /// Bytes that went to disk, those on their way among them.
    pub(crate) fn on_disk(&self) -> u64 {
        self.taken.disk
    }

    /// Takes room for the next piece. Once one has gone to disk all others follow it, so that their order holds.
    pub(crate) fn place(&mut self, bytes: u64) -> Place {
        let (taken, limits, room) = (&mut self.taken, &self.limits, &self.room);
        if taken.disk == 0 && taken.memory + bytes <= limits.memory && Room::take(&room.memory, room.most.memory, bytes)
        {
            taken.memory += bytes;
            return Place::Memory;
        }
        if taken.disk + bytes <= limits.disk && Room::take(&room.disk, room.most.disk, bytes) {
            taken.disk += bytes;
            return Place::Disk { at: taken.disk - bytes };
        }
        Place::Nowhere
    }

    /// Gives all of it back.
    pub(crate) fn give_back(&mut self) {
        self.room.memory.fetch_sub(self.taken.memory, Relaxed);
        self.room.disk.fetch_sub(self.taken.disk, Relaxed);
        self.taken = KeepLimits::default();
        self.limits = KeepLimits::default();
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

    fn room(memory: u64, disk: u64) -> Arc<Room> {
        let config = Config { kept_memory_bytes_max: memory, kept_disk_bytes_max: disk, ..Config::default() };
        Arc::new(Room::new(&config, Some(Path::new("/nowhere"))))
    }

    #[test]
    fn first_memory_then_disk_then_nowhere() {
        let mut lease = Lease::new(KeepLimits { memory: 10, disk: 20 }, room(100, 100));
        let places: Vec<Place> = [8, 8, 1, 12].map(|bytes| lease.place(bytes)).into();
        assert_eq!(places, [Place::Memory, Place::Disk { at: 0 }, Place::Disk { at: 8 }, Place::Nowhere]);
    }

    #[test]
    fn without_a_folder_nothing_goes_to_disk() {
        let room = Arc::new(Room::new(&Config::default(), None));
        let mut lease = Lease::new(KeepLimits { memory: 0, disk: 20 }, Arc::clone(&room));
        assert_eq!(lease.place(1), Place::Nowhere);
        assert!(room.file().is_err());
    }

    proptest! {
        #[test]
        fn the_room_is_never_exceeded_and_comes_back_whole(
            pieces in prop::collection::vec((0_usize..4, 1_u64..50, any::<bool>()), 1..200),
        ) {
            let room = room(200, 300);
            let limits = KeepLimits { memory: 100, disk: 150 };
            let mut leases: Vec<Lease> = (0..4).map(|_| Lease::new(limits, Arc::clone(&room))).collect();
            for (who, bytes, anew) in pieces {
                if anew {
                    leases[who] = Lease::new(limits, Arc::clone(&room));
                }
                let before = leases[who].on_disk();
                if let Place::Disk { at } = leases[who].place(bytes) {
                    prop_assert_eq!(at, before);
                }
                prop_assert!(room.memory.load(Relaxed) <= 200 && room.disk.load(Relaxed) <= 300);
                prop_assert!(leases[who].taken.memory <= 100 && leases[who].taken.disk <= 150);
            }
            drop(leases);
            prop_assert_eq!((room.memory.load(Relaxed), room.disk.load(Relaxed)), (0, 0));
        }
    }
}
