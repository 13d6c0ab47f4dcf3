//! A socket, and what has come over it and is not read yet.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const LINE_BYTES_MAX: usize = 4096;

/// A connection whose input is read by lines and by lengths.
pub(super) struct Wire {
    stream: TcpStream,
    input: Vec<u8>,
    read: usize,
}

impl Wire {
    pub(super) async fn connect(addr: SocketAddr) -> Result<Wire> {
        let stream = TcpStream::connect(addr).await.context("cannot connect")?;
        stream.set_nodelay(true).context("cannot turn Nagle off")?;
        Ok(Wire { stream, input: Vec::with_capacity(16 << 10), read: 0 })
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await.context("cannot send")
    }

    /// A line without its end.
    pub(super) async fn line(&mut self) -> Result<&str> {
        loop {
            let unread = &self.input[self.read..];
            if let Some(end) = unread.windows(2).position(|two| two == b"\r\n") {
                let start = self.read;
                self.read += end + 2;
                return std::str::from_utf8(&self.input[start..start + end]).context("a line that is no text");
            }
            ensure!(unread.len() < LINE_BYTES_MAX, "a reply without an end");
            self.more().await?;
        }
    }

    /// This many bytes.
    pub(super) async fn bytes(&mut self, count: usize) -> Result<&[u8]> {
        while self.input.len() - self.read < count {
            self.more().await?;
        }
        self.read += count;
        Ok(&self.input[self.read - count..self.read])
    }

    /// Waits until there is something to read.
    pub(super) async fn readable(&mut self) -> Result<()> {
        if self.read < self.input.len() { Ok(()) } else { self.more().await }
    }

    async fn more(&mut self) -> Result<()> {
        if self.read == self.input.len() {
            self.input.clear();
            self.read = 0;
        } else if self.read > 8 << 10 {
            self.input.drain(..self.read);
            self.read = 0;
        }
        if self.stream.read_buf(&mut self.input).await.context("cannot read a reply")? == 0 {
            bail!("the server closed the connection");
        }
        Ok(())
    }
}
