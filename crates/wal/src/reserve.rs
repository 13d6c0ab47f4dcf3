//! Disk space kept in hand for the moment when the disk is full.
//!
//! There are two stretches of [`Config::reserve_bytes`], both allocated and empty: one behind the end of the segment that
//! is being written, one in a file that becomes the next segment. So the log goes on writing on a disk that somebody else
//! has filled to its last byte, and nobody else gets what it had set aside.

use std::io;
use std::path::{Path, PathBuf};

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

/// What is set aside.
pub(crate) struct Spare {
    path: PathBuf,
    folder: PathBuf,
    bytes: u64,
    segment_limit: u64,
    state: Reserve,
    /// There is a file that can become a segment.
    has_file: bool,
    /// Up to here the segment being written has its space.
    ahead: u64,
}

impl Spare {
    /// Sets the file aside. A full disk is no error here: the state says [`Reserve::Spent`].
    pub(crate) fn open<D: Io>(io: &D, config: &Config) -> Result<Spare, DiskError> {
        let mut spare = Spare {
            path: names::reserve(&config.folder),
            folder: config.folder.clone(),
            bytes: config.reserve_bytes,
            segment_limit: u64::from(config.segment_limit()),
            state: Reserve::None,
            has_file: false,
            ahead: 0,
        };
        // One that lies there may be a segment by its other name: a crash came between the two.
        spare.unlink(io)?;
        if spare.bytes > 0 {
            spare.state = Reserve::Kept;
            spare.keep_file(io)?;
        }
        Ok(spare)
    }

    pub(crate) fn state(&self) -> Reserve {
        self.state
    }

    /// Another segment is being written, of which no space is set aside yet.
    pub(crate) fn begin_segment(&mut self) {
        self.ahead = 0;
    }

    /// Gives the file to whoever writes on in a segment that has no space behind `end`; false when there is none to give.
    pub(crate) fn give_to<D: Io>(&mut self, io: &D, file: &D::File, end: u64) -> Result<bool, DiskError> {
        if !self.has_file {
            return Ok(false);
        }
        self.unlink(io)?;
        self.has_file = false;
        self.state = Reserve::Spent;
        self.allocate(io, file, end.saturating_add(self.bytes).min(self.segment_limit))?;
        Ok(true)
    }

    /// Makes the file a segment that is called `path`; `None` when there is none to give.
    pub(crate) fn become_segment<D: Io>(&mut self, io: &D, path: &Path) -> io::Result<Option<D::File>> {
        if !self.has_file {
            return Ok(None);
        }
        io.rename(&self.path, path)?;
        self.has_file = false;
        self.state = Reserve::Spent;
        io.open(path, OpenMode::Write).map(Some)
    }

    /// Sets aside what is missing: behind `end` in the segment that is being written, and the file. Once something could
    /// not be had it is tried again only when there is twice as much as the whole of it.
    pub(crate) fn restore<D: Io>(&mut self, io: &D, current: Option<(&D::File, u64)>) -> Result<(), DiskError> {
        match self.state {
            Reserve::None => return Ok(()),
            Reserve::Kept => {}
            Reserve::Spent => {
                let free = io.free_bytes(&self.folder).map_err(|e| DiskError::new("measure", &self.folder, e))?;
                if free / 4 < self.bytes {
                    return Ok(());
                }
                self.state = Reserve::Kept;
            }
        }
        if let Some((file, end)) = current {
            self.keep_ahead(io, file, end)?;
        }
        if self.has_file { Ok(()) } else { self.keep_file(io) }
    }

    /// Half as much again each time, so that it is asked for once in a while.
    fn keep_ahead<D: Io>(&mut self, io: &D, file: &D::File, end: u64) -> Result<(), DiskError> {
        let least = end.saturating_add(self.bytes).min(self.segment_limit);
        if self.ahead >= least {
            return Ok(());
        }
        self.allocate(io, file, least.saturating_add(self.bytes / 2).min(self.segment_limit))
    }

    fn allocate<D: Io>(&mut self, io: &D, file: &D::File, len: u64) -> Result<(), DiskError> {
        match io.reserve(file, len) {
            Ok(()) => {
                self.ahead = len;
                Ok(())
            }
            Err(e) => self.not_reserved(io, e),
        }
    }

    fn keep_file<D: Io>(&mut self, io: &D) -> Result<(), DiskError> {
        if self.state != Reserve::Kept {
            return Ok(());
        }
        match io.open(&self.path, OpenMode::CreateNew).and_then(|file| io.reserve(&file, self.bytes)) {
            Ok(()) => {
                self.has_file = true;
                Ok(())
            }
            Err(e) => {
                self.not_reserved(io, e)?;
                self.unlink(io)
            }
        }
    }

    fn not_reserved<D: Io>(&mut self, io: &D, e: io::Error) -> Result<(), DiskError> {
        if e.kind() == io::ErrorKind::Unsupported {
            self.state = Reserve::None;
            self.has_file = false;
            return self.unlink(io);
        }
        let e = DiskError::new("reserve", &self.path, e);
        if !e.is_full() {
            return Err(e);
        }
        self.state = Reserve::Spent;
        Ok(())
    }

    fn unlink<D: Io>(&self, io: &D) -> Result<(), DiskError> {
        match io.unlink(&self.path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(DiskError::new("unlink", &self.path, e)),
            _ => Ok(()),
        }
    }
}
