//! A client's socket that tells its [`Conn`] what moves, and shows the [`crate::witness`] every byte that comes in.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::conn::Conn;

/// So much is copied together and sent as one piece, which costs the kernel less than a list of pieces.
const GATHER_BYTES: usize = 1 << 10;

#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    conn: Rc<Conn>,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream, conn: Rc<Conn>) -> Wire {
        Wire { stream, conn }
    }

    fn moved(&self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Pending => self.conn.write_is_blocked(),
            Poll::Ready(_) => self.conn.wrote(),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        let read = &buf.filled()[before..];
        if !read.is_empty() {
            self.conn.read(read);
        }
        polled
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.moved(&polled);
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let total: usize = bufs.iter().map(|part| part.len()).sum();
        let polled = if total <= GATHER_BYTES {
            let mut gathered = [0; GATHER_BYTES];
            let mut at = 0;
            for part in bufs {
                gathered[at..at + part.len()].copy_from_slice(part);
                at += part.len();
            }
            Pin::new(&mut self.stream).poll_write(cx, &gathered[..total])
        } else {
            Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
        };
        self.moved(&polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
