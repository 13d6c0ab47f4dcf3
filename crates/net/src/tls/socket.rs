//! A connection with TLS that is read and written when its socket is ready, as a `TcpStream` is: for servers that hold many
//! connections in one loop.

use std::cell::{Cell, RefCell};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection};
use tokio::io::{Interest, Ready};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

/// Bytes that a session keeps for a client that does not take them.
const UNSENT_BYTES_MAX: usize = 32 << 10;

/// A client whose handshake is done.
#[derive(Debug)]
pub struct TlsSocket {
    tcp: TcpStream,
    session: RefCell<ServerConnection>,
    /// The last read filled its buffer, so there may be more that the kernel knows nothing of.
    has_more: Cell<bool>,
}

impl TlsSocket {
    /// Waits for the client's handshake.
    ///
    /// # Errors
    /// When there is none, or none that both sides agree on.
    pub async fn accept(tcp: TcpStream, config: Arc<ServerConfig>) -> io::Result<TlsSocket> {
        let shake = TlsAcceptor::from(config).accept_with(tcp, |one| one.set_buffer_limit(Some(UNSENT_BYTES_MAX)));
        let (tcp, session) = shake.await?.into_inner();
        Ok(TlsSocket { tcp, session: RefCell::new(session), has_more: Cell::new(true) })
    }

    /// The client's address.
    ///
    /// # Errors
    /// When it has gone.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.peer_addr()
    }

    /// Waits until reading or writing may come to something.
    ///
    /// # Errors
    /// As `TcpStream::ready`.
    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        if interest.is_readable() && self.has_more.get() {
            return Ok(Ready::READABLE);
        }
        self.tcp.ready(interest).await
    }

    /// Reads what is there. 0 is the end, as the client said it.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there; others when the client broke off or made no sense.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut session = self.session.borrow_mut();
        loop {
            match session.reader().read(buffer) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                read => {
                    self.has_more.set(read.as_ref().is_ok_and(|bytes| *bytes == buffer.len()));
                    return read;
                }
            }
            self.has_more.set(false);
            session.read_tls(&mut Tcp(&self.tcp))?;
            let processed = session.process_new_packets();
            // Alerts, and answers to renewed keys.
            match flush(&self.tcp, &mut session) {
                Err(e) if e.kind() != io::ErrorKind::WouldBlock => return Err(e),
                _ => {}
            }
            processed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
    }

    /// Takes some of `bytes` to be sent. What the socket does not take at once is kept, see [`TlsSocket::try_flush`].
    ///
    /// # Errors
    /// `WouldBlock` while something is kept; others when the client has gone.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut session = self.session.borrow_mut();
        flush(&self.tcp, &mut session)?;
        let taken = session.writer().write(bytes)?;
        match flush(&self.tcp, &mut session) {
            Err(e) if e.kind() != io::ErrorKind::WouldBlock => Err(e),
            _ => Ok(taken),
        }
    }

    /// Sends what is kept.
    ///
    /// # Errors
    /// `WouldBlock` when not all of it could be sent; others when the client has gone.
    pub fn try_flush(&self) -> io::Result<()> {
        flush(&self.tcp, &mut self.session.borrow_mut())
    }

    /// Tells the client that all was said: its end could be an attacker's work otherwise. What a client that reads nothing does
    /// not hear, it does not hear.
    pub fn part(&self) {
        let mut session = self.session.borrow_mut();
        session.send_close_notify();
        if let Err(error) = flush(&self.tcp, &mut session) {
            tracing::debug!(%error, "a client had gone before the end was said");
        }
    }
}

fn flush(tcp: &TcpStream, session: &mut ServerConnection) -> io::Result<()> {
    while session.wants_write() {
        session.write_tls(&mut Tcp(tcp))?;
    }
    Ok(())
}

/// The socket as rustls wants it.
struct Tcp<'a>(&'a TcpStream);

impl Read for Tcp<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Tcp<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
