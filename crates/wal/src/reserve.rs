//! Disk space kept in hand for the moment when the disk is full.

use std::io;
use std::path::PathBuf;

use stdx::io::{Io, OpenMode};

use crate::config::Config;
use crate::error::DiskError;
use crate::names;

/// How the log stands with its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserve {
    /// None is asked for, or the file system cannot set space aside.
    None,
    /// There is space beyond what was asked for.
    Kept,
    /// The disk was full and the reserve is being used up: take nothing but what frees space.
    Spent,
}

/// The file that holds the reserve.
pub(crate) struct ReserveFile {
    path: PathBuf,
    folder: PathBuf,
    bytes: u64,
    state: Reserve,
}

impl ReserveFile {
    /// Sets the space aside. A full disk is no error here: the state says [`Reserve::Spent`].
    pub(crate) fn open<D: Io>(io: &D, config: &Config) -> Result<ReserveFile, DiskError> {
        let path = names::reserve(&config.folder);
        let mut file =
            ReserveFile { path, folder: config.folder.clone(), bytes: config.reserve_bytes, state: Reserve::None };
        if file.bytes == 0 {
            file.unlink(io)?;
        } else {
            file.fill(io)?;
        }
        Ok(file)
    }

    pub(crate) fn state(&self) -> Reserve {
        self.state
    }

    /// Gives the space to whoever writes next; false when there is none to give.
    pub(crate) fn spend<D: Io>(&mut self, io: &D) -> Result<bool, DiskError> {
        if self.state != Reserve::Kept {
            return Ok(false);
        }
        self.unlink(io)?;
        self.state = Reserve::Spent;
        Ok(true)
    }

    /// Sets the space aside again once there is twice as much.
    pub(crate) fn restore<D: Io>(&mut self, io: &D) -> Result<(), DiskError> {
        if self.state != Reserve::Spent {
            return Ok(());
        }
        let free = io.free_bytes(&self.folder).map_err(|e| DiskError::new("measure", &self.folder, e))?;
        if free / 2 >= self.bytes { self.fill(io) } else { Ok(()) }
    }

    fn fill<D: Io>(&mut self, io: &D) -> Result<(), DiskError> {
        let file = match io.open(&self.path, OpenMode::CreateNew) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => io.open(&self.path, OpenMode::Write),
            other => other,
        };
        self.state = match file.and_then(|file| io.reserve(&file, self.bytes)) {
            Ok(()) => Reserve::Kept,
            Err(e) if e.kind() == io::ErrorKind::Unsupported => Reserve::None,
            Err(e) => {
                let e = DiskError::new("reserve", &self.path, e);
                if !e.is_full() {
                    return Err(e);
                }
                Reserve::Spent
            }
        };
        if self.state == Reserve::Kept { Ok(()) } else { self.unlink(io) }
    }

    fn unlink<D: Io>(&self, io: &D) -> Result<(), DiskError> {
        match io.unlink(&self.path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(DiskError::new("unlink", &self.path, e)),
            _ => Ok(()),
        }
    }
}
