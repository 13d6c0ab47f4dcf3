//! Listening addresses: parsed, listened on once for ourselves alone, then once per worker.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use socket2::{Domain, Protocol, Socket, Type};

/// Connections that the kernel keeps for us before we accept them.
const BACKLOG: i32 = 1024;

/// An address to listen on, as somebody wrote it: `127.0.0.1:8080`, `[::1]:0`, `localhost:8080`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", inline, extend("format" = "listen-address"))]
pub struct ListenAddr(String);

/// Why a listening address cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Not `HOST:PORT`.
    #[error("`{0}` is not an address to listen on: write HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080")]
    Malformed(String),
    /// The host name has no address here.
    #[error("cannot resolve {addr}: {source}")]
    Resolve {
        /// What was asked for.
        addr: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// The address cannot be bound.
    #[error("cannot listen on {addr}: {}", plain(source))]
    Bind {
        /// What was asked for.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

impl ListenError {
    /// A stable word for machines.
    pub fn code(&self) -> &'static str {
        match self {
            ListenError::Malformed(_) => "listen_address_malformed",
            ListenError::Resolve { .. } => "listen_address_unknown",
            ListenError::Bind { source, .. } if source.kind() == io::ErrorKind::AddrInUse => "port_in_use",
            ListenError::Bind { .. } => "listen_failed",
        }
    }
}

/// The system's words without the `(os error 98)`.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

impl ListenAddr {
    /// The socket addresses meant: one for a literal, all of a host name's for a name (`localhost` has two).
    ///
    /// # Errors
    /// When a host name has no address.
    pub fn resolve(&self) -> Result<Vec<SocketAddr>, ListenError> {
        let mut found: Vec<SocketAddr> =
            self.0.to_socket_addrs().map_err(|source| ListenError::Resolve { addr: self.0.clone(), source })?.collect();
        found.dedup();
        Ok(found)
    }

    /// The same address with a port that it had before, where any port was asked for (port 0) and one of `before` on its
    /// host is free now. Whoever learned the old port finds its way again.
    #[must_use]
    pub fn with_port_of(&self, before: &[SocketAddr]) -> ListenAddr {
        let Some(host) = self.0.strip_suffix(":0") else { return self.clone() };
        let Ok(meant) = self.resolve() else { return self.clone() };
        let free = |addr: &&SocketAddr| {
            meant.iter().any(|one| one.ip() == addr.ip()) && addr.port() != 0 && TcpListener::bind(**addr).is_ok()
        };
        before.iter().find(free).map_or_else(|| self.clone(), |addr| ListenAddr(format!("{host}:{}", addr.port())))
    }

    /// Whether only this machine can reach it.
    ///
    /// # Errors
    /// When a host name has no address.
    pub fn is_loopback(&self) -> Result<bool, ListenError> {
        Ok(self.resolve()?.iter().all(|addr| addr.ip().is_loopback()))
    }
}

impl FromStr for ListenAddr {
    type Err = ListenError;
    fn from_str(text: &str) -> Result<ListenAddr, ListenError> {
        let malformed = || ListenError::Malformed(text.into());
        let (host, port) = text.rsplit_once(':').ok_or_else(malformed)?;
        port.parse::<u16>().map_err(|_| malformed())?;
        let bracketed = host.starts_with('[') && host.ends_with(']');
        if host.is_empty() || host.contains(':') != bracketed || host.contains(char::is_whitespace) {
            return Err(malformed());
        }
        Ok(ListenAddr(text.into()))
    }
}

impl TryFrom<String> for ListenAddr {
    type Error = ListenError;
    fn try_from(text: String) -> Result<ListenAddr, ListenError> {
        text.parse()
    }
}

impl From<ListenAddr> for String {
    fn from(addr: ListenAddr) -> String {
        addr.0
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One bound address with one socket per worker; the kernel spreads connections over them.
#[derive(Debug)]
pub struct Bound {
    /// What was bound, with the real port where 0 was asked for.
    pub addr: SocketAddr,
    /// Listening, non-blocking, close-on-exec sockets: one per worker, more where a process with more workers left them.
    pub sockets: Vec<TcpListener>,
}

/// Binds every address once per worker. The first socket of each listens before it has `SO_REUSEPORT`, so that a port that
/// anybody else has, even another Forebay of the same user that starts at the same moment, is an error and not a share of
/// its traffic.
///
/// The number of sockets stays fixed for the life of the process: connections queued on a closed one would be reset.
///
/// # Errors
/// The first address that cannot be resolved or bound; then none stays bound.
pub fn bind_all(addrs: &[ListenAddr], workers: usize) -> Result<Vec<Bound>, ListenError> {
    bind_each(addrs, workers, |_| None)
}

/// The same, where some addresses are listened on already: `handed` has their sockets, and the real address.
pub(crate) fn bind_each(
    addrs: &[ListenAddr],
    workers: usize,
    handed: impl Fn(SocketAddr) -> Option<(SocketAddr, Vec<TcpListener>)>,
) -> Result<Vec<Bound>, ListenError> {
    assert!(workers > 0, "a listener without a worker would accept nothing");
    let mut bound = Vec::new();
    for addr in addrs {
        // `localhost:0` means one port on both of its addresses.
        let mut shared_port = None;
        for mut socket_addr in addr.resolve()? {
            if let (0, Some(port)) = (socket_addr.port(), shared_port) {
                socket_addr.set_port(port);
            }
            let one = match handed(socket_addr) {
                Some((addr, sockets)) => dealt(addr, sockets, workers),
                None => bind_one(socket_addr, workers),
            };
            match one {
                Ok(one) => {
                    shared_port.get_or_insert(one.addr.port());
                    bound.push(one);
                }
                // A machine without IPv6 still resolves localhost to ::1.
                Err(e) if shared_port.is_some() && e.kind() == io::ErrorKind::AddrNotAvailable => {}
                Err(source) => return Err(ListenError::Bind { addr: socket_addr, source }),
            }
        }
    }
    Ok(bound)
}

/// At least one socket for each worker: where there are too few, some workers accept from the same.
fn dealt(addr: SocketAddr, mut sockets: Vec<TcpListener>, workers: usize) -> io::Result<Bound> {
    let distinct = sockets.len();
    for worker in distinct..workers {
        sockets.push(sockets[worker % distinct].try_clone()?);
    }
    Ok(Bound { addr, sockets })
}

fn bind_one(addr: SocketAddr, workers: usize) -> io::Result<Bound> {
    let first = socket(addr)?;
    // Two that are only bound may have the same address with this, so without it where any port is as good; then it is for
    // whoever binds the port again while old connections are remembered.
    first.set_reuse_address(addr.port() != 0)?;
    first.bind(&addr.into())?;
    first.set_reuse_address(true)?;
    // Of all that are bound to an address one can listen.
    first.listen(BACKLOG)?;
    let addr = first.local_addr()?.as_socket().unwrap_or(addr);
    let mut sockets = vec![first];
    for _ in 1..workers {
        sockets[0].set_reuse_port(true)?;
        let another = socket(addr)?;
        another.set_reuse_address(true)?;
        another.set_reuse_port(true)?;
        another.bind(&addr.into())?;
        another.listen(BACKLOG)?;
        sockets.push(another);
    }
    for socket in &sockets {
        socket.set_nonblocking(true)?;
    }
    Ok(Bound { addr, sockets: sockets.into_iter().map(TcpListener::from).collect() })
}

fn socket(addr: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_host_and_port() {
        for good in ["127.0.0.1:80", "[::1]:0", "localhost:8080", "0.0.0.0:443"] {
            assert_eq!(good.parse::<ListenAddr>().unwrap().to_string(), good);
        }
        for bad in ["", "8080", ":80", "::1:80", "a:b", "a:99999", "http://a:80", "a b:80"] {
            assert!(bad.parse::<ListenAddr>().is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn a_port_in_use_is_an_error_although_workers_share_theirs() {
        let any: ListenAddr = "127.0.0.1:0".parse().unwrap();
        let first = bind_all(&[any], 2).unwrap();
        assert_eq!(first[0].sockets.len(), 2);
        let again: ListenAddr = first[0].addr.to_string().parse().unwrap();
        let error = bind_all(&[again], 2).unwrap_err();
        assert_eq!(error.code(), "port_in_use");
        assert_eq!(error.to_string(), format!("cannot listen on {}: address already in use", first[0].addr));
    }

    /// What so many threads get that bind at the same moment.
    fn at_once(threads: usize, addr: &ListenAddr) -> Vec<Result<Vec<Bound>, ListenError>> {
        let barrier = std::sync::Barrier::new(threads);
        std::thread::scope(|scope| {
            let bind = || {
                barrier.wait();
                bind_all(std::slice::from_ref(addr), 2)
            };
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(bind)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    #[test]
    fn of_many_that_start_at_the_same_moment_one_gets_the_port() {
        for _ in 0..200 {
            let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let all = at_once(4, &free.to_string().parse().unwrap());
            let codes: Vec<_> = all.iter().filter_map(|one| one.as_ref().err()).map(ListenError::code).collect();
            assert_eq!(codes, ["port_in_use"; 3]);
        }
    }

    #[test]
    fn many_that_ask_for_any_port_get_different_ones() {
        let any: ListenAddr = "127.0.0.1:0".parse().unwrap();
        for _ in 0..100 {
            let all = at_once(8, &any);
            let mut ports: Vec<u16> = all.iter().map(|bound| bound.as_ref().unwrap()[0].addr.port()).collect();
            ports.sort_unstable();
            ports.dedup();
            assert_eq!(ports.len(), 8);
        }
    }

    #[test]
    fn all_sockets_of_an_address_get_connections() {
        let any: ListenAddr = "127.0.0.1:0".parse().unwrap();
        let bound = bind_all(&[any], 3).unwrap();
        let clients: Vec<_> = (0..200).map(|_| std::net::TcpStream::connect(bound[0].addr).unwrap()).collect();
        let count = |socket: &TcpListener| std::iter::from_fn(|| socket.accept().ok()).count();
        let counts: Vec<usize> = bound[0].sockets.iter().map(count).collect();
        assert_eq!(counts.iter().sum::<usize>(), clients.len());
        assert!(counts.iter().all(|count| *count > 20), "{counts:?}");
    }

    #[test]
    fn any_port_is_the_one_of_before_where_that_is_free() {
        let any: ListenAddr = "127.0.0.1:0".parse().unwrap();
        let taken = bind_all(std::slice::from_ref(&any), 1).unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(any.with_port_of(&[taken[0].addr, free]).to_string(), free.to_string());
        assert_eq!(any.with_port_of(&[taken[0].addr]), any);
        let fixed: ListenAddr = "127.0.0.1:80".parse().unwrap();
        assert_eq!(fixed.with_port_of(&[free]), fixed);
    }
}
