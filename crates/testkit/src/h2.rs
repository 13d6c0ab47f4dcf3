//! HTTP/2 frames (RFC 9113) written and read by hand, so that a test can send what no library would.

/// What a client sends first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types of frames.
pub mod kind {
    /// RFC 9113 6.1.
    pub const DATA: u8 = 0;
    /// RFC 9113 6.2.
    pub const HEADERS: u8 = 1;
    /// RFC 9113 6.3.
    pub const PRIORITY: u8 = 2;
    /// RFC 9113 6.4.
    pub const RST_STREAM: u8 = 3;
    /// RFC 9113 6.5.
    pub const SETTINGS: u8 = 4;
    /// RFC 9113 6.6.
    pub const PUSH_PROMISE: u8 = 5;
    /// RFC 9113 6.7.
    pub const PING: u8 = 6;
    /// RFC 9113 6.8.
    pub const GOAWAY: u8 = 7;
    /// RFC 9113 6.9.
    pub const WINDOW_UPDATE: u8 = 8;
    /// RFC 9113 6.10.
    pub const CONTINUATION: u8 = 9;
}

/// `END_STREAM` of DATA and HEADERS, `ACK` of SETTINGS and PING.
pub const END_STREAM: u8 = 1;
/// `END_HEADERS` of HEADERS and CONTINUATION.
pub const END_HEADERS: u8 = 4;
/// `PADDED` of DATA and HEADERS.
pub const PADDED: u8 = 8;

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// One of [`kind`], or any other.
    pub kind: u8,
    /// The flags.
    pub flags: u8,
    /// The stream; 0 is the connection.
    pub stream: u32,
    /// What follows the frame's head.
    pub payload: Vec<u8>,
}

impl Frame {
    /// A frame of any kind.
    #[must_use]
    pub fn new(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Frame {
        Frame { kind, flags, stream, payload: payload.to_vec() }
    }

    /// The frame as bytes, however wrong it is.
    ///
    /// # Panics
    /// When the payload is longer than a frame can be.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len()).ok().filter(|length| *length < 1 << 24);
        let length = length.expect("a frame has at most 2^24 - 1 bytes").to_be_bytes();
        let head = [&length[1..], &[self.kind, self.flags], &self.stream.to_be_bytes()].concat();
        [head, self.payload.clone()].concat()
    }

    /// The error code of a RST_STREAM or GOAWAY.
    #[must_use]
    pub fn error(&self) -> Option<u32> {
        let at = match self.kind {
            kind::RST_STREAM => 0,
            kind::GOAWAY => 4,
            _ => return None,
        };
        self.payload.get(at..at + 4).and_then(|code| code.try_into().ok()).map(u32::from_be_bytes)
    }
}

/// Takes whole frames from the front of `bytes`; what is left is the beginning of another.
pub fn take(bytes: &mut Vec<u8>) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let [a, b, c, kind, flags, s0, s1, s2, s3, ..] = bytes[..] {
        let end = 9 + u32::from_be_bytes([0, a, b, c]) as usize;
        if bytes.len() < end {
            break;
        }
        let stream = u32::from_be_bytes([s0, s1, s2, s3]) & 0x7fff_ffff;
        frames.push(Frame::new(kind, flags, stream, &bytes[9..end]));
        bytes.drain(..end);
    }
    frames
}

/// A header block (RFC 7541): each field as a literal that is not indexed, without Huffman coding, so that names and values
/// may hold any bytes.
///
/// # Panics
/// When a name or value has more than 16,000 bytes.
#[must_use]
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        string(&mut block, name);
        string(&mut block, value);
    }
    block
}

/// A length with a prefix of seven bits (RFC 7541 5.1), then the bytes.
fn string(block: &mut Vec<u8>, text: &str) {
    let length = text.len();
    assert!(length < 16_000, "a field of a test has less than 16,000 bytes");
    if length < 127 {
        block.push(length as u8);
    } else if length < 127 + 128 {
        block.extend([127, (length - 127) as u8]);
    } else {
        let rest = length - 127;
        block.extend([127, (rest & 127) as u8 | 128, (rest >> 7) as u8]);
    }
    block.extend(text.as_bytes());
}
