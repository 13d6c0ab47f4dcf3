//! A disk with a set pace of syncs, to measure against a known ceiling, or one whose syncs are only timed.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use stdx::io::{Io, OpenMode};

/// Any disk, slowed so that it does no more than a number of syncs a second, files and folders together, one after the
/// other as on one device. Reads and writes are as fast as below.
#[derive(Clone, Debug)]
pub struct SlowDisk<D> {
    disk: D,
    per_sync: Duration,
    /// When the device is done with the last sync.
    free_at: Arc<Mutex<Instant>>,
    /// How long each sync of a file took.
    took: Arc<Mutex<Vec<Duration>>>,
}

impl<D: Io> SlowDisk<D> {
    /// `syncs_per_second` of 0 counts as 1. Clones share the pace.
    pub fn new(disk: D, syncs_per_second: u32) -> SlowDisk<D> {
        SlowDisk::paced_by(disk, Duration::from_secs(1) / syncs_per_second.max(1))
    }

    /// As fast as the disk below: only to see how long its syncs take.
    pub fn as_it_is(disk: D) -> SlowDisk<D> {
        SlowDisk::paced_by(disk, Duration::ZERO)
    }

    fn paced_by(disk: D, per_sync: Duration) -> SlowDisk<D> {
        SlowDisk { disk, per_sync, free_at: Arc::new(Mutex::new(Instant::now())), took: Arc::default() }
    }

    /// How long each sync of a file took since this was last asked.
    pub fn take_syncs(&self) -> Vec<Duration> {
        std::mem::take(&mut self.took.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes the next turn at the device and waits until it is over. The real sync has run within the turn, so a disk
    /// that is slower than the pace keeps its own.
    fn paced<T>(&self, sync: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let done_at = {
            let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
            *free_at = (*free_at).max(Instant::now()) + self.per_sync;
            *free_at
        };
        let result = sync();
        std::thread::sleep(done_at.saturating_duration_since(Instant::now()));
        result
    }
}

impl<D: Io> Io for SlowDisk<D> {
    type File = D::File;

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<D::File> {
        self.disk.open(path, mode)
    }

    fn write_at(&self, file: &D::File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.disk.write_at(file, bytes, offset)
    }

    fn read_at(&self, file: &D::File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk.read_at(file, buf, offset)
    }

    fn len(&self, file: &D::File) -> io::Result<u64> {
        self.disk.len(file)
    }

    fn sync_data(&self, file: &D::File) -> io::Result<()> {
        let began = Instant::now();
        let result = self.paced(|| self.disk.sync_data(file));
        self.took.lock().unwrap_or_else(PoisonError::into_inner).push(began.elapsed());
        result
    }

    fn set_len(&self, file: &D::File, len: u64) -> io::Result<()> {
        self.disk.set_len(file, len)
    }

    fn reserve(&self, file: &D::File, len: u64) -> io::Result<()> {
        self.disk.reserve(file, len)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.disk.unlink(path)
    }

    fn sync_dir(&self, folder: &Path) -> io::Result<()> {
        self.paced(|| self.disk.sync_dir(folder))
    }

    fn create_dir(&self, folder: &Path) -> io::Result<()> {
        self.disk.create_dir(folder)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.disk.list(folder)
    }

    fn free_bytes(&self, folder: &Path) -> io::Result<u64> {
        self.disk.free_bytes(folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FakeDisk;

    #[test]
    fn syncs_take_their_turns() {
        let disk = SlowDisk::new(FakeDisk::new(1), 200);
        disk.create_dir(Path::new("/d")).unwrap();
        let file = disk.open(Path::new("/d/f"), OpenMode::CreateNew).unwrap();
        let start = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| disk.sync_data(&file).unwrap());
            }
            disk.sync_dir(Path::new("/d")).unwrap();
        });
        assert!(start.elapsed() >= Duration::from_millis(20), "four syncs at 200 a second");
        let took = disk.take_syncs();
        assert!(took.len() == 3 && took.iter().all(|took| *took >= Duration::from_millis(5)), "{took:?}");
        assert_eq!(disk.take_syncs(), []);
    }
}
