//! Lines of output as they travel: numbered by init, from 1, without gaps.

use std::fmt;

use serde::{Deserialize, Serialize};
use stdx::clock::Wall;

/// Which pipe a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// `stdout` or `stderr`.
    pub fn as_str(self) -> &'static str {
        match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        }
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What an application said, or that something it said was not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// A line.
    Line(Line),
    /// Lines that were dropped at this place of the stream.
    Dropped(Dropped),
}

impl Output {
    /// The number up to which an acknowledgement of this covers.
    pub fn last_seq(&self) -> u64 {
        match self {
            Output::Line(line) => line.seq,
            Output::Dropped(dropped) => dropped.last_seq(),
        }
    }
}

/// One line, without its newline. Any bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number in this run, counted over both streams.
    pub seq: u64,
    /// When its end was read.
    pub time: Wall,
    /// Where it was written.
    pub stream: Stream,
    /// What was written, at most `message_bytes_max` bytes.
    pub bytes: Vec<u8>,
    /// The bytes that were written, where that is more than what is kept.
    pub cut_from: Option<u64>,
}

/// Lines that were not kept, because neither the store nor the buffers had room for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// The number of the first of them; the next thing that is told has the number `seq + lines`.
    pub seq: u64,
    /// When the first of them was dropped.
    pub time: Wall,
    /// How many.
    pub lines: u64,
    /// Their bytes, newlines not counted.
    pub bytes: u64,
}

impl Dropped {
    /// The number of the last dropped line.
    pub fn last_seq(&self) -> u64 {
        self.seq.saturating_add(self.lines.saturating_sub(1))
    }
}
