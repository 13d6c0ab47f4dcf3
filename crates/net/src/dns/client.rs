//! Asking: each server in turn, over UDP, and over TCP when the answer does not fit.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use stdx::rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use super::message::{self, Kind, Malformed, Name, Reply, Service};
use super::servers::Servers;

/// Bytes of an answer over UDP; no larger one is asked for.
const DATAGRAM_BYTES_MAX: usize = 4_096;
/// How often the list of servers is gone through.
const ROUNDS: usize = 2;
/// The time for which an entry of `/etc/hosts` holds.
const HOSTS_TTL: Duration = Duration::from_secs(10);

/// Why a name has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DnsError {
    /// There is no such name.
    #[error("there is no such name")]
    NoName,
    /// A server refuses or fails: its code.
    #[error("the server answers with code {0}")]
    Code(u8),
    /// No server has answered in time.
    #[error("no answer in time")]
    Timeout,
    /// What came is no answer.
    #[error("the answer is malformed: {0}")]
    Malformed(#[from] Malformed),
    /// The network.
    #[error("{0}")]
    Io(String),
}

impl From<io::Error> for DnsError {
    fn from(error: io::Error) -> DnsError {
        DnsError::Io(error.to_string())
    }
}

/// An answer, and for how long it holds. It may be empty: the name is there and has no such record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found<T> {
    /// What was found.
    pub items: Vec<T>,
    /// The shortest time to live of all records that it rests on.
    pub ttl: Duration,
}

/// Asks for names.
#[derive(Clone, Debug)]
pub struct Resolver {
    servers: Servers,
    timeout: Duration,
}

impl Resolver {
    /// One that gives each server `timeout` for an answer.
    pub fn new(servers: Servers, timeout: Duration) -> Resolver {
        Resolver { servers, timeout }
    }

    /// The addresses of a host, both families. One family is enough for an answer.
    ///
    /// # Errors
    /// When neither family could be asked for.
    pub async fn addresses(&self, name: &Name) -> Result<Found<IpAddr>, DnsError> {
        if let Some(known) = self.servers.hosts.get(name.as_str()) {
            return Ok(Found { items: known.clone(), ttl: HOSTS_TTL });
        }
        let (v4, v6) = tokio::join!(self.ask(name, Kind::A), self.ask(name, Kind::Aaaa));
        let (v4, v6) = match (v4, v6) {
            (Ok(v4), Ok(v6)) => (v4, v6),
            // Half an answer that is empty is none: the other half may be what there is.
            (Ok(one), Err(error)) | (Err(error), Ok(one)) => match one.addrs.is_empty() {
                true => return Err(error),
                false => (one, Reply { ttl: Duration::MAX, ..Reply::default() }),
            },
            (Err(error), Err(_)) => return Err(error),
        };
        let items = v4.addrs.into_iter().chain(v6.addrs).collect();
        Ok(Found { items, ttl: v4.ttl.min(v6.ttl) })
    }

    /// Where a service is.
    ///
    /// # Errors
    /// When it could not be asked for.
    pub async fn services(&self, name: &Name) -> Result<Found<Service>, DnsError> {
        let Reply { services, ttl, .. } = self.ask(name, Kind::Srv).await?;
        Ok(Found { items: services, ttl })
    }

    async fn ask(&self, name: &Name, kind: Kind) -> Result<Reply, DnsError> {
        let mut last = DnsError::Timeout;
        for server in std::iter::repeat_n(&self.servers.addrs, ROUNDS).flatten() {
            let asked = tokio::time::timeout(self.timeout, exchange(*server, name, kind)).await;
            match asked.unwrap_or(Err(DnsError::Timeout)) {
                Ok(reply) if reply.code == 0 => return Ok(reply),
                Ok(reply) if reply.code == 3 => return Err(DnsError::NoName),
                Ok(reply) => last = DnsError::Code(reply.code),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

async fn exchange(server: SocketAddr, name: &Name, kind: Kind) -> Result<Reply, DnsError> {
    let id = rng::from_kernel().u16(..);
    let question = message::question(id, name, kind);
    let local: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // A port of its own for each question, and only the server's packets reach it.
    let socket = UdpSocket::bind((local, 0)).await?;
    socket.connect(server).await?;
    socket.send(&question).await?;
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        let read = socket.recv(&mut buffer).await?;
        // What answers another question is somebody's guess; the answer may still come.
        match message::reply(&buffer[..read], id, name, kind) {
            Ok(Some(reply)) if reply.truncated => return over_tcp(server, &question, id, name, kind).await,
            Ok(Some(reply)) => return Ok(reply),
            Ok(None) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

async fn over_tcp(server: SocketAddr, question: &[u8], id: u16, name: &Name, kind: Kind) -> Result<Reply, DnsError> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.len()).map_err(|_| Malformed("the question is too long"))?;
    stream.write_all(&[&length.to_be_bytes(), question].concat()).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    match message::reply(&answer, id, name, kind)? {
        Some(reply) if !reply.truncated => Ok(reply),
        _ => Err(Malformed("it answers another question").into()),
    }
}
