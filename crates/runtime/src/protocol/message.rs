//! The kinds of frames and their bodies. Numbers are little endian.

use serde::de::DeserializeOwned;
use stdx::clock::Wall;

use super::LinkError;
use super::frame::{FRAME_HEAD, frame_len, write_frame};
use super::greeting::{InitHello, NodeHello, Refusal, Welcome};
use crate::exit::{End, Exit};
use crate::output::{Dropped, Line, Output, Stream};

const HELLO: u8 = 1;
const REFUSED: u8 = 2;
const WELCOME: u8 = 3;
const LINE: u8 = 16;
const DROPPED: u8 = 17;
const EXITED: u8 = 18;
const ACK: u8 = 32;
const SIGNAL: u8 = 33;
const STORE: u8 = 34;

/// Flag of a line: its original length follows the head.
const CUT: u8 = 1;
/// Bytes of a LINE frame before the text, the original length not counted: head, seq, time, stream, flags.
const LINE_HEAD: usize = FRAME_HEAD + 8 + 8 + 1 + 1;

/// What an init says.
#[derive(Debug)]
pub(crate) enum FromInit {
    Hello(InitHello),
    Welcome(Welcome),
    Refused(Refusal),
    Output(Output),
    Exited(Exit),
    /// Of a later version; skipped.
    Unknown,
}

/// What a node says.
#[derive(Debug)]
pub(crate) enum FromNode {
    Hello(NodeHello),
    /// Everything up to this number is safe.
    Ack(u64),
    Signal {
        whom: Whom,
        signal: i32,
    },
    Store(StoreState),
    /// Of a later version; skipped.
    Unknown,
}

/// What the node's log store can do at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StoreState {
    /// It takes records: waiting for it is worth up to `stdout_block_ms`.
    #[default]
    Healthy,
    /// It is full or has failed: nobody is held up for it.
    Failed,
}

/// Whom a signal is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whom {
    /// The application's process group.
    Group,
    /// Every process that descends from it.
    All,
}

impl FromInit {
    pub(crate) fn decode(kind: u8, body: &[u8]) -> Result<FromInit, LinkError> {
        let mut fields = Fields { body };
        Ok(match kind {
            HELLO => FromInit::Hello(json(body)?),
            WELCOME => FromInit::Welcome(json(body)?),
            REFUSED => FromInit::Refused(json(body)?),
            LINE => FromInit::Output(Output::Line(fields.line()?)),
            DROPPED => FromInit::Output(Output::Dropped(Dropped {
                seq: fields.u64()?,
                time: Wall(fields.u64()?),
                lines: fields.u64()?,
                bytes: fields.u64()?,
            })),
            EXITED => {
                let (seq, time) = (fields.u64()?, Wall(fields.u64()?));
                FromInit::Exited(Exit { seq, time, end: json::<End>(fields.body)? })
            }
            _ => FromInit::Unknown,
        })
    }
}

impl InitHello {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        write_frame(out, HELLO, &to_json(self));
    }
}

impl Welcome {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        write_frame(out, WELCOME, &to_json(self));
    }
}

impl Refusal {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        write_frame(out, REFUSED, &to_json(self));
    }
}

impl FromNode {
    pub(crate) fn decode(kind: u8, body: &[u8]) -> Result<FromNode, LinkError> {
        let mut fields = Fields { body };
        Ok(match kind {
            HELLO => FromNode::Hello(json(body)?),
            ACK => FromNode::Ack(fields.u64()?),
            SIGNAL => {
                let whom = if fields.u8()? == 0 { Whom::Group } else { Whom::All };
                FromNode::Signal { whom, signal: i32::from(fields.u8()?) }
            }
            STORE => FromNode::Store(if fields.u8()? == 0 { StoreState::Healthy } else { StoreState::Failed }),
            _ => FromNode::Unknown,
        })
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            FromNode::Hello(hello) => write_frame(out, HELLO, &to_json(hello)),
            FromNode::Ack(seq) => write_frame(out, ACK, &seq.to_le_bytes()),
            FromNode::Signal { whom, signal } => {
                let signal = u8::try_from(*signal).expect("signals are below 65");
                write_frame(out, SIGNAL, &[u8::from(*whom == Whom::All), signal]);
            }
            FromNode::Store(state) => write_frame(out, STORE, &[u8::from(*state == StoreState::Failed)]),
            FromNode::Unknown => {}
        }
    }
}

/// The bytes that a line of `text` bytes takes as a frame.
pub(crate) fn line_frame_len(text: usize, cut_from: Option<u64>) -> usize {
    LINE_HEAD + text + if cut_from.is_some() { 8 } else { 0 }
}

/// A LINE frame: its head, to be followed by the text.
pub(crate) fn line_frame(seq: u64, time: Wall, stream: Stream, text: usize, cut_from: Option<u64>) -> Vec<u8> {
    let length = line_frame_len(text, cut_from) - 4;
    let mut out = Vec::with_capacity(LINE_HEAD + 8);
    out.extend_from_slice(&u32::try_from(length).expect("lines are cut").to_le_bytes());
    out.push(LINE);
    out.extend_from_slice(&seq.to_le_bytes());
    out.extend_from_slice(&time.0.to_le_bytes());
    out.push(u8::from(stream == Stream::Stderr));
    out.push(if cut_from.is_some() { CUT } else { 0 });
    if let Some(bytes) = cut_from {
        out.extend_from_slice(&bytes.to_le_bytes());
    }
    out
}

/// A DROPPED frame.
pub(crate) fn dropped_frame(dropped: &Dropped) -> Vec<u8> {
    let mut body = Vec::with_capacity(32);
    for number in [dropped.seq, dropped.time.0, dropped.lines, dropped.bytes] {
        body.extend_from_slice(&number.to_le_bytes());
    }
    framed(DROPPED, &body)
}

/// An EXITED frame.
pub(crate) fn exited_frame(exit: &Exit) -> Vec<u8> {
    let mut body = [exit.seq.to_le_bytes(), exit.time.0.to_le_bytes()].concat();
    body.extend_from_slice(&to_json(&exit.end));
    framed(EXITED, &body)
}

/// The number up to which an acknowledgement covers a LINE, DROPPED or EXITED frame, read byte by byte through `at`.
pub(crate) fn last_seq_of_frame(at: impl Fn(usize) -> u8) -> u64 {
    let number = |offset: usize| u64::from_le_bytes(std::array::from_fn(|i| at(offset + i)));
    let seq = number(FRAME_HEAD);
    if at(4) == DROPPED { seq + number(FRAME_HEAD + 16).saturating_sub(1) } else { seq }
}

/// The bytes that the application wrote for the line of a LINE frame, read byte by byte through `at`.
pub(crate) fn written_for_frame(at: impl Fn(usize) -> u8) -> u64 {
    let text = || {
        let length = frame_len(std::array::from_fn(&at));
        (length - LINE_HEAD) as u64
    };
    let cut_from = || u64::from_le_bytes(std::array::from_fn(|i| at(LINE_HEAD + i)));
    if at(LINE_HEAD - 1) & CUT != 0 { cut_from() } else { text() }
}

fn framed(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(FRAME_HEAD + body.len());
    write_frame(&mut out, kind, body);
    out
}

fn to_json<T: serde::Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain data becomes JSON")
}

fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, LinkError> {
    serde_json::from_slice(body).map_err(|e| LinkError::Garbage { what: e.to_string() })
}

/// A body that is read field by field. What is left over is of a later version and ignored.
struct Fields<'a> {
    body: &'a [u8],
}

impl Fields<'_> {
    fn u8(&mut self) -> Result<u8, LinkError> {
        Ok(self.take::<1>()?[0])
    }

    fn u64(&mut self) -> Result<u64, LinkError> {
        Ok(u64::from_le_bytes(*self.take::<8>()?))
    }

    fn take<const N: usize>(&mut self) -> Result<&[u8; N], LinkError> {
        let (head, rest) = self.body.split_first_chunk::<N>().ok_or_else(|| LinkError::Garbage {
            what: format!("a body that ends {} bytes early", N - self.body.len()),
        })?;
        self.body = rest;
        Ok(head)
    }

    fn line(&mut self) -> Result<Line, LinkError> {
        let (seq, time) = (self.u64()?, Wall(self.u64()?));
        let stream = if self.u8()? == 0 { Stream::Stdout } else { Stream::Stderr };
        let cut_from = if self.u8()? & CUT != 0 { Some(self.u64()?) } else { None };
        Ok(Line { seq, time, stream, bytes: self.body.to_vec(), cut_from })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Ended;

    fn read_back(frame: &[u8]) -> FromInit {
        FromInit::decode(frame[4], &frame[FRAME_HEAD..]).unwrap()
    }

    #[test]
    fn a_line_reads_back_with_or_without_its_cut() {
        for cut_from in [None, Some(70_000)] {
            let mut frame = line_frame(9, Wall(5), Stream::Stderr, 3, cut_from);
            frame.extend_from_slice(b"a\0b");
            assert_eq!(frame.len(), line_frame_len(3, cut_from));
            let line = Line { seq: 9, time: Wall(5), stream: Stream::Stderr, bytes: b"a\0b".to_vec(), cut_from };
            assert!(matches!(read_back(&frame), FromInit::Output(Output::Line(read)) if read == line));
            assert_eq!(last_seq_of_frame(|i| frame[i]), 9);
            assert_eq!(written_for_frame(|i| frame[i]), cut_from.unwrap_or(3));
        }
    }

    /// Version 1 as it is on the wire. An init that speaks it may run for years: this test never changes.
    #[test]
    fn the_bytes_of_version_1_stay_what_they_are() {
        let seq_and_time = b"\x09\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0";
        let line = [b"\x15\0\0\0\x10".as_slice(), seq_and_time, b"\x01\x00hi"].concat();
        let mut ours = line_frame(9, Wall(5), Stream::Stderr, 2, None);
        ours.extend_from_slice(b"hi");
        assert_eq!(ours, line);
        let gap = [b"\x21\0\0\0\x11".as_slice(), seq_and_time, b"\x02\0\0\0\0\0\0\0\x4d\0\0\0\0\0\0\0"].concat();
        assert_eq!(dropped_frame(&Dropped { seq: 9, time: Wall(5), lines: 2, bytes: 77 }), gap);
        let exit = [seq_and_time.as_slice(), br#"{"ended":{"code":3}}"#].concat();
        let end = End { ended: Ended::Code(3), oom_kills: 0, left_behind: 0 };
        assert!(
            matches!(FromInit::decode(18, &exit), Ok(FromInit::Exited(read)) if read == Exit { seq: 9, time: Wall(5), end })
        );
        let hello =
            br#"{"version":1,"version_min":1,"ticket":{"init_pid":7,"init_start":70,"child_pid":8,"child_start":80,
            "socket":"/run/forebay/web.17.sock"}}"#;
        assert!(matches!(FromInit::decode(1, hello), Ok(FromInit::Hello(hello)) if hello.ticket.child_start == 80));
        let mut said = vec![];
        FromNode::Ack(9).write(&mut said);
        FromNode::Signal { whom: Whom::All, signal: 9 }.write(&mut said);
        FromNode::Store(StoreState::Failed).write(&mut said);
        assert_eq!(said, b"\x09\0\0\0\x20\x09\0\0\0\0\0\0\0\x03\0\0\0\x21\x01\x09\x02\0\0\0\x22\x01");
    }

    #[test]
    fn dropped_lines_and_an_exit_read_back() {
        let dropped = Dropped { seq: 10, time: Wall(6), lines: 5, bytes: 77 };
        let frame = dropped_frame(&dropped);
        assert!(matches!(read_back(&frame), FromInit::Output(Output::Dropped(read)) if read == dropped));
        assert_eq!(last_seq_of_frame(|i| frame[i]), 14);
        let exit = Exit { seq: 15, time: Wall(7), end: End { ended: Ended::Signal(9), oom_kills: 0, left_behind: 2 } };
        assert!(matches!(read_back(&exited_frame(&exit)), FromInit::Exited(read) if read == exit));
    }

    #[test]
    fn what_a_later_version_says_is_skipped_and_what_is_cut_short_refused() {
        assert!(matches!(FromNode::decode(99, b"whatever"), Ok(FromNode::Unknown)));
        assert!(matches!(FromNode::decode(ACK, &[1, 0, 0, 0, 0, 0, 0, 0, 42]), Ok(FromNode::Ack(1))));
        assert!(FromNode::decode(ACK, &[1]).is_err());
        assert!(FromInit::decode(LINE, &[0; 17]).is_err());
        assert!(FromNode::decode(HELLO, b"{").is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_body_is_read_or_refused(kind: u8, body: Vec<u8>) {
            drop(FromInit::decode(kind, &body));
            drop(FromNode::decode(kind, &body));
        }
    }
}
