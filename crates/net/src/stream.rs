//! A connection as bytes, with or without TLS.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

/// The bytes of a connection.
#[derive(Debug)]
pub enum Stream {
    /// As they come.
    Plain(TcpStream),
    /// The handshake is done, whichever side this is.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// What the kernel says has gone wrong since it was last asked.
    ///
    /// # Errors
    /// When it does not say.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        match self {
            Stream::Plain(stream) => stream.take_error(),
            Stream::Tls(stream) => stream.get_ref().0.take_error(),
        }
    }

    /// Whether HTTP/2 was agreed on (ALPN).
    #[must_use]
    pub fn speaks_http2(&self) -> bool {
        match self {
            Stream::Plain(_) => false,
            Stream::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }

    /// Whether nothing has come since the last read: neither the connection's end nor bytes that nobody asked for. Without
    /// TLS that costs no system call, unless the last read took just as much as it had room for: whether more has come is
    /// not known then.
    pub fn is_quiet(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        match self {
            Stream::Plain(stream) => {
                stream.poll_read_ready(&mut cx).is_pending()
                    || stream.try_read(&mut [0]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
            }
            Stream::Tls(stream) => {
                // What has come may be the session's own: a ticket, a new key.
                Pin::new(stream).poll_read(&mut cx, &mut ReadBuf::new(&mut [0])).is_pending()
            }
        }
    }

    /// Writes what the other side takes at once.
    ///
    /// # Errors
    /// When it takes nothing.
    pub fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.try_write(bytes),
            tls => match Pin::new(tls).poll_write(&mut Context::from_waker(Waker::noop()), bytes) {
                Poll::Ready(written) => written,
                Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
            },
        }
    }

    /// Tells the other side that all was said, where the protocol has words for that: its end could be an attacker's work
    /// otherwise.
    pub fn part(&mut self) {
        if let Stream::Tls(stream) = self
            && let Poll::Ready(Err(error)) = Pin::new(stream).poll_shutdown(&mut Context::from_waker(Waker::noop()))
        {
            tracing::debug!(%error, "the other side had gone before the end was said");
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_stream_is_quiet_when_all_that_came_was_read_to_its_last_byte() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut other = listener.accept().await.unwrap().0;
        let mut stream = Stream::Plain(stream);
        assert!(stream.is_quiet());
        other.write_all(b"12345").await.unwrap();
        // The room is full before the socket is known to be empty.
        stream.read_exact(&mut [0; 5]).await.unwrap();
        assert!(stream.is_quiet() && stream.is_quiet());
        other.write_all(b"6").await.unwrap();
        let Stream::Plain(plain) = &stream else { unreachable!() };
        plain.readable().await.unwrap();
        assert!(!stream.is_quiet());
        drop(other);
        let Stream::Plain(plain) = &stream else { unreachable!() };
        plain.readable().await.unwrap();
        assert!(!stream.is_quiet());
    }
}
