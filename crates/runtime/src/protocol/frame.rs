//! Frames: a length, a kind, a body.

use super::LinkError;

/// Bytes before a frame's body: the length (of kind and body, little endian) and the kind.
pub(crate) const FRAME_HEAD: usize = 5;

/// Appends one frame to `out`.
pub(crate) fn write_frame(out: &mut Vec<u8>, kind: u8, body: &[u8]) {
    let length = u32::try_from(body.len() + 1).expect("bodies are bounded by their writers");
    out.extend_from_slice(&length.to_le_bytes());
    out.push(kind);
    out.extend_from_slice(body);
}

/// The whole length of the frame that begins with these four bytes.
pub(crate) fn frame_len(head: [u8; 4]) -> usize {
    u32::from_le_bytes(head) as usize + 4
}

/// Cuts a stream of bytes into frames, holding no more than one frame and one read of it.
pub(crate) struct Decoder {
    held: Vec<u8>,
    used: usize,
    frame_bytes_max: usize,
}

impl Decoder {
    pub(crate) fn new(frame_bytes_max: usize) -> Decoder {
        Decoder { held: vec![], used: 0, frame_bytes_max }
    }

    /// Takes what was read from the peer.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.held.drain(..self.used);
        self.used = 0;
        self.held.extend_from_slice(bytes);
    }

    /// The next whole frame, its kind and its body; `None` when more must be read first.
    ///
    /// # Errors
    /// When the peer announces an empty frame or one above the limit: what follows cannot be trusted.
    pub(crate) fn next(&mut self) -> Result<Option<(u8, &[u8])>, LinkError> {
        let waiting = &self.held[self.used..];
        let Some(head) = waiting.first_chunk::<4>() else { return Ok(None) };
        let length = frame_len(*head);
        if length < FRAME_HEAD || length > self.frame_bytes_max {
            return Err(LinkError::Garbage { what: format!("a frame of {length} bytes") });
        }
        if waiting.len() < length {
            return Ok(None);
        }
        let start = self.used;
        self.used += length;
        Ok(Some((self.held[start + 4], &self.held[start + FRAME_HEAD..start + length])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_whole_however_they_arrive() {
        let mut wire = vec![];
        write_frame(&mut wire, 7, b"hello");
        write_frame(&mut wire, 8, b"");
        for chunk in 1..=wire.len() {
            let mut decoder = Decoder::new(64);
            let mut seen = vec![];
            for bytes in wire.chunks(chunk) {
                decoder.push(bytes);
                while let Some((kind, body)) = decoder.next().unwrap() {
                    seen.push((kind, body.to_vec()));
                }
            }
            assert_eq!(seen, [(7, b"hello".to_vec()), (8, vec![])]);
        }
    }

    #[test]
    fn a_frame_that_announces_too_much_is_refused_before_it_is_held() {
        let mut decoder = Decoder::new(64);
        decoder.push(b"GET / HTTP/1.1\r\n");
        assert!(decoder.next().is_err());
        let mut decoder = Decoder::new(64);
        decoder.push(&[0, 0, 0, 0, 9]);
        assert!(decoder.next().is_err(), "an empty frame has no kind");
    }
}
