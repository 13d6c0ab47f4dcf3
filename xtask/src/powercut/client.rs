//! A client of the queue, as small as it can be.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long an answer may take: the machine is emulated, and others share this one.
const PATIENCE: Duration = Duration::from_secs(60);

/// One connection.
pub(super) struct Client(BufReader<TcpStream>);

/// What `peek` says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Peeked {
    /// It is there, with this body.
    Found(Vec<u8>),
    /// There is none.
    NotFound,
}

impl Client {
    pub(super) fn connect(addr: SocketAddr) -> io::Result<Client> {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        let mut client = Client(BufReader::new(stream));
        client.set_patience(PATIENCE)?;
        Ok(client)
    }

    /// How long an answer may take from now on.
    pub(super) fn set_patience(&mut self, patience: Duration) -> io::Result<()> {
        self.0.get_ref().set_read_timeout(Some(patience))
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    /// A line without its end.
    pub(super) fn hear(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 || !line.ends_with("\r\n") {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.truncate(line.len() - 2);
        Ok(line)
    }

    pub(super) fn ask(&mut self, line: &str) -> io::Result<String> {
        self.send(format!("{line}\r\n").as_bytes())?;
        self.hear()
    }

    /// Puts a job; its id.
    pub(super) fn put(&mut self, delay_s: u32, body: &[u8]) -> io::Result<u64> {
        let head = format!("put 5 {delay_s} 600 {}\r\n", body.len());
        self.send(&[head.as_bytes(), body, b"\r\n"].concat())?;
        let said = self.hear()?;
        said.strip_prefix("INSERTED ").and_then(|id| id.parse().ok()).ok_or_else(|| unexpected(&said))
    }

    /// Takes a job that is ready within a second.
    pub(super) fn reserve(&mut self) -> io::Result<Option<(u64, Vec<u8>)>> {
        let said = self.ask("reserve-with-timeout 1")?;
        let words: Vec<&str> = said.split(' ').collect();
        match words[..] {
            ["RESERVED", id, bytes] => {
                let id = id.parse().map_err(|_| unexpected(&said))?;
                Ok(Some((id, self.body(bytes, &said)?)))
            }
            ["TIMED_OUT"] => Ok(None),
            _ => Err(unexpected(&said)),
        }
    }

    /// The next answer to a `peek`.
    pub(super) fn hear_peeked(&mut self) -> io::Result<Peeked> {
        let said = self.hear()?;
        let words: Vec<&str> = said.split(' ').collect();
        match words[..] {
            ["FOUND", _, bytes] => Ok(Peeked::Found(self.body(bytes, &said)?)),
            ["NOT_FOUND"] => Ok(Peeked::NotFound),
            _ => Err(unexpected(&said)),
        }
    }

    fn body(&mut self, bytes: &str, said: &str) -> io::Result<Vec<u8>> {
        let bytes: usize = bytes.parse().map_err(|_| unexpected(said))?;
        let mut body = vec![0; bytes + 2];
        self.0.read_exact(&mut body)?;
        body.truncate(bytes);
        Ok(body)
    }
}

pub(super) fn unexpected(said: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the queue said {said:?}"))
}
