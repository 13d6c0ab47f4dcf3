//! Ports for instances: unique on the node, and free when they are given.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};

/// The ports that instances have.
#[derive(Clone, Debug)]
pub(crate) struct Ports {
    range: (u16, u16),
    pool: Arc<Mutex<Pool>>,
}

#[derive(Debug)]
struct Pool {
    taken: BTreeSet<u16>,
    /// Where the search goes on: a port that was just given back is the last to be given again, so that a late packet
    /// for an old instance does not reach a new one.
    next: u16,
}

impl Ports {
    /// The search starts anywhere in the range: two nodes on one machine that start together would otherwise try the same
    /// ports, and find them free, before the instances of either listen.
    pub(crate) fn new(range: (u16, u16)) -> Ports {
        let next = stdx::rng::from_kernel().u16(range.0..=range.1);
        Ports { range, pool: Arc::new(Mutex::new(Pool { taken: BTreeSet::new(), next })) }
    }

    /// Notes a port that an adopted instance has.
    pub(crate) fn note(&self, port: u16) {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner).taken.insert(port);
    }

    /// Gives a port that nobody has; `None` when there is none.
    pub(crate) fn take(&self) -> Option<u16> {
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        let (first, last) = self.range;
        for _ in first..=last {
            let port = pool.next.clamp(first, last);
            pool.next = if port >= last { first } else { port + 1 };
            if !pool.taken.contains(&port) && is_free(port) {
                pool.taken.insert(port);
                return Some(port);
            }
        }
        None
    }

    /// Takes a port back.
    pub(crate) fn give_back(&self, port: u16) {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner).taken.remove(&port);
    }
}

/// Whether nobody listens there, on this address or on all of them.
fn is_free(port: u16) -> bool {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).is_ok()
        && TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three ports next to each other that nobody had a moment ago.
    fn three_free() -> u16 {
        (21_000..29_000).step_by(3).find(|p| (*p..p + 3).all(is_free)).expect("there are three free ports")
    }

    #[test]
    fn a_port_is_given_once_and_a_busy_one_never() {
        let first = three_free();
        let busy = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, first + 1))).unwrap();
        let ports = Ports::new((first, first + 2));
        let given = BTreeSet::from([ports.take(), ports.take()]);
        assert_eq!((given, ports.take()), (BTreeSet::from([Some(first), Some(first + 2)]), None));
        drop(busy);
        ports.give_back(first);
        ports.note(first + 1);
        assert_eq!([ports.take(), ports.take()], [Some(first), None]);
    }
}
