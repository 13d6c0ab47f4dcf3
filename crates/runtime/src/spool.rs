//! What init keeps of an application's output until a node has it safe.
//!
//! Frames wait in `kept`, oldest first, until they are acknowledged; a new connection gets all of them again. When
//! `kept` is full the caller stops reading the pipe for at most the block time, which slows the application down.
//! After that a *hole* is opened: the newest lines go to `tail`, where each newcomer pushes out the oldest, which is
//! counted. So the first and the last lines survive, and what is missing between them is said in its place. A hole is
//! closed (`Dropped` and its tail move to `kept`) as soon as half of `kept` has been acknowledged.
//!
//! Invariant: lines pushed = lines delivered + lines reported as dropped, and their numbers have no gap.

use std::collections::VecDeque;
use std::time::Duration;

use stdx::clock::{Mono, Wall};

use crate::exit::{End, Exit};
use crate::output::{Dropped, Stream};
use crate::protocol::{
    FRAME_HEAD, dropped_frame, exited_frame, frame_len, last_seq_of_frame, line_frame, line_frame_len,
    written_for_frame,
};

/// Capacity that an empty spool holds on to.
const IDLE_BYTES_MAX: usize = 16 << 10;

pub(crate) struct Spool {
    kept_bytes_max: usize,
    tail_bytes_max: usize,
    /// Bytes that must be free for one more line.
    line_bytes_max: usize,
    block: Duration,
    kept: VecDeque<u8>,
    /// Where in `kept` the first frame begins that this connection has not been given.
    unsent: usize,
    hole: Option<Hole>,
    full_since: Option<Mono>,
    next_seq: u64,
    /// The highest number that any connection was given.
    sent_seq: u64,
}

struct Hole {
    dropped: Dropped,
    tail: VecDeque<u8>,
}

/// Whether one more line may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// Yes; it may be dropped, but then it is counted.
    Yes,
    /// Not before this time, or before something is acknowledged.
    At(Mono),
}

impl Spool {
    /// A spool for `output_bytes_max` bytes of frames, of which an eighth is kept for the last lines.
    pub(crate) fn new(output_bytes_max: u32, message_bytes_max: u32, block: Duration) -> Spool {
        let tail_bytes_max = output_bytes_max as usize / 8;
        Spool {
            kept_bytes_max: output_bytes_max as usize - tail_bytes_max,
            tail_bytes_max,
            line_bytes_max: line_frame_len(message_bytes_max as usize, Some(0)),
            block,
            kept: VecDeque::new(),
            unsent: 0,
            hole: None,
            full_since: None,
            next_seq: 1,
            sent_seq: 0,
        }
    }

    /// Whether one more line may be taken now. `healthy`: whether waiting for the store is of any use.
    pub(crate) fn room(&mut self, now: Mono, store_healthy: bool) -> Room {
        if self.hole.is_some() || self.has_space() {
            self.full_since = None;
            return Room::Yes;
        }
        let since = *self.full_since.get_or_insert(now);
        let until = since + self.block;
        if store_healthy && now < until { Room::At(until) } else { Room::Yes }
    }

    /// Takes a line. Without space for it, it or older ones are dropped and counted.
    pub(crate) fn line(&mut self, now: Wall, stream: Stream, text: &[u8], cut_from: Option<u64>) {
        let seq = self.next_seq;
        self.next_seq += 1;
        if self.hole.is_none() && !self.has_space() {
            let dropped = Dropped { seq, time: now, lines: 0, bytes: 0 };
            self.hole = Some(Hole { dropped, tail: VecDeque::new() });
        }
        let head = line_frame(seq, now, stream, text.len(), cut_from);
        let into = match &mut self.hole {
            None => &mut self.kept,
            Some(hole) => {
                hole.evict_down_to(self.tail_bytes_max.saturating_sub(head.len() + text.len()));
                &mut hole.tail
            }
        };
        into.extend(&head);
        into.extend(text);
    }

    /// Everything up to `seq` is safe. A number that was never sent is not believed.
    pub(crate) fn ack(&mut self, seq: u64) {
        let seq = seq.min(self.sent_seq);
        let mut bytes = 0;
        while bytes < self.kept.len() && last_seq_of_frame(|i| self.kept[bytes + i]) <= seq {
            bytes += self.frame_len_at(bytes);
        }
        self.kept.drain(..bytes);
        self.unsent = self.unsent.saturating_sub(bytes);
        if self.kept.len() <= self.kept_bytes_max / 2 {
            self.close_hole();
        }
        if self.kept.is_empty() {
            self.kept.shrink_to(IDLE_BYTES_MAX);
        }
    }

    /// The application has ended and said its last; this is the last frame.
    pub(crate) fn exit(&mut self, time: Wall, end: End) {
        self.close_hole();
        let exit = Exit { seq: self.next_seq, time, end };
        self.next_seq += 1;
        self.kept.extend(exited_frame(&exit));
    }

    /// A new connection gets everything that is not acknowledged.
    pub(crate) fn rewind(&mut self) {
        self.unsent = 0;
    }

    /// Moves whole frames to `out` until it holds `bytes` or nothing is left.
    pub(crate) fn send(&mut self, out: &mut Vec<u8>, bytes: usize) {
        while out.len() < bytes && self.unsent < self.kept.len() {
            let length = self.frame_len_at(self.unsent);
            let start = self.unsent;
            self.sent_seq = self.sent_seq.max(last_seq_of_frame(|i| self.kept[start + i]));
            out.extend(self.kept.range(start..start + length));
            self.unsent += length;
        }
    }

    /// Whether frames wait to be sent on this connection.
    pub(crate) fn has_unsent(&self) -> bool {
        self.unsent < self.kept.len()
    }

    /// Whether everything has been acknowledged.
    pub(crate) fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.hole.is_none()
    }

    /// Frames that nobody has acknowledged.
    pub(crate) fn unacked(&self) -> u64 {
        let (mut frames, mut at) = (0, 0);
        while at < self.kept.len() {
            at += self.frame_len_at(at);
            frames += 1;
        }
        frames
    }

    fn has_space(&self) -> bool {
        self.kept.len() + self.line_bytes_max <= self.kept_bytes_max
    }

    fn close_hole(&mut self) {
        if let Some(hole) = self.hole.take() {
            if hole.dropped.lines > 0 {
                self.kept.extend(dropped_frame(&hole.dropped));
            }
            self.kept.extend(&hole.tail);
        }
    }

    fn frame_len_at(&self, at: usize) -> usize {
        frame_len_in(&self.kept, at)
    }
}

impl Hole {
    fn evict_down_to(&mut self, bytes: usize) {
        while self.tail.len() > bytes {
            let length = frame_len_in(&self.tail, 0);
            self.dropped.lines += 1;
            self.dropped.bytes += written_for_frame(|i| self.tail[i]);
            self.tail.drain(..length);
        }
    }
}

fn frame_len_in(frames: &VecDeque<u8>, at: usize) -> usize {
    debug_assert!(at + FRAME_HEAD <= frames.len());
    frame_len(std::array::from_fn(|i| frames[at + i]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::exit::Ended;
    use crate::output::Output;
    use crate::protocol::{Decoder, FromInit};

    const NOW: Wall = Wall(1);
    const BLOCK: Duration = Duration::from_millis(250);

    /// Room for 1024 bytes of frames, 896 of them for the first lines.
    fn spool() -> Spool {
        Spool::new(1024, 64, BLOCK)
    }

    fn sent(spool: &mut Spool) -> Vec<FromInit> {
        let mut bytes = vec![];
        spool.send(&mut bytes, usize::MAX);
        let mut decoder = Decoder::new(4096);
        decoder.push(&bytes);
        std::iter::from_fn(|| decoder.next().unwrap().map(|(kind, body)| FromInit::decode(kind, body).unwrap()))
            .collect()
    }

    fn outputs(spool: &mut Spool) -> Vec<Output> {
        let output = |said| if let FromInit::Output(output) = said { Some(output) } else { None };
        sent(spool).into_iter().filter_map(output).collect()
    }

    fn fill(spool: &mut Spool) {
        while spool.has_space() {
            spool.line(NOW, Stream::Stdout, &[b'x'; 64], None);
        }
    }

    #[test]
    fn a_full_spool_asks_to_wait_once_and_no_longer_than_the_block_time() {
        let mut spool = spool();
        assert_eq!(spool.room(Mono(0), true), Room::Yes);
        fill(&mut spool);
        let begun = Mono(1_000);
        assert_eq!(spool.room(begun, true), Room::At(begun + BLOCK));
        assert_eq!(spool.room(begun + BLOCK / 2, true), Room::At(begun + BLOCK), "the time runs on");
        assert_eq!(spool.room(begun + BLOCK, true), Room::Yes);
        spool.line(NOW, Stream::Stdout, b"dropped or not, it is counted", None);
        assert_eq!(spool.room(begun + BLOCK, true), Room::Yes, "once there is a hole nobody waits");
    }

    #[test]
    fn nobody_waits_for_a_store_that_has_failed() {
        let mut spool = spool();
        fill(&mut spool);
        assert_eq!(spool.room(Mono(0), false), Room::Yes);
    }

    #[test]
    fn an_acknowledgement_makes_room_and_ends_the_wait() {
        let mut spool = spool();
        fill(&mut spool);
        assert!(matches!(spool.room(Mono(0), true), Room::At(_)));
        outputs(&mut spool);
        spool.ack(1);
        assert_eq!(spool.room(Mono(1), true), Room::Yes);
        fill(&mut spool);
        assert_eq!(spool.room(Mono(2), true), Room::At(Mono(2) + BLOCK), "a new wait has its own time");
    }

    #[test]
    fn the_first_and_the_last_lines_survive_with_the_gap_between_them() {
        let mut spool = spool();
        for number in 0..100 {
            spool.line(NOW, Stream::Stdout, format!("line {number:02} of a hundred").as_bytes(), None);
        }
        spool.exit(NOW, End { ended: Ended::Code(0), oom_kills: 0, left_behind: 0 });
        let outputs = outputs(&mut spool);
        assert!(matches!(&outputs[0], Output::Line(line) if line.bytes == b"line 00 of a hundred"));
        assert!(matches!(outputs.last(), Some(Output::Line(line)) if line.bytes == b"line 99 of a hundred"));
        let gaps: Vec<_> =
            outputs.iter().filter_map(|o| if let Output::Dropped(gap) = o { Some(gap) } else { None }).collect();
        assert_eq!(gaps.len(), 1);
        assert_eq!(gaps[0].bytes, gaps[0].lines * 20);
    }

    #[test]
    fn the_bytes_of_a_dropped_line_are_those_that_were_written() {
        let mut spool = spool();
        fill(&mut spool);
        spool.line(NOW, Stream::Stdout, &[b'y'; 64], Some(5_000));
        fill_tail(&mut spool);
        spool.exit(NOW, End { ended: Ended::Code(0), oom_kills: 0, left_behind: 0 });
        let dropped =
            outputs(&mut spool).into_iter().find_map(|o| if let Output::Dropped(gap) = o { Some(gap) } else { None });
        assert_eq!(dropped.map(|gap| (gap.lines, gap.bytes)), Some((1, 5_000)));
    }

    /// One more line than the tail holds beside the first.
    fn fill_tail(spool: &mut Spool) {
        spool.line(NOW, Stream::Stdout, &[b'z'; 64], None);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Line(usize),
        Send(usize),
        Ack(u64),
        Rewind,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            6 => (0..=64usize).prop_map(Step::Line),
            2 => (1..400usize).prop_map(Step::Send),
            2 => (0..200u64).prop_map(Step::Ack),
            1 => Just(Step::Rewind),
        ];
        proptest::collection::vec(step, 0..200)
    }

    proptest! {
        /// Whatever happens, a node that goes on until the end has heard of every number once or more, in order, and
        /// the spool has never held more than it may.
        #[test]
        fn what_is_written_is_delivered_or_reported(steps in steps()) {
            let mut spool = spool();
            let (mut written, mut acked, mut heard) = (0, 0, 0);
            let mut hear = |spool: &mut Spool, bytes: usize| {
                let mut out = vec![];
                spool.send(&mut out, bytes);
                let mut decoder = Decoder::new(4096);
                decoder.push(&out);
                while let Some((kind, body)) = decoder.next().unwrap() {
                    let (first, last) = match FromInit::decode(kind, body).unwrap() {
                        FromInit::Output(Output::Line(line)) => (line.seq, line.seq),
                        FromInit::Output(Output::Dropped(gap)) => (gap.seq, gap.last_seq()),
                        FromInit::Exited(exit) => (exit.seq, exit.seq),
                        other => panic!("{other:?}"),
                    };
                    assert!(first <= heard + 1, "{first} after {heard}");
                    heard = heard.max(last);
                }
                heard
            };
            for step in steps {
                match step {
                    Step::Line(bytes) => {
                        spool.line(NOW, Stream::Stderr, &vec![b'x'; bytes], None);
                        written += 1;
                    }
                    Step::Send(bytes) => { hear(&mut spool, bytes); }
                    Step::Ack(seq) => {
                        let told = hear(&mut spool, 0);
                        spool.ack(seq);
                        acked = acked.max(seq.min(told));
                    }
                    Step::Rewind => spool.rewind(),
                }
                let tail = spool.hole.as_ref().map_or(0, |hole| hole.tail.len());
                prop_assert!(spool.kept.len() + tail <= 1024 + 64, "{} + {tail}", spool.kept.len());
            }
            spool.exit(NOW, End { ended: Ended::Code(0), oom_kills: 0, left_behind: 0 });
            let heard = hear(&mut spool, usize::MAX);
            prop_assert_eq!(heard, written + 1);
            prop_assert!(acked <= heard);
            spool.ack(heard);
            prop_assert!(spool.is_empty());
        }
    }
}
