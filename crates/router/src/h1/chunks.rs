//! The chunked coding, read strictly, from whichever side it comes (RFC 9112, 7.1). Pure.

use bytes::{Buf, Bytes, BytesMut};
use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::head::FIELDS_MAX;

/// Bytes of a size line, extensions included, and of all trailers.
const LINE_BYTES_MAX: usize = 4 << 10;
const TRAILER_BYTES_MAX: usize = 16 << 10;
/// Bytes of all extensions of one content: they carry nothing, and reading them costs.
const EXTENSION_BYTES_MAX: u32 = 16 << 10;

/// The coding is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// Reads the coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunks {
    at: At,
    extension_bytes: u32,
}

/// Where the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Size,
    Data(u64),
    /// Behind a chunk's data.
    DataEnd,
    Trailers,
    Ended,
}

/// What could be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
    /// The content is at its end.
    End,
    /// More bytes are needed first.
    More,
}

impl Chunks {
    /// Before the first byte.
    pub(super) fn new() -> Chunks {
        Chunks { at: At::Size, extension_bytes: 0 }
    }

    /// Takes the next piece from the front of `buffer`.
    ///
    /// # Errors
    /// When the bytes are not this coding.
    pub(super) fn next(&mut self, buffer: &mut BytesMut) -> Result<Piece, Broken> {
        loop {
            match &mut self.at {
                At::Size => match take_line(buffer, LINE_BYTES_MAX)? {
                    None => return Ok(Piece::More),
                    Some(line) => {
                        let (size, extension_bytes) = size_of(&line)?;
                        self.extension_bytes += extension_bytes;
                        if self.extension_bytes > EXTENSION_BYTES_MAX {
                            return Err(Broken);
                        }
                        self.at = if size == 0 { At::Trailers } else { At::Data(size) };
                    }
                },
                At::Data(left) => {
                    let now = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
                    if now == 0 {
                        return Ok(Piece::More);
                    }
                    *left -= now as u64;
                    if *left == 0 {
                        self.at = At::DataEnd;
                    }
                    return Ok(Piece::Data(buffer.split_to(now).freeze()));
                }
                At::DataEnd => {
                    if !b"\r\n".starts_with(&buffer[..buffer.len().min(2)]) {
                        return Err(Broken);
                    }
                    if buffer.len() < 2 {
                        return Ok(Piece::More);
                    }
                    buffer.advance(2);
                    self.at = At::Size;
                }
                At::Trailers => return self.trailers(buffer),
                At::Ended => return Ok(Piece::End),
            }
        }
    }

    /// Takes the coding's plain end, if a piece of data was just taken and the end has come along with it. Mostly it has;
    /// then the last piece can be told from the others.
    pub(super) fn take_end(&mut self, buffer: &mut BytesMut) -> bool {
        const END: &[u8] = b"\r\n0\r\n\r\n";
        let ends = self.at == At::DataEnd && buffer.starts_with(END);
        if ends {
            buffer.advance(END.len());
            self.at = At::Ended;
        }
        ends
    }

    fn trailers(&mut self, buffer: &mut BytesMut) -> Result<Piece, Broken> {
        if buffer.starts_with(b"\r\n") {
            buffer.advance(2);
            self.at = At::Ended;
            return Ok(Piece::End);
        }
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let (bytes, trailers) = match httparse::parse_headers(buffer, &mut fields) {
            Ok(httparse::Status::Complete((bytes, fields))) => {
                let mut trailers = HeaderMap::with_capacity(fields.len());
                for field in fields {
                    let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| Broken)?;
                    trailers.append(name, HeaderValue::from_bytes(field.value).map_err(|_| Broken)?);
                }
                (bytes, trailers)
            }
            Ok(httparse::Status::Partial) if buffer.len() < TRAILER_BYTES_MAX => return Ok(Piece::More),
            _ => return Err(Broken),
        };
        buffer.advance(bytes);
        self.at = At::Ended;
        Ok(Piece::Trailers(trailers))
    }
}

/// Takes a line without its end; a bare CR or LF in it breaks it, because readers differ in what they take it for.
fn take_line(buffer: &mut BytesMut, bytes_max: usize) -> Result<Option<BytesMut>, Broken> {
    let within = &buffer[..buffer.len().min(bytes_max)];
    let Some(at) = within.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
        return if within.len() == bytes_max { Err(Broken) } else { Ok(None) };
    };
    match buffer.get(at..at + 2) {
        Some(b"\r\n") => {
            let line = buffer.split_to(at);
            buffer.advance(2);
            Ok(Some(line))
        }
        None if buffer[at] == b'\r' => Ok(None),
        _ => Err(Broken),
    }
}

/// The size that a line begins with, and how long the extension is that follows `;` and ends here.
fn size_of(line: &[u8]) -> Result<(u64, u32), Broken> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    if digits == 0 || digits > 15 {
        return Err(Broken);
    }
    let rest = line[digits..].trim_ascii_start();
    if !(rest.is_empty() || rest[0] == b';') {
        return Err(Broken);
    }
    let text = std::str::from_utf8(&line[..digits]).map_err(|_| Broken)?;
    let size = u64::from_str_radix(text, 16).map_err(|_| Broken)?;
    Ok((size, u32::try_from(rest.len()).unwrap_or(u32::MAX)))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::{any, prop, prop_assert_eq, proptest};

    /// What a coding says, read in pieces of `step` bytes: content, trailers, and what is left behind it.
    fn read(text: &[u8], step: usize) -> Result<(Vec<u8>, HeaderMap, Vec<u8>), Broken> {
        let (mut chunks, mut buffer) = (Chunks::new(), BytesMut::new());
        let (mut content, mut trailers) = (Vec::new(), HeaderMap::new());
        let mut rest = text;
        loop {
            match chunks.next(&mut buffer)? {
                Piece::Data(data) => content.extend_from_slice(&data),
                Piece::Trailers(found) => trailers = found,
                Piece::End => return Ok((content, trailers, [&buffer[..], rest].concat())),
                Piece::More if rest.is_empty() => return Err(Broken),
                Piece::More => {
                    let (now, later) = rest.split_at(step.min(rest.len()));
                    buffer.extend_from_slice(now);
                    rest = later;
                }
            }
        }
    }

    /// The content that a whole coding carries.
    pub(in super::super) fn whole(text: &[u8]) -> Result<Vec<u8>, Broken> {
        match read(text, text.len().max(1))? {
            (content, _, left) if left.is_empty() => Ok(content),
            _ => Err(Broken),
        }
    }

    #[test]
    fn extensions_may_not_be_the_most_of_it() {
        let chunk = format!("1;{}\r\na\r\n", "x".repeat(1_000));
        let text = |chunks: usize| format!("{}0\r\n\r\n", chunk.repeat(chunks));
        assert_eq!(whole(text(16).as_bytes()), Ok(vec![b'a'; 16]));
        assert_eq!(whole(text(17).as_bytes()), Err(Broken));
    }

    #[test]
    fn chunks_are_joined_and_extensions_dropped() {
        let text = b"3\r\ntea\r\n1;a=\"b\"\r\n!\r\n0A ;c\r\n0123456789\r\n0\r\n\r\nmore";
        for step in 1..text.len() {
            let (content, trailers, left) = read(text, step).unwrap();
            assert_eq!(content, b"tea!0123456789");
            assert!(trailers.is_empty());
            assert_eq!(left, b"more");
        }
    }

    #[test]
    fn trailers_come_last() {
        let (content, trailers, _) = read(b"1\r\na\r\n0\r\nx-sum: 7\r\n\r\n", 3).unwrap();
        assert_eq!(content, b"a");
        assert_eq!(trailers["x-sum"], "7");
    }

    #[test]
    fn what_two_readers_could_read_differently_is_broken() {
        for text in [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "0x3\r\ntea\r\n",
            "3\ntea\r\n0\r\n\r\n",
            "3\r\ntea\n0\r\n\r\n",
            "3;a\nb\r\ntea\r\n0\r\n\r\n",
            "3;a\rb\r\ntea\r\n0\r\n\r\n",
            "3 4\r\ntea\r\n",
            "3\r\nteas\r\n0\r\n\r\n",
            "1000000000000000\r\n",
            "0\r\nbad trailer\r\n\r\n",
        ] {
            assert_eq!(read(text.as_bytes(), 2), Err(Broken), "{text:?}");
        }
        assert_eq!(read(format!("3;{}", "a".repeat(LINE_BYTES_MAX)).as_bytes(), 100), Err(Broken));
        assert_eq!(read(format!("0\r\na: {}", "b".repeat(TRAILER_BYTES_MAX)).as_bytes(), 100), Err(Broken));
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..8),
            step in 1_usize..64,
        ) {
            let mut text = Vec::new();
            for piece in &pieces {
                super::super::request::write_chunk_size(&mut text, piece.len());
                text.extend_from_slice(piece);
                text.extend_from_slice(b"\r\n");
            }
            text.extend_from_slice(b"0\r\n\r\n");
            prop_assert_eq!(read(&text, step).unwrap().0, pieces.concat());
        }

        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..100), step in 1_usize..20) {
            prop_assert_eq!(read(&bytes, step).is_ok(), read(&bytes, 100).is_ok());
        }
    }
}
