//! A second pair of eyes on the bytes of a client connection. Pure.
//!
//! hyper frames requests safely but hides what it repaired: a `Content-Length` beside a `Transfer-Encoding`, a repeated
//! `Content-Length`, a fragment in the target. The witness reads the same bytes as they pass, follows the framing by the
//! strictest reading only, and reports per request head what it saw; the gate refuses by that. The witness never frames
//! anything: where it does not understand a stream it loses track and says so, and the next request on that connection
//! is refused. So no disagreement between the two readings can carry a second request in.

use std::collections::VecDeque;

/// The beginning of a line that is kept when the line comes in pieces; names and lengths that matter are shorter.
const CARRY_MAX: usize = 64;

/// What was seen of one request's head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// `Content-Length` fields.
    pub(crate) content_lengths: u8,
    /// `Transfer-Encoding` fields.
    pub(crate) transfer_encodings: u8,
    /// A `#` in the request line; `http::Uri` drops a fragment silently.
    pub(crate) fragment: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// In the request line, or in empty lines before it.
    RequestLine,
    Field,
    Content {
        left: u64,
    },
    ChunkSize,
    ChunkData {
        left: u64,
    },
    /// Behind a chunk's data, where only an end of line may stand.
    ChunkEnd,
    Trailer,
    /// Track is lost, or the connection is a tunnel.
    Lost,
}

/// Follows one client connection.
#[derive(Debug)]
pub(crate) struct Witness {
    at: At,
    /// The beginning of an unfinished line, its whole length so far and its last byte.
    carry: Vec<u8>,
    line_bytes: u64,
    line_last: u8,
    seen: Seen,
    content_length: Option<u64>,
    /// Heads that are complete and that nobody has asked about.
    heads: VecDeque<Seen>,
}

impl Witness {
    pub(crate) fn new() -> Witness {
        Witness {
            at: At::RequestLine,
            carry: Vec::new(),
            line_bytes: 0,
            line_last: 0,
            seen: Seen::default(),
            content_length: None,
            heads: VecDeque::new(),
        }
    }

    /// What was seen of the oldest head not asked about; `None` when track is lost.
    pub(crate) fn next_head(&mut self) -> Option<Seen> {
        self.heads.pop_front()
    }

    /// Whether a request head has begun and not ended.
    pub(crate) fn mid_head(&self) -> bool {
        self.at == At::Field || (self.at == At::RequestLine && self.line_bytes > 0)
    }

    /// Takes the next bytes of the connection.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = match self.at {
                At::Lost => return,
                At::Content { left } => {
                    let (left, rest) = skip(left, bytes);
                    self.at = if left == 0 { At::RequestLine } else { At::Content { left } };
                    rest
                }
                At::ChunkData { left } => {
                    let (left, rest) = skip(left, bytes);
                    self.at = if left == 0 { At::ChunkEnd } else { At::ChunkData { left } };
                    rest
                }
                _ => self.lines(bytes),
            };
        }
    }

    /// Takes bytes up to the end of the present line.
    fn lines<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let piece = &bytes[..end.unwrap_or(bytes.len())];
        if self.at == At::RequestLine {
            self.seen.fragment |= piece.contains(&b'#');
        }
        if end.is_some() && self.line_bytes == 0 {
            let strict = piece.last() == Some(&b'\r');
            self.line(if strict { &piece[..piece.len() - 1] } else { piece }, strict, true);
        } else {
            let room = CARRY_MAX.saturating_sub(self.carry.len()).min(piece.len());
            self.carry.extend_from_slice(&piece[..room]);
            self.line_bytes += piece.len() as u64;
            self.line_last = piece.last().copied().unwrap_or(self.line_last);
            if end.is_some() {
                self.carried_line();
            }
        }
        end.map_or(&[], |end| &bytes[end + 1..])
    }

    /// Takes the line that came in pieces.
    fn carried_line(&mut self) {
        let mut line = std::mem::take(&mut self.carry);
        let (strict, whole) = (self.line_last == b'\r', self.line_bytes <= CARRY_MAX as u64);
        if strict && whole {
            line.pop();
        }
        self.line_bytes = 0;
        self.line_last = 0;
        self.line(&line, strict, whole);
        line.clear();
        self.carry = line;
    }

    /// Takes one line without its end. `strict`: it ended in CRLF, not in a bare LF; `whole`: not only its beginning.
    fn line(&mut self, line: &[u8], strict: bool, whole: bool) {
        self.at = match self.at {
            At::RequestLine if line.is_empty() => At::RequestLine,
            At::RequestLine => At::Field,
            At::Field if line.is_empty() => self.head_ends(),
            At::Field => {
                self.field(line, whole);
                At::Field
            }
            At::ChunkSize if strict => match chunk_size(line) {
                Some(0) => At::Trailer,
                Some(left) => At::ChunkData { left },
                None => At::Lost,
            },
            At::ChunkEnd if strict && line.is_empty() => At::ChunkSize,
            At::Trailer if strict && line.is_empty() => At::RequestLine,
            At::Trailer if strict => At::Trailer,
            _ => At::Lost,
        };
    }

    fn field(&mut self, line: &[u8], whole: bool) {
        if let Some(value) = value_of(line, b"content-length:") {
            self.seen.content_lengths = self.seen.content_lengths.saturating_add(1);
            self.content_length = decimal(value).filter(|_| whole);
        } else if value_of(line, b"transfer-encoding:").is_some() {
            self.seen.transfer_encodings = self.seen.transfer_encodings.saturating_add(1);
        }
    }

    fn head_ends(&mut self) -> At {
        let seen = std::mem::take(&mut self.seen);
        let length = self.content_length.take();
        self.heads.push_back(seen);
        match (seen.content_lengths, seen.transfer_encodings, length) {
            (0, 0, _) | (1, 0, Some(0)) => At::RequestLine,
            (1, 0, Some(left)) => At::Content { left },
            (0, 1, _) => At::ChunkSize,
            // The gate refuses it; what follows is nobody's business.
            _ => At::Lost,
        }
    }
}

fn skip(left: u64, bytes: &[u8]) -> (u64, &[u8]) {
    let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
    (left - taken as u64, &bytes[taken..])
}

fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    (line.len() >= name.len() && line[..name.len()].eq_ignore_ascii_case(name)).then(|| line[name.len()..].trim_ascii())
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The size that a chunk's first line names: hex digits, then nothing, white space, or an extension.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
    let rest = line[digits..].trim_ascii_start();
    if digits == 0 || digits > 16 || !(rest.is_empty() || rest[0] == b';') || line.contains(&b'\r') {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(&line[..digits]).ok()?, 16).ok()
}
