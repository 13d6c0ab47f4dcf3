//! A listening socket and a connection, whichever family they are of.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use net::tls::TlsSocket;
use tokio::io::{Interest, Ready};
use tokio::net::{TcpStream, UnixStream};

/// What addresses are listened on for.
pub(crate) const PLAIN: &str = "queue";
pub(crate) const TLS: &str = "queue-tls";

/// A listening, non-blocking socket before an event loop has it.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
    Tls(TlsListener),
}

/// One whose clients speak TLS.
#[derive(Debug)]
pub(crate) struct TlsListener {
    pub(crate) socket: std::net::TcpListener,
    /// Clients must begin with `auth`.
    pub(crate) wants_auth: bool,
}

/// The same, watched by the event loop.
pub(crate) enum Accepting {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener),
    Tls(tokio::net::TcpListener, bool),
}

/// A client that has come.
pub(crate) enum Accepted {
    Ready(Stream),
    /// Its handshake is to come; whether `auth` is, too.
    Tls(TcpStream, bool),
}

/// A connection.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsSocket>),
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Listener::Tcp(listener) => listener.as_fd(),
            Listener::Unix(listener) => listener.as_fd(),
            Listener::Tls(TlsListener { socket, .. }) => socket.as_fd(),
        }
    }
}

impl Listener {
    /// Listens on a unix socket. One that nobody answers on is left over and replaced; any other file is not touched.
    pub(crate) fn bind_unix(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
        match std::fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, "a file that is no socket lies there"));
            }
            Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            Ok(_) => std::fs::remove_file(path)?,
            Err(_) => {}
        }
        let listener = std::os::unix::net::UnixListener::bind(path)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    }

    /// What it is for, as the next process knows it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Listener::Tcp(_) => PLAIN,
            Listener::Unix(_) => "queue-unix",
            Listener::Tls(_) => TLS,
        }
    }

    /// A second handle of the same socket.
    pub(crate) fn try_clone(&self) -> io::Result<Listener> {
        Ok(match self {
            Listener::Tcp(listener) => Listener::Tcp(listener.try_clone()?),
            Listener::Unix(listener) => Listener::Unix(listener.try_clone()?),
            Listener::Tls(TlsListener { socket, wants_auth }) => {
                Listener::Tls(TlsListener { socket: socket.try_clone()?, wants_auth: *wants_auth })
            }
        })
    }

    /// Gives it to the event loop.
    pub(crate) fn watch(self) -> io::Result<Accepting> {
        Ok(match self {
            Listener::Tcp(listener) => Accepting::Tcp(tokio::net::TcpListener::from_std(listener)?),
            Listener::Unix(listener) => Accepting::Unix(tokio::net::UnixListener::from_std(listener)?),
            Listener::Tls(TlsListener { socket, wants_auth }) => {
                Accepting::Tls(tokio::net::TcpListener::from_std(socket)?, wants_auth)
            }
        })
    }
}

impl Accepting {
    /// The next connection.
    pub(crate) async fn accept(&self) -> io::Result<Accepted> {
        Ok(match self {
            Accepting::Tcp(listener) => Accepted::Ready(Stream::Tcp(listener.accept().await?.0)),
            Accepting::Unix(listener) => Accepted::Ready(Stream::Unix(listener.accept().await?.0)),
            Accepting::Tls(listener, wants_auth) => Accepted::Tls(listener.accept().await?.0, *wants_auth),
        })
    }
}

impl Stream {
    /// Answers are small and leave at once.
    pub(crate) fn set_nodelay(&self) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.set_nodelay(true),
            Stream::Unix(_) | Stream::Tls(_) => Ok(()),
        }
    }

    /// Who is at its other end.
    pub(crate) fn peer(&self) -> String {
        match self {
            Stream::Tcp(stream) => stream.peer_addr().map_or_else(|_| "gone".into(), |addr| addr.to_string()),
            Stream::Unix(_) => "unix".into(),
            Stream::Tls(stream) => stream.peer_addr().map_or_else(|_| "gone".into(), |addr| addr.to_string()),
        }
    }

    pub(crate) async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        match self {
            Stream::Tcp(stream) => stream.ready(interest).await,
            Stream::Unix(stream) => stream.ready(interest).await,
            Stream::Tls(stream) => stream.ready(interest).await,
        }
    }

    /// Reads what has come. Where that was less than there was room for, the socket is empty, and need not be asked again to
    /// say so: what comes next is told by the event loop.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match self {
            Stream::Tcp(stream) => stream.try_read(buffer)?,
            Stream::Unix(stream) => stream.try_read(buffer)?,
            Stream::Tls(stream) => return stream.try_read(buffer),
        };
        if 0 < read && read < buffer.len() {
            self.is_empty();
        }
        Ok(read)
    }

    /// Tells the event loop what a read would, without one.
    fn is_empty(&self) {
        let would_block = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
        let told = match self {
            Stream::Tcp(stream) => stream.try_io(Interest::READABLE, would_block),
            Stream::Unix(stream) => stream.try_io(Interest::READABLE, would_block),
            Stream::Tls(_) => return,
        };
        debug_assert!(told.is_err(), "nothing was read");
    }

    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.try_write(bytes),
            Stream::Unix(stream) => stream.try_write(bytes),
            Stream::Tls(stream) => stream.try_write(bytes),
        }
    }

    /// Sends what was taken by [`Stream::try_write`] and is not with the kernel yet; always 0.
    pub(crate) fn try_flush(&self) -> io::Result<usize> {
        match self {
            Stream::Tcp(_) | Stream::Unix(_) => Ok(0),
            Stream::Tls(stream) => stream.try_flush().map(|()| 0),
        }
    }

    /// The end, where the protocol has words for that.
    pub(crate) fn part(&self) {
        if let Stream::Tls(stream) = self {
            stream.part();
        }
    }
}
