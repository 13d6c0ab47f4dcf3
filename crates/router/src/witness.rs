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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{Just, Strategy, any, prop, prop_assert_eq, prop_oneof, proptest};

    const ONE: Seen = Seen { content_lengths: 1, transfer_encodings: 0, fragment: false };
    const CHUNKED: Seen = Seen { content_lengths: 0, transfer_encodings: 1, fragment: false };

    fn heads(bytes: &[u8]) -> Vec<Seen> {
        let mut witness = Witness::new();
        witness.feed(bytes);
        std::iter::from_fn(|| witness.next_head()).collect()
    }

    #[test]
    fn requests_are_told_apart_by_their_framing() {
        let three = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n\
            POST / HTTP/1.1\r\nContent-Length: 30\r\n\r\nGET /inside HTTP/1.1\r\n\r\n      \
            POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3;ext=1\r\ntea\r\n0\r\nx-sum: 1\r\n\r\n\
            GET / HTTP/1.1\r\n\r\n";
        assert_eq!(heads(three), [Seen::default(), ONE, CHUNKED, Seen::default()]);
    }

    #[test]
    fn contradictions_are_seen_and_end_the_watch() {
        let both = "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nGET / HTTP/1.1\r\n\r\n";
        assert_eq!(heads(both.as_bytes()), [Seen { content_lengths: 1, transfer_encodings: 1, fragment: false }]);
        let twice = "POST / HTTP/1.1\r\nContent-Length: 0\r\ncontent-length: 0\r\n\r\nGET / HTTP/1.1\r\n\r\n";
        assert_eq!(heads(twice.as_bytes()), [Seen { content_lengths: 2, ..Seen::default() }]);
    }

    #[test]
    fn chunks_that_two_readers_could_read_differently_end_the_watch() {
        for content in
            ["3\ntea\r\n0\r\n\r\n", "3\r\ntea\n0\r\n\r\n", "0x3\r\ntea\r\n0\r\n\r\n", "3;a\rb\r\ntea\r\n0\r\n\r\n"]
        {
            let all = format!("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n{content}GET / HTTP/1.1\r\n\r\n");
            assert_eq!(heads(all.as_bytes()), [CHUNKED], "{content:?}");
        }
    }

    #[test]
    fn a_length_hidden_behind_zeros_in_pieces_ends_the_watch() {
        let zeros = "0".repeat(80);
        let all = format!("POST / HTTP/1.1\r\ncontent-length: {zeros}5\r\n\r\nthreeGET / HTTP/1.1\r\n\r\n");
        let mut witness = Witness::new();
        for byte in all.bytes() {
            witness.feed(&[byte]);
        }
        assert_eq!(witness.next_head(), Some(ONE));
        assert_eq!(witness.next_head(), None);
        assert_eq!(heads(all.as_bytes()), [ONE, Seen::default()]);
    }

    #[test]
    fn a_fragment_is_seen_only_in_the_request_line() {
        assert!(heads(b"GET /a#b HTTP/1.1\r\n\r\n")[0].fragment);
        assert!(!heads(b"GET /a HTTP/1.1\r\nx: #\r\n\r\n")[0].fragment);
    }

    #[test]
    fn a_head_that_began_is_known() {
        let mut witness = Witness::new();
        witness.feed(b"\r\n");
        assert!(!witness.mid_head());
        witness.feed(b"G");
        assert!(witness.mid_head());
        witness.feed(b"ET / HTTP/1.1\r\nhost: a\r\n\r\n");
        assert!(!witness.mid_head());
    }

    fn piece() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            Just(b"POST / HTTP/1.1\r\n".to_vec()),
            Just(b"content-length: 5\r\n".to_vec()),
            Just(b"Transfer-Encoding: chunked\r\n".to_vec()),
            Just(b"\r\n".to_vec()),
            Just(b"\n".to_vec()),
            Just(b"5\r\nhello\r\n".to_vec()),
            Just(b"0\r\n\r\n".to_vec()),
            prop::collection::vec(any::<u8>(), 0..20),
        ]
    }

    proptest! {
        #[test]
        fn how_bytes_are_cut_into_reads_changes_nothing(
            pieces in prop::collection::vec(piece(), 0..12),
            cuts in prop::collection::vec(1usize..40, 1..20),
        ) {
            let bytes = pieces.concat();
            let mut witness = Witness::new();
            let mut rest = &bytes[..];
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                witness.feed(now);
                rest = later;
            }
            let cut_up: Vec<Seen> = std::iter::from_fn(|| witness.next_head()).collect();
            prop_assert_eq!(cut_up, heads(&bytes));
        }
    }
}
