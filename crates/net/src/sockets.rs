//! The listening sockets of a process, by what they are for: so that they can be handed to the process that takes its place.
//!
//! A socket that is handed over is the same socket, with the connections that wait in its queue. So none is lost: whoever
//! accepts, the old process or the new one, finds them. Of an address with a socket per worker all go over, whatever number
//! of workers the new process has: the kernel would go on to queue connections on one that nobody accepts from.

use std::fmt;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use socket2::{SockRef, Socket};

use crate::listen::{self, Bound, ListenAddr, ListenError};

/// A listener that something accepts from.
trait Open: AsFd + Send + Sync {}

impl<T: AsFd + Send + Sync> Open for T {}

/// The listening sockets of a process: those that it was handed, and those that it has open. Clones are the same.
#[derive(Clone, Default)]
pub struct Sockets(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    handed: Vec<Handed>,
    open: Vec<(&'static str, Weak<dyn Open>)>,
}

/// A socket that the process before has left, until somebody takes it.
struct Handed {
    name: String,
    socket: Socket,
}

impl fmt::Debug for Sockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = self.table();
        f.debug_struct("Sockets").field("handed", &table.handed.len()).field("open", &table.open.len()).finish()
    }
}

impl Sockets {
    /// Those of a process that took the place of another: what each is for, and the socket.
    ///
    /// # Errors
    /// When one of them is not a listening socket.
    pub fn handed(sockets: Vec<(String, OwnedFd)>) -> io::Result<Sockets> {
        let mut handed = Vec::new();
        for (name, socket) in sockets {
            let socket = Socket::from(socket);
            if !socket.is_listener()? {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{name} does not listen")));
            }
            socket.set_nonblocking(true)?;
            handed.push(Handed { name, socket });
        }
        Ok(Sockets(Arc::new(Mutex::new(Table { handed, open: Vec::new() }))))
    }

    /// As [`listen::bind_all`]; of what was handed over those are taken that have the same address, and where any port will
    /// do those that were for `name` on that host. An address may come with more or fewer sockets than there are workers:
    /// deal them out in turn.
    ///
    /// # Errors
    /// As [`listen::bind_all`].
    pub fn bind_all(&self, name: &str, addrs: &[ListenAddr], workers: usize) -> Result<Vec<Bound>, ListenError> {
        let asked: Vec<SocketAddr> = addrs.iter().filter_map(|addr| addr.resolve().ok()).flatten().collect();
        listen::bind_each(addrs, workers, |addr| self.take(name, addr, &asked))
    }

    /// What was handed over for an address.
    fn take(&self, name: &str, wanted: SocketAddr, asked: &[SocketAddr]) -> Option<(SocketAddr, Vec<TcpListener>)> {
        let mut table = self.table();
        let addr = |one: &Handed| one.socket.local_addr().ok().and_then(|addr| addr.as_socket());
        let any = |one: &Handed| {
            let found = addr(one).filter(|found| found.ip() == wanted.ip() && !asked.contains(found));
            found.filter(|_| one.name == name)
        };
        let found = match wanted.port() {
            0 => table.handed.iter().find_map(any)?,
            _ => table.handed.iter().find_map(|one| addr(one).filter(|found| *found == wanted))?,
        };
        let taken = table.handed.extract_if(.., |one| addr(one) == Some(found));
        Some((found, taken.map(|one| one.socket.into()).collect()))
    }

    /// Listens on a unix socket, or goes on with the one that was handed over for this path. `bind` is for where there is
    /// none.
    ///
    /// # Errors
    /// What the system says.
    pub fn bind_unix(
        &self,
        path: &Path,
        bind: impl FnOnce(&Path) -> io::Result<UnixListener>,
    ) -> io::Result<UnixListener> {
        let mut table = self.table();
        let is_it = |one: &mut Handed| one.socket.local_addr().is_ok_and(|addr| addr.as_pathname() == Some(path));
        // Somebody may have removed its name meanwhile, and nobody would find it.
        let handed = table.handed.extract_if(.., is_it).next().filter(|_| fs::symlink_metadata(path).is_ok());
        drop(table);
        match handed {
            Some(one) => Ok(UnixListener::from(OwnedFd::from(one.socket))),
            None => bind(path).and_then(|listener| listener.set_nonblocking(true).map(|()| listener)),
        }
    }

    /// Closes what was handed over and nobody took: addresses that are not listened on any more.
    pub fn close_rest(&self) {
        let rest = std::mem::take(&mut self.table().handed);
        for one in rest {
            tracing::info!(name = one.name, addr = %said(&one.socket), "no longer listened on");
        }
    }

    /// Knows a listener, and for what it is, until it is dropped.
    pub fn keep<L: AsFd + Send + Sync + 'static>(&self, name: &'static str, listener: &Arc<L>) {
        let known: Weak<dyn Open> = Arc::downgrade(listener) as Weak<dyn Open>;
        let mut table = self.table();
        table.open.retain(|(_, known)| known.strong_count() > 0);
        table.open.push((name, known));
    }

    /// Second handles of all that is open, each socket once.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub fn to_hand_over(&self) -> io::Result<Vec<(&'static str, OwnedFd)>> {
        let mut seen = Vec::new();
        let mut handles = Vec::new();
        for (name, listener) in &self.table().open {
            let Some(listener) = listener.upgrade() else { continue };
            let number = rustix::fs::fstat(&listener)?.st_ino;
            if !seen.contains(&number) {
                seen.push(number);
                handles.push((*name, listener.as_fd().try_clone_to_owned()?));
            }
        }
        Ok(handles)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn said(socket: &Socket) -> String {
    let Ok(addr) = SockRef::from(socket).local_addr() else { return String::new() };
    match (addr.as_socket(), addr.as_pathname()) {
        (Some(addr), _) => addr.to_string(),
        (_, path) => path.map(|path| path.display().to_string()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpStream;

    fn addr(text: &str) -> ListenAddr {
        text.parse().unwrap()
    }

    /// A process's sockets, and what it would hand over.
    fn opened(name: &'static str, workers: usize) -> (Sockets, SocketAddr, Vec<Arc<TcpListener>>) {
        let sockets = Sockets::default();
        let bound = sockets.bind_all(name, &[addr("127.0.0.1:0")], workers).unwrap().remove(0);
        let listeners: Vec<_> = bound.sockets.into_iter().map(Arc::new).collect();
        listeners.iter().for_each(|listener| sockets.keep(name, listener));
        (sockets, bound.addr, listeners)
    }

    fn hand(from: &Sockets) -> Sockets {
        let list = from.to_hand_over().unwrap().into_iter().map(|(name, fd)| (name.to_string(), fd)).collect();
        Sockets::handed(list).unwrap()
    }

    #[test]
    fn a_connection_that_waits_is_accepted_by_the_next_process() {
        let (old, at, listeners) = opened("http", 2);
        let mut clients: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(at).unwrap()).collect();
        let new = hand(&old);
        drop(listeners);
        // Fewer workers than sockets: all of them are accepted from.
        let bound = new.bind_all("http", &[addr(&at.to_string())], 1).unwrap().remove(0);
        assert_eq!((bound.addr, bound.sockets.len()), (at, 2));
        let mut served = 0;
        for socket in &bound.sockets {
            while let Ok((mut stream, _)) = socket.accept() {
                stream.write_all(b"hello").unwrap();
                served += 1;
            }
        }
        assert_eq!(served, 20);
        for client in &mut clients {
            let mut text = [0; 5];
            client.read_exact(&mut text).unwrap();
            assert_eq!(&text, b"hello");
        }
    }

    #[test]
    fn more_workers_than_sockets_share_them() {
        let (old, at, _listeners) = opened("http", 2);
        let new = hand(&old);
        let bound = new.bind_all("http", &[addr(&at.to_string())], 5).unwrap().remove(0);
        assert_eq!(bound.sockets.len(), 5);
        let kept: Vec<_> = bound.sockets.into_iter().map(Arc::new).collect();
        kept.iter().for_each(|listener| new.keep("http", listener));
        assert_eq!(new.to_hand_over().unwrap().len(), 2, "each socket is handed over once");
    }

    #[test]
    fn any_port_is_the_one_of_before_and_of_the_same_use() {
        let (http, http_at, _a) = opened("http", 1);
        let (https, https_at, _b) = opened("https", 1);
        let mut list = http.to_hand_over().unwrap();
        list.extend(https.to_hand_over().unwrap());
        let new = Sockets::handed(list.into_iter().map(|(name, fd)| (name.to_string(), fd)).collect()).unwrap();
        let any = [addr("127.0.0.1:0")];
        assert_eq!(new.bind_all("https", &any, 1).unwrap()[0].addr, https_at);
        let other = new.bind_all("https", &any, 1).unwrap()[0].addr;
        assert!(other != http_at && other != https_at, "nothing is left for it");
        // An address that is named is meant, whatever it was for.
        assert_eq!(new.bind_all("admin", &[addr(&http_at.to_string())], 1).unwrap()[0].addr, http_at);
    }

    #[test]
    fn what_nobody_takes_and_what_has_ended_is_closed() {
        let (old, at, listeners) = opened("http", 1);
        let new = hand(&old);
        drop(listeners);
        assert_eq!(old.to_hand_over().unwrap().len(), 0);
        new.close_rest();
        assert!(TcpStream::connect(at).is_err());
    }

    #[test]
    fn a_unix_socket_keeps_its_queue_and_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sock");
        let old = Sockets::default();
        let listener = Arc::new(old.bind_unix(&path, |path| UnixListener::bind(path)).unwrap());
        old.keep("admin", &listener);
        let mut client = std::os::unix::net::UnixStream::connect(&path).unwrap();
        let new = hand(&old);
        drop(listener);
        let listener = new.bind_unix(&path, |_| panic!("it was handed over")).unwrap();
        listener.accept().unwrap().0.write_all(b"x").unwrap();
        client.read_exact(&mut [0]).unwrap();
    }

    #[test]
    fn what_does_not_listen_is_no_listener() {
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(Sockets::handed(vec![("http".into(), one.into())]).is_err());
    }
}
