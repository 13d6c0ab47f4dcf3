//! Where one frame ends and the next begins, in bytes that pass by in pieces of any size.

/// Bytes of a frame's head (RFC 9113 4.1).
const HEAD_BYTES: usize = 9;

/// What the head of a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) length: u32,
    pub(super) kind: u8,
    pub(super) flags: u8,
}

/// The walk through one direction of a connection.
#[derive(Debug)]
pub(super) struct Walk {
    /// Bytes to pass over before the next head.
    skip: u64,
    head: [u8; HEAD_BYTES],
    have: usize,
}

impl Walk {
    /// Begins behind so many bytes that are no frame: the client's preface.
    pub(super) fn behind(bytes: usize) -> Walk {
        Walk { skip: bytes as u64, head: [0; HEAD_BYTES], have: 0 }
    }

    /// Whether the next byte begins a frame.
    pub(super) fn is_between_frames(&self) -> bool {
        self.skip == 0 && self.have == 0
    }

    /// Goes on over these bytes and hands each head to `see`, as soon as it is whole.
    pub(super) fn over(&mut self, mut bytes: &[u8], mut see: impl FnMut(Head)) {
        while !bytes.is_empty() {
            if self.skip > 0 {
                let step = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
                self.skip -= step as u64;
                bytes = &bytes[step..];
                continue;
            }
            let step = (HEAD_BYTES - self.have).min(bytes.len());
            self.head[self.have..self.have + step].copy_from_slice(&bytes[..step]);
            self.have += step;
            bytes = &bytes[step..];
            if self.have == HEAD_BYTES {
                let [a, b, c, kind, flags, ..] = self.head;
                let length = u32::from_be_bytes([0, a, b, c]);
                (self.skip, self.have) = (u64::from(length), 0);
                see(Head { length, kind, flags });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop, prop_assert, prop_assert_eq, proptest};
    use testkit::h2::{Frame, PREFACE, kind};

    proptest! {
        #[test]
        fn frames_are_found_however_they_are_cut(
            sizes in prop::collection::vec(0..40_usize, 1..20), cuts in prop::collection::vec(1..30_usize, 1..9)
        ) {
            let frames: Vec<Frame> =
                sizes.iter().zip(1..).map(|(size, stream)| Frame::new(kind::DATA, 1, stream, &vec![7; *size])).collect();
            let mut bytes = PREFACE.to_vec();
            frames.iter().for_each(|frame| bytes.extend(frame.bytes()));
            let (mut walk, mut seen, mut rest) = (Walk::behind(PREFACE.len()), Vec::new(), &bytes[..]);
            for cut in cuts.iter().cycle() {
                let (piece, after) = rest.split_at(rest.len().min(*cut));
                walk.over(piece, |head| seen.push((head.length as usize, head.kind, head.flags)));
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }
            let sent: Vec<_> =
                frames.iter().map(|frame| (frame.payload.len(), frame.kind, frame.flags)).collect();
            prop_assert_eq!(seen, sent);
            prop_assert!(walk.is_between_frames());
        }
    }
}
