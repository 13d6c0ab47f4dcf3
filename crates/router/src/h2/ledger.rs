//! What a connection has cost, and what it has been good for. Pure: heads of frames in, a verdict out.
//!
//! A client that asks for much and takes many replies may send many frames, one that asks for nothing may not; what it has
//! used up comes back with time too, so that nobody is punished for a long life.

use stdx::clock::Mono;

use super::walk::Head;
use crate::config::Http2Config;

/// What a client has done too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Excess {
    /// Floods of SETTINGS, PING, PRIORITY, WINDOW_UPDATE, empty DATA, unknown frames (CVE-2019-9512, -9515, -9518).
    #[error("too many frames that carry no request forward")]
    IdleFrames,
    /// Requests taken back as soon as they are sent (CVE-2023-44487).
    #[error("too many requests taken back")]
    Resets,
    /// The first frame is another one (RFC 9113, 3.4).
    #[error("the connection does not begin with SETTINGS")]
    NoSettings,
}

impl Excess {
    /// What the client is told (RFC 9113, 7).
    pub(super) fn code(self) -> u8 {
        match self {
            Excess::NoSettings => 0x1,
            Excess::IdleFrames | Excess::Resets => 0xb,
        }
    }
}

/// A request pays for so many frames that carry nothing: its window updates and a priority or two.
const PAID_BY_REQUEST: u32 = 10;
/// Each frame of a reply pays for so many: a client may open both windows after each.
const PAID_BY_REPLY_FRAME: u32 = 4;
/// What has been used up comes back in so many seconds.
const BACK_IN_S: u32 = 10;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const PADDED: u8 = 8;

/// An allowance.
#[derive(Clone, Copy, Debug)]
struct Purse {
    left: u32,
    most: u32,
    /// Since when what was used up has been coming back.
    since: Mono,
}

impl Purse {
    fn new(most: u32, now: Mono) -> Purse {
        Purse { left: most, most, since: now }
    }

    /// Takes one; false when there is none. The clock is looked at only then.
    fn take(&mut self, now: impl FnOnce() -> Mono) -> bool {
        if self.left == 0 {
            let now = now();
            let seconds = u32::try_from(now.since(self.since).as_secs()).unwrap_or(u32::MAX);
            if seconds > 0 {
                self.since = now;
                self.earn((self.most / BACK_IN_S).max(1).saturating_mul(seconds));
            }
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }

    fn earn(&mut self, some: u32) {
        self.left = self.most.min(self.left.saturating_add(some));
    }
}

/// The ledger of a connection.
#[derive(Debug)]
pub(super) struct Ledger {
    began: bool,
    idle_frames: Purse,
    resets: Purse,
}

impl Ledger {
    /// Of a new connection.
    pub(super) fn new(config: &Http2Config, now: Mono) -> Ledger {
        Ledger {
            began: false,
            idle_frames: Purse::new(config.idle_frames_max, now),
            resets: Purse::new(config.resets_max, now),
        }
    }

    /// A frame has come in.
    pub(super) fn received(&mut self, frame: Head, now: impl FnOnce() -> Mono) -> Result<(), Excess> {
        let ends = frame.flags & END_STREAM != 0;
        if !std::mem::replace(&mut self.began, true) && (frame.kind != SETTINGS || frame.flags & ACK != 0) {
            return Err(Excess::NoSettings);
        }
        match frame.kind {
            HEADERS => self.idle_frames.earn(PAID_BY_REQUEST),
            // An empty frame that ends its stream carries that.
            DATA if ends || frame.length > padding_bytes_max(frame) => {}
            // The library bounds a head in bytes and in frames.
            CONTINUATION => {}
            RST_STREAM => return if self.resets.take(now) { Ok(()) } else { Err(Excess::Resets) },
            _ => return if self.idle_frames.take(now) { Ok(()) } else { Err(Excess::IdleFrames) },
        }
        Ok(())
    }

    /// A frame has gone out.
    pub(super) fn sent(&mut self, frame: Head) {
        if frame.kind != DATA && frame.kind != HEADERS {
            return;
        }
        self.idle_frames.earn(PAID_BY_REPLY_FRAME);
        if frame.flags & END_STREAM != 0 {
            self.resets.earn(1);
        }
    }
}

/// Bytes of a DATA frame that may all be padding: its length in one byte, and as many as that can say.
fn padding_bytes_max(frame: Head) -> u32 {
    if frame.flags & PADDED != 0 { 256 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const PING: u8 = 6;
    const NOW: Mono = Mono(0);

    fn head(kind: u8, flags: u8, length: u32) -> Head {
        Head { length, kind, flags }
    }

    fn ledger() -> Ledger {
        let mut ledger =
            Ledger::new(&Http2Config { idle_frames_max: 101, resets_max: 10, ..Http2Config::default() }, NOW);
        assert_eq!(ledger.received(head(SETTINGS, 0, 0), || NOW), Ok(()));
        ledger
    }

    #[test]
    fn frames_that_carry_nothing_run_out() {
        for frame in [
            head(PING, 0, 8),
            head(DATA, 0, 0),
            head(DATA, PADDED, 256),
            head(2, 0, 5),
            head(8, 0, 4),
            head(4, 0, 0),
            head(99, 0, 1),
        ] {
            let mut ledger = ledger();
            assert!((0..100).all(|_| ledger.received(frame, || NOW).is_ok()), "{frame:?}");
            assert_eq!(ledger.received(frame, || NOW), Err(Excess::IdleFrames), "{frame:?}");
            ledger.sent(head(DATA, 0, 100));
            assert_eq!(ledger.received(frame, || NOW), Ok(()), "a reply pays");
        }
    }

    #[test]
    fn settings_come_first() {
        for frame in [head(HEADERS, 5, 9), head(SETTINGS, ACK, 0), head(PING, 0, 8)] {
            let mut ledger = Ledger::new(&Http2Config::default(), NOW);
            assert_eq!(ledger.received(frame, || NOW), Err(Excess::NoSettings));
        }
    }

    #[test]
    fn what_carries_something_is_free() {
        let mut ledger = ledger();
        for frame in
            [head(DATA, 0, 1), head(DATA, PADDED, 257), head(DATA, END_STREAM, 0), head(HEADERS, END_STREAM, 9)]
        {
            assert!((0..10_000).all(|_| ledger.received(frame, || NOW).is_ok()), "{frame:?}");
        }
    }

    #[test]
    fn who_takes_everything_back_is_stopped_and_who_takes_half_is_not() {
        let (request, reset) = (head(HEADERS, END_STREAM, 20), head(RST_STREAM, 0, 4));
        let mut rapid = ledger();
        let both = |ledger: &mut Ledger| ledger.received(request, || NOW).and_then(|()| ledger.received(reset, || NOW));
        assert_eq!((0..).take_while(|_| both(&mut rapid).is_ok()).count(), 10);
        let mut half = ledger();
        for _ in 0..10_000 {
            assert_eq!(both(&mut half), Ok(()));
            assert_eq!(half.received(request, || NOW), Ok(()));
            half.sent(head(HEADERS, END_STREAM, 20));
        }
    }

    #[test]
    fn what_was_used_up_comes_back_with_time() {
        let mut ledger = ledger();
        let ping = head(PING, 0, 8);
        let taken = |ledger: &mut Ledger, now| (0..1000).take_while(|_| ledger.received(ping, || now).is_ok()).count();
        assert_eq!(taken(&mut ledger, NOW), 100);
        let second = Duration::from_secs(1);
        assert_eq!(taken(&mut ledger, NOW + second), 10);
        assert_eq!(taken(&mut ledger, NOW + 3 * second), 20);
        assert_eq!(taken(&mut ledger, NOW + 100_000 * second), 101);
    }
}
