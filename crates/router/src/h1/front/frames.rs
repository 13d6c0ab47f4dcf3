//! Where one WebSocket frame ends and the next begins (RFC 6455, 5.2), so that a router that leaves can say so in between.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes of the longest head: two, a length of eight, a mask of four.
const HEAD_BYTES_MAX: usize = 14;
/// The code of an end that says: the server goes away.
const GOING_AWAY: [u8; 2] = 1001u16.to_be_bytes();
const CLOSE: u8 = 0x08;
const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;

/// How far a stream of frames has come.
#[derive(Debug, Default)]
pub(super) struct Frames {
    head: [u8; HEAD_BYTES_MAX],
    /// Bytes of the head that are there.
    has: usize,
    /// Bytes of the frame's content that are to come.
    content: u64,
    closed: bool,
}

impl Frames {
    /// These bytes have come.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.content > 0 {
                let skipped = usize::try_from(self.content).map_or(bytes.len(), |left| left.min(bytes.len()));
                self.content -= skipped as u64;
                bytes = &bytes[skipped..];
                continue;
            }
            self.head[self.has] = bytes[0];
            self.has += 1;
            bytes = &bytes[1..];
            if let Some(content) = self.content_bytes() {
                self.closed |= self.head[0] & 0x0f == CLOSE;
                (self.content, self.has) = (content, 0);
            }
        }
    }

    /// The length of the frame's content, once its head is whole.
    fn content_bytes(&self) -> Option<u64> {
        let second = *self.head[..self.has].get(1)?;
        let mask = if second & MASKED == 0 { 0 } else { 4 };
        let (bytes, of_length) = match second & !MASKED {
            126 => (2 + 2, 2),
            127 => (2 + 8, 8),
            short => return (self.has == 2 + mask).then_some(short.into()),
        };
        let length = self.head[2..2 + of_length].iter().fold(0u64, |length, byte| length << 8 | u64::from(*byte));
        (self.has == bytes + mask).then_some(length)
    }

    /// Whether another frame may be put here: none is under way, and none was the last.
    pub(super) fn may_close(&self) -> bool {
        self.has == 0 && self.content == 0 && !self.closed
    }
}

/// The server's word that it goes away.
pub(super) fn close_of_server() -> [u8; 4] {
    [FINAL | CLOSE, 2, GOING_AWAY[0], GOING_AWAY[1]]
}

/// The same in the client's place: clients mask what they say.
pub(super) fn close_of_client(mask: u32) -> [u8; 8] {
    let key = mask.to_be_bytes();
    let code = [GOING_AWAY[0] ^ key[0], GOING_AWAY[1] ^ key[1]];
    [FINAL | CLOSE, MASKED | 2, key[0], key[1], key[2], key[3], code[0], code[1]]
}

/// A side of a tunnel whose frames are watched as they are read.
pub(super) struct Watched<'a, S> {
    inner: &'a mut S,
    pub(super) frames: Frames,
    /// Bytes read, those from before the tunnel among them.
    pub(super) read: u64,
}

impl<'a, S> Watched<'a, S> {
    /// `first` was read before.
    pub(super) fn new(inner: &'a mut S, first: &[u8]) -> Watched<'a, S> {
        let mut frames = Frames::default();
        frames.feed(first);
        Watched { inner, frames, read: first.len() as u64 }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<'_, S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let polled = Pin::new(&mut *self.inner).poll_read(cx, into);
        let news = &into.filled()[before..];
        self.frames.feed(news);
        self.read += news.len() as u64;
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<'_, S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

    fn frame(opcode: u8, content: usize, mask: Option<u32>) -> Vec<u8> {
        let mut frame = vec![FINAL | opcode];
        let masked = if mask.is_some() { MASKED } else { 0 };
        match content {
            0..126 => frame.push(masked | content as u8),
            126..0x1_0000 => {
                frame.push(masked | 126);
                frame.extend_from_slice(&(content as u16).to_be_bytes());
            }
            _ => {
                frame.push(masked | 127);
                frame.extend_from_slice(&(content as u64).to_be_bytes());
            }
        }
        frame.extend(mask.map(u32::to_be_bytes).into_iter().flatten());
        frame.resize(frame.len() + content, 7);
        frame
    }

    proptest! {
        #[test]
        fn ends_are_found_however_the_bytes_come(
            sizes in prop::collection::vec((prop::sample::select(vec![0, 1, 125, 126, 127, 65_535, 65_536, 70_000]), any::<Option<u32>>()), 1..6),
            cuts in prop::collection::vec(1usize..5_000, 1..20),
        ) {
            let frames: Vec<Vec<u8>> = sizes.iter().map(|(content, mask)| frame(2, *content, *mask)).collect();
            let ends: Vec<usize> = frames.iter().scan(0, |end, frame| { *end += frame.len(); Some(*end) }).collect();
            let all = frames.concat();
            let (mut watched, mut at, mut cuts) = (Frames::default(), 0, cuts.into_iter().cycle());
            while at < all.len() {
                let next = (at + cuts.next().unwrap()).min(all.len());
                watched.feed(&all[at..next]);
                at = next;
                prop_assert_eq!(watched.may_close(), ends.contains(&at), "at {}", at);
            }
            prop_assert!(watched.may_close());
            watched.feed(&frame(CLOSE, 2, None));
            prop_assert!(!watched.may_close(), "an end was said");
        }

        #[test]
        fn whatever_comes_is_watched(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            Frames::default().feed(&bytes);
        }
    }

    #[test]
    fn the_farewell_is_a_frame_itself() {
        for farewell in [&close_of_server()[..], &close_of_client(0x0102_0304)] {
            let mut frames = Frames::default();
            frames.feed(farewell);
            assert!(frames.closed && frames.has == 0 && frames.content == 0);
        }
        assert_eq!(close_of_server(), [0x88, 2, 0x03, 0xe9]);
        assert_eq!(close_of_client(0x0102_0304), [0x88, 0x82, 1, 2, 3, 4, 0x02, 0xeb]);
    }
}
