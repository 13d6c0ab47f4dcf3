//! A plain HTTP/1.1 client connection: one request at a time, kept alive. Small enough that what it costs is known, and
//! strict: what is not an answer is an error, and nothing is tried twice.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const HEAD_BYTES_MAX: usize = 64 << 10;
const BODY_BYTES_MAX: usize = 64 << 20;

/// An open connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// The reply that is being read: head, then body.
    buffer: Vec<u8>,
}

/// A reply, read whole.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// The status code.
    pub status: u16,
    /// The status line and the header fields.
    pub head: &'a str,
    /// The content, without chunk framing.
    pub body: &'a [u8],
    /// Whether the server closes the connection after it.
    pub close: bool,
}

/// How the end of the content is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Known(usize),
    Chunked,
    UntilClose,
}

impl Connection {
    /// Connects, without Nagle's delay.
    ///
    /// # Errors
    /// What the system says.
    pub async fn open(addr: SocketAddr) -> io::Result<Connection> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, buffer: Vec::with_capacity(16 << 10) })
    }

    /// Sends a request as it is and reads the reply to it.
    ///
    /// # Errors
    /// What the system says; `UnexpectedEof` when the connection ends early; `InvalidData` when it is not HTTP. The
    /// connection is of no use afterwards.
    pub async fn exchange(&mut self, request: &[u8]) -> io::Result<Reply<'_>> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let head = self.read_head().await?;
        let text = std::str::from_utf8(&self.buffer[..head]).map_err(|_| invalid("a head that is not UTF-8"))?;
        let status: u16 =
            text.get(9..12).and_then(|code| code.parse().ok()).ok_or_else(|| invalid("no status line"))?;
        let close = field(text, "connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let length = length(text, status)?;
        let end = match length {
            Length::Known(bytes) => self.read_to(head + bytes).await?,
            Length::Chunked => self.read_chunks(head).await?,
            Length::UntilClose => self.read_all().await?,
        };
        let head = std::str::from_utf8(&self.buffer[..head]).unwrap_or_default();
        Ok(Reply { status, head, body: &self.buffer[head.len()..end], close: close || length == Length::UntilClose })
    }

    async fn read_head(&mut self) -> io::Result<usize> {
        let mut seen = 0usize;
        loop {
            let from = seen.saturating_sub(3);
            if let Some(at) = self.buffer[from..].windows(4).position(|window| window == b"\r\n\r\n") {
                return Ok(from + at + 4);
            }
            seen = self.buffer.len();
            if seen > HEAD_BYTES_MAX {
                return Err(invalid("a head without an end"));
            }
            self.more().await?;
        }
    }

    async fn read_to(&mut self, end: usize) -> io::Result<usize> {
        while self.buffer.len() < end {
            self.more().await?;
        }
        Ok(end)
    }

    /// Takes the chunk framing out as it reads: the content ends up right behind the head.
    async fn read_chunks(&mut self, head: usize) -> io::Result<usize> {
        let (mut content_end, mut at) = (head, head);
        loop {
            let line_end = self.read_line(at).await?;
            let line = std::str::from_utf8(&self.buffer[at..line_end - 2]).unwrap_or_default();
            let digits = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(digits, 16).map_err(|_| invalid("a chunk without a size"))?;
            if content_end + size > BODY_BYTES_MAX {
                return Err(invalid("a body too large"));
            }
            at = line_end;
            if size == 0 {
                break;
            }
            self.read_to(at + size + 2).await?;
            self.buffer.copy_within(at..at + size, content_end);
            content_end += size;
            at += size + 2;
        }
        // Trailers, up to an empty line.
        loop {
            let line_end = self.read_line(at).await?;
            if line_end - at == 2 {
                return Ok(content_end);
            }
            at = line_end;
        }
    }

    async fn read_line(&mut self, from: usize) -> io::Result<usize> {
        loop {
            if let Some(at) = self.buffer[from..].windows(2).position(|window| window == b"\r\n") {
                return Ok(from + at + 2);
            }
            self.more().await?;
        }
    }

    async fn read_all(&mut self) -> io::Result<usize> {
        loop {
            match self.more().await {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(self.buffer.len()),
                Err(error) => return Err(error),
            }
        }
    }

    async fn more(&mut self) -> io::Result<()> {
        if self.buffer.len() > HEAD_BYTES_MAX + BODY_BYTES_MAX {
            return Err(invalid("a body too large"));
        }
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

impl Reply<'_> {
    /// The value of a header field, by its name in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        field(self.head, name)
    }
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let fields = head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
    fields.into_iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

fn length(head: &str, status: u16) -> io::Result<Length> {
    if matches!(status, 100..=199 | 204 | 304) {
        return Ok(Length::Known(0));
    }
    if field(head, "transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        return Ok(Length::Chunked);
    }
    match field(head, "content-length") {
        None => Ok(Length::UntilClose),
        Some(text) => match text.parse() {
            Ok(bytes) if bytes <= BODY_BYTES_MAX => Ok(Length::Known(bytes)),
            _ => Err(invalid("a content-length that is none")),
        },
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// Serves `replies`, one per request, each in two pieces, on one connection, and closes it.
    async fn server(replies: &'static [&'static str]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            for reply in replies {
                assert_ne!(stream.read(&mut [0; 1024]).await.unwrap(), 0);
                let (one, two) = reply.split_at(reply.len() / 2);
                stream.write_all(one.as_bytes()).await.unwrap();
                stream.flush().await.unwrap();
                tokio::task::yield_now().await;
                stream.write_all(two.as_bytes()).await.unwrap();
            }
        });
        addr
    }

    #[tokio::test]
    async fn replies_are_read_to_their_end() {
        let addr = server(&[
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
            "HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nA: b\r\n\r\n",
            "HTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 503 Busy\r\nRetry-After: 5\r\n\r\nuntil the end",
        ])
        .await;
        let mut connection = Connection::open(addr).await.unwrap();
        let mut seen = Vec::new();
        for _ in 0..4 {
            let reply = connection.exchange(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
            seen.push((reply.status, String::from_utf8_lossy(reply.body).into_owned(), reply.close));
        }
        let text = |status: u16, body: &str, close: bool| (status, body.to_string(), close);
        assert_eq!(
            seen,
            [
                text(200, "abc", false),
                text(202, "abcde", false),
                text(204, "", false),
                text(503, "until the end", true)
            ]
        );
    }

    #[tokio::test]
    async fn a_reply_cut_short_is_an_error() {
        let addr = server(&["HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\nabc"]).await;
        let mut connection = Connection::open(addr).await.unwrap();
        let error = connection.exchange(b"GET / HTTP/1.1\r\n\r\n").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn garbage_is_an_error() {
        let addr = server(&["what do you want from me\r\n\r\n"]).await;
        let mut connection = Connection::open(addr).await.unwrap();
        let error = connection.exchange(b"GET / HTTP/1.1\r\n\r\n").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
