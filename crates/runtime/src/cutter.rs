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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::output::Output;
    use crate::protocol::{Decoder, FromInit};

    const MAX: u32 = 8;

    /// The lines that come out when the bytes arrive in these pieces: what is kept, and what was written.
    fn lines(pieces: &[&[u8]]) -> Vec<(Vec<u8>, u64)> {
        let mut spool = Spool::new(1 << 20, MAX, Duration::ZERO);
        let mut cutter = Cutter::new(Stream::Stdout, MAX);
        for mut piece in pieces.iter().copied() {
            while !piece.is_empty() {
                piece = &piece[cutter.feed(piece, Wall(1), &mut spool)..];
            }
        }
        cutter.finish(Wall(1), &mut spool);
        let (mut out, mut decoder) = (vec![], Decoder::new(1 << 20));
        spool.send(&mut out, usize::MAX);
        decoder.push(&out);
        let mut lines = vec![];
        while let Some((kind, body)) = decoder.next().unwrap() {
            let FromInit::Output(Output::Line(line)) = FromInit::decode(kind, body).unwrap() else { panic!("no line") };
            lines.push((line.bytes.clone(), line.cut_from.unwrap_or(line.bytes.len() as u64)));
        }
        lines
    }

    #[test]
    fn a_line_of_just_the_limit_is_whole_and_one_byte_more_is_cut() {
        assert_eq!(
            lines(&[b"12345678\n123456789\n\nend"]),
            [(b"12345678".to_vec(), 8), (b"12345678".to_vec(), 9), (b"".to_vec(), 0), (b"end".to_vec(), 3),]
        );
    }

    proptest! {
        #[test]
        fn where_the_reads_end_makes_no_difference(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..100),
            size in 1..30usize,
        ) {
            let whole = lines(&[&bytes]);
            let pieces: Vec<_> = bytes.chunks(size).collect();
            prop_assert_eq!(&lines(&pieces), &whole);
            let written: u64 = whole.iter().map(|(_, length)| length).sum();
            let newlines = bytes.iter().filter(|byte| **byte == b'\n').count();
            prop_assert_eq!(written, (bytes.len() - newlines) as u64);
        }
    }
}
