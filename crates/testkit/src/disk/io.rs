//! The calls, and where they fail.

use std::io;
use std::path::Path;

use stdx::io::{Io, OpenMode};

use super::{Call, FakeDisk, Inode, State};

/// An open file of a [`FakeDisk`].
#[derive(Debug)]
pub struct FakeFile {
    inode: u64,
    life: u64,
    writable: bool,
}

/// Whether a call that changes the disk comes back, or is the one during which the power goes off.
enum Power {
    On,
    GoesOff,
}

fn eio() -> io::Error {
    io::Error::from_raw_os_error(5)
}

fn enospc() -> io::Error {
    io::Error::from_raw_os_error(28)
}

fn no_such_file() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl State {
    /// Passes a call that reads.
    fn reading(&mut self, call: Option<Call>) -> io::Result<()> {
        if self.power_left == Some(0) || call.is_some_and(|call| self.is_failing(call)) {
            return Err(eio());
        }
        Ok(())
    }

    /// Passes a call that changes something.
    fn changing(&mut self, call: Option<Call>) -> io::Result<Power> {
        self.reading(call)?;
        self.changes += 1;
        match &mut self.power_left {
            Some(left) => {
                *left = left.saturating_sub(1);
                Ok(if *left == 0 { Power::GoesOff } else { Power::On })
            }
            None => Ok(Power::On),
        }
    }

    fn is_failing(&mut self, call: Call) -> bool {
        let mut fails = false;
        self.failing.retain_mut(|(kind, before)| {
            let now = *kind == call && *before == 0;
            if *kind == call {
                *before = before.saturating_sub(1);
            }
            fails |= now;
            !now
        });
        fails
    }

    fn inode(&mut self, file: &FakeFile) -> io::Result<&mut Inode> {
        if file.life != self.life {
            return Err(eio());
        }
        self.inodes.get_mut(&file.inode).ok_or_else(eio)
    }

    /// Makes room for a file to grow to `len`; says to which length it may.
    fn room(&mut self, file: &FakeFile, len: u64) -> io::Result<u64> {
        let free = self.free();
        let space = self.inode(file)?.space();
        Ok(len.min(space.saturating_add(free)))
    }
}

impl Power {
    fn answer<T>(self, value: T) -> io::Result<T> {
        match self {
            Power::On => Ok(value),
            Power::GoesOff => Err(eio()),
        }
    }
}

impl Io for FakeDisk {
    type File = FakeFile;

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<FakeFile> {
        let mut state = self.lock();
        state.reading(None)?;
        let life = state.life;
        let there = state.names.seen.get(path).copied();
        match (mode, there) {
            (OpenMode::Read, Some(inode)) => Ok(FakeFile { inode, life, writable: false }),
            (OpenMode::Write, Some(inode)) => Ok(FakeFile { inode, life, writable: true }),
            (OpenMode::CreateNew, Some(_)) => Err(io::ErrorKind::AlreadyExists.into()),
            (OpenMode::Read | OpenMode::Write, None) => Err(no_such_file()),
            (OpenMode::CreateNew, None) => {
                if !path.parent().is_some_and(|folder| state.folders.contains(folder)) {
                    return Err(no_such_file());
                }
                let power = state.changing(Some(Call::Create))?;
                let inode = state.next_inode;
                state.next_inode += 1;
                state.inodes.insert(inode, Inode::default());
                state.names.create(path, inode);
                power.answer(FakeFile { inode, life, writable: true })
            }
        }
    }

    fn write_at(&self, file: &FakeFile, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut state = self.lock();
        let power = state.changing(Some(Call::Write))?;
        if !file.writable {
            return Err(io::Error::from_raw_os_error(9));
        }
        let room = state.room(file, offset + bytes.len() as u64)?;
        let mut taken = bytes.len().min(usize::try_from(room.saturating_sub(offset)).unwrap_or(usize::MAX));
        if taken == 0 && !bytes.is_empty() {
            return Err(enospc());
        }
        if state.short_writes && taken > 1 {
            taken = state.rng.usize(1..=taken);
        }
        state.inode(file)?.write(offset as usize, &bytes[..taken]);
        power.answer(taken)
    }

    fn read_at(&self, file: &FakeFile, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.lock();
        state.reading(Some(Call::Read))?;
        let inode = state.inode(file)?;
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(inode.seen.len());
        let n = buf.len().min(inode.seen.len() - from);
        let bytes = inode.read(from..from + n).ok_or_else(eio)?;
        buf[..bytes.len()].copy_from_slice(bytes);
        Ok(bytes.len())
    }

    fn len(&self, file: &FakeFile) -> io::Result<u64> {
        let mut state = self.lock();
        state.reading(None)?;
        Ok(state.inode(file)?.seen.len() as u64)
    }

    fn sync_data(&self, file: &FakeFile) -> io::Result<()> {
        let mut state = self.lock();
        state.reading(None)?;
        if state.is_failing(Call::Sync) {
            let mut rng = state.rng.fork();
            state.inode(file)?.sync_and_fail(&mut rng);
            return Err(eio());
        }
        match state.changing(None)? {
            Power::GoesOff => Err(eio()),
            Power::On => {
                state.inode(file)?.sync();
                Ok(())
            }
        }
    }

    fn set_len(&self, file: &FakeFile, len: u64) -> io::Result<()> {
        let mut state = self.lock();
        let power = state.changing(None)?;
        if state.room(file, len)? < len {
            return Err(enospc());
        }
        state.inode(file)?.set_len(len as usize);
        power.answer(())
    }

    fn reserve(&self, file: &FakeFile, len: u64) -> io::Result<()> {
        let mut state = self.lock();
        let power = state.changing(None)?;
        if state.room(file, len)? < len {
            return Err(enospc());
        }
        let inode = state.inode(file)?;
        inode.reserved = inode.reserved.max(len);
        power.answer(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let power = state.changing(Some(Call::Rename))?;
        if state.names.rename(from, to) { power.answer(()) } else { Err(no_such_file()) }
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        if !state.names.seen.contains_key(path) {
            state.reading(None)?;
            return Err(no_such_file());
        }
        let power = state.changing(Some(Call::Unlink))?;
        state.names.unlink(path);
        power.answer(())
    }

    fn sync_dir(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.lock();
        match state.changing(Some(Call::SyncDir))? {
            Power::GoesOff => Err(eio()),
            Power::On => {
                state.names.sync(folder);
                Ok(())
            }
        }
    }

    fn create_dir(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.reading(None)?;
        state.folders.extend(folder.ancestors().map(Path::to_path_buf));
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let mut state = self.lock();
        state.reading(None)?;
        if !state.folders.contains(folder) {
            return Err(no_such_file());
        }
        let names = state.names.seen.keys().filter(|path| path.parent() == Some(folder));
        Ok(names.filter_map(|path| path.file_name()).map(|name| name.to_string_lossy().into_owned()).collect())
    }

    fn free_bytes(&self, _folder: &Path) -> io::Result<u64> {
        let mut state = self.lock();
        state.reading(None)?;
        Ok(state.free())
    }
}
