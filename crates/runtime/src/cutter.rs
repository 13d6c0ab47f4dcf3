//! Bytes of one pipe into lines.

use memchr::memchr;
use stdx::clock::Wall;

use crate::output::Stream;
use crate::spool::Spool;

/// A line buffer that was grown beyond this is given back after its line.
const IDLE_BYTES_MAX: usize = 4 << 10;

/// Collects the line that is being written: at most `message_bytes_max` bytes of it, the rest is counted.
pub(crate) struct Cutter {
    stream: Stream,
    message_bytes_max: usize,
    line: Vec<u8>,
    length: u64,
}

impl Cutter {
    pub(crate) fn new(stream: Stream, message_bytes_max: u32) -> Cutter {
        Cutter { stream, message_bytes_max: message_bytes_max as usize, line: vec![], length: 0 }
    }

    /// Takes bytes up to the first newline, gives the spool the line if there was one, and says how many were taken.
    pub(crate) fn feed(&mut self, bytes: &[u8], now: Wall, spool: &mut Spool) -> usize {
        match memchr(b'\n', bytes) {
            Some(end) if self.length == 0 && end <= self.message_bytes_max => {
                spool.line(now, self.stream, &bytes[..end], None);
                end + 1
            }
            Some(end) => {
                self.extend(&bytes[..end]);
                self.emit(now, spool);
                end + 1
            }
            None => {
                self.extend(bytes);
                bytes.len()
            }
        }
    }

    /// At the end of the stream: a last line without newline is a line too.
    pub(crate) fn finish(&mut self, now: Wall, spool: &mut Spool) {
        if self.length > 0 {
            self.emit(now, spool);
        }
    }

    fn extend(&mut self, bytes: &[u8]) {
        let room = self.message_bytes_max - self.line.len();
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.length += bytes.len() as u64;
    }

    fn emit(&mut self, now: Wall, spool: &mut Spool) {
        let cut_from = (self.length > self.line.len() as u64).then_some(self.length);
        spool.line(now, self.stream, &self.line, cut_from);
        self.length = 0;
        self.line.clear();
        if self.line.capacity() > IDLE_BYTES_MAX {
            self.line = vec![];
        }
    }
}
