//! A file read front to back through one buffer.

use std::io;

use stdx::io::Io;

/// How much is read at once when less is asked for.
const CHUNK: usize = 256 << 10;

/// What is read alone when a bigger read fails, so that one bad sector hides no more than this.
const BLOCK: u32 = 4096;
/// Bad blocks in one file that are taken for bad sectors; with more of them the device is gone.
const BAD_BLOCKS_MAX: usize = 16;

/// A moving window over the first `end` bytes of a file. It holds no more than the file's length and what was asked for.
pub(crate) struct Window<'a, D: Io> {
    io: &'a D,
    file: &'a D::File,
    end: u32,
    start: u32,
    bytes: Vec<u8>,
    /// Where blocks start that could not be read; they count as zeros.
    bad: Vec<u32>,
}

impl<'a, D: Io> Window<'a, D> {
    pub(crate) fn new(io: &'a D, file: &'a D::File, end: u32) -> Window<'a, D> {
        Window { io, file, end, start: 0, bytes: Vec::new(), bad: Vec::new() }
    }

    /// Where the file ends, as far as this window goes.
    pub(crate) fn end(&self) -> u32 {
        self.end
    }

    /// Says whether something at or after `at` could not be read.
    pub(crate) fn is_bad_from(&self, at: u32) -> bool {
        self.bad.iter().any(|bad| bad.saturating_add(BLOCK) > at)
    }

    /// The `len` bytes at `at`, fewer where the file ends.
    pub(crate) fn get(&mut self, at: u32, len: usize) -> io::Result<&[u8]> {
        let len = len.min(self.end.saturating_sub(at) as usize);
        if !self.holds(at, len) {
            self.load(at, len)?;
        }
        let from = (at - self.start) as usize;
        let to = (from + len).min(self.bytes.len());
        Ok(self.bytes.get(from..to).unwrap_or_default())
    }

    fn holds(&self, at: u32, len: usize) -> bool {
        at >= self.start && (at - self.start) as usize + len <= self.bytes.len()
    }

    /// Moves the window to start at `at`, keeping what overlaps.
    fn load(&mut self, at: u32, len: usize) -> io::Result<()> {
        let wanted = len.max(CHUNK).min(self.end.saturating_sub(at) as usize);
        let overlap = match at.checked_sub(self.start) {
            Some(skip) if (skip as usize) < self.bytes.len() => {
                self.bytes.drain(..skip as usize);
                self.bytes.len()
            }
            _ => 0,
        };
        self.start = at;
        self.bytes.resize(wanted.max(overlap), 0);
        let mut filled = overlap;
        while filled < self.bytes.len() {
            match self.io.read_at(self.file, &mut self.bytes[filled..], u64::from(at) + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => match self.load_block(filled) {
                    Ok(more) => filled += more,
                    Err(e) => {
                        self.bytes.clear();
                        return Err(e);
                    }
                },
            }
        }
        self.bytes.truncate(filled);
        if filled < wanted {
            self.end = at + filled as u32;
        }
        Ok(())
    }

    /// Reads up to the end of the block at `filled`, which a bigger read could not, and says how far that is.
    fn load_block(&mut self, filled: usize) -> io::Result<usize> {
        let at = self.start + filled as u32;
        let len = ((BLOCK - at % BLOCK) as usize).min(self.bytes.len() - filled);
        let block = &mut self.bytes[filled..filled + len];
        match self.io.read_exact_at(self.file, block, u64::from(at)) {
            Ok(()) => Ok(len),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof || self.bad.len() == BAD_BLOCKS_MAX => Err(e),
            Err(_) => {
                block.fill(0);
                if !self.bad.contains(&at) {
                    self.bad.push(at);
                }
                Ok(len)
            }
        }
    }
}
