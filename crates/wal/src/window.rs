//! A file read front to back through one buffer.

use std::io;

use stdx::io::Io;

/// How much is read at once when less is asked for.
const CHUNK: usize = 256 << 10;

/// A moving window over the first `end` bytes of a file. It holds no more than the file's length and what was asked for.
pub(crate) struct Window<'a, D: Io> {
    io: &'a D,
    file: &'a D::File,
    end: u32,
    start: u32,
    bytes: Vec<u8>,
}

impl<'a, D: Io> Window<'a, D> {
    pub(crate) fn new(io: &'a D, file: &'a D::File, end: u32) -> Window<'a, D> {
        Window { io, file, end, start: 0, bytes: Vec::new() }
    }

    /// Where the file ends, as far as this window goes.
    pub(crate) fn end(&self) -> u32 {
        self.end
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
                Err(e) => {
                    self.bytes.clear();
                    return Err(e);
                }
            }
        }
        self.bytes.truncate(filled);
        if filled < wanted {
            self.end = at + filled as u32;
        }
        Ok(())
    }
}
