//! One connection, as init sees it.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use stdx::clock::Mono;

use crate::protocol::{
    Decoder, FRAME_BYTES_MAX_FROM_NODE, FromNode, InitHello, LinkError, Refusal, RefusalCode, Welcome,
};
use crate::spool::Spool;

/// Bytes that wait for the socket before more are taken from the spool.
const OUT_BYTES: usize = 64 << 10;

pub(super) struct Conn {
    stream: UnixStream,
    decoder: Decoder,
    out: Vec<u8>,
    written: usize,
    /// When it must have greeted.
    pub(super) deadline: Mono,
}

impl Conn {
    /// Takes a new connection and greets it.
    pub(super) fn new(stream: UnixStream, hello: &InitHello, deadline: Mono) -> Conn {
        let mut out = vec![];
        hello.write(&mut out);
        Conn { stream, decoder: Decoder::new(FRAME_BYTES_MAX_FROM_NODE), out, written: 0, deadline }
    }

    /// Reads once and returns what was said.
    ///
    /// # Errors
    /// When the peer has hung up, or says what cannot be understood.
    pub(super) fn receive(&mut self) -> Result<Vec<FromNode>, LinkError> {
        let mut chunk = [0; 4096];
        match self.stream.read(&mut chunk) {
            Ok(0) => return Err(LinkError::Closed { text: String::new() }),
            Ok(n) => self.decoder.push(&chunk[..n]),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => return Ok(vec![]),
            Err(e) => return Err(e.into()),
        }
        let mut said = vec![];
        while let Some((kind, body)) = self.decoder.next()? {
            said.push(FromNode::decode(kind, body)?);
        }
        Ok(said)
    }

    /// Writes what waits, and more from the spool, as far as the socket takes it.
    pub(super) fn send_from(&mut self, spool: &mut Spool) -> io::Result<()> {
        loop {
            self.flush()?;
            if !self.out.is_empty() || !spool.has_unsent() {
                return Ok(());
            }
            spool.send(&mut self.out, OUT_BYTES);
        }
    }

    /// Writes what waits, as far as the socket takes it.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while self.written < self.out.len() {
            match self.stream.write(&self.out[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => self.written += n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        self.written = 0;
        self.out.clear();
        self.out.shrink_to(OUT_BYTES);
        Ok(())
    }

    /// From here on it is the node.
    pub(super) fn welcome(&mut self, version: u16) {
        Welcome { version }.write(&mut self.out);
    }

    /// Says why and hangs up. Whoever does not read it has not greeted properly either.
    pub(super) fn refuse(mut self, code: RefusalCode, text: &str) {
        Refusal { code, text: text.into() }.write(&mut self.out);
        if let Err(error) = self.flush() {
            tracing::debug!(%error, "a refused connection was gone already");
        }
    }

    /// Whether bytes wait for the socket.
    pub(super) fn wants_write(&self) -> bool {
        !self.out.is_empty()
    }
}

impl AsFd for Conn {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
