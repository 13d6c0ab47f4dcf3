//! Endpoints that requests had trouble with, for whoever checks them. Costs nothing unless something failed and somebody
//! listens.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

/// Suspects that wait to be taken; with more, the others are reported by their next failure.
const SUSPECTS_MAX: usize = 1_024;

/// The endpoints that are suspected at this moment.
#[derive(Debug, Default)]
pub(crate) struct Suspects {
    heard: AtomicBool,
    addrs: Mutex<BTreeSet<SocketAddr>>,
    some: Notify,
}

impl Suspects {
    /// A request that went to `addr` got no reply.
    pub(crate) fn add(&self, addr: SocketAddr) {
        if !self.heard.load(Relaxed) {
            return;
        }
        let mut addrs = self.addrs.lock().unwrap_or_else(PoisonError::into_inner);
        if addrs.len() < SUSPECTS_MAX && addrs.insert(addr) {
            self.some.notify_one();
        }
    }

    /// Waits until there are some, and takes them.
    pub(crate) async fn take(&self) -> Vec<SocketAddr> {
        self.heard.store(true, Relaxed);
        loop {
            let taken = std::mem::take(&mut *self.addrs.lock().unwrap_or_else(PoisonError::into_inner));
            if !taken.is_empty() {
                return taken.into_iter().collect();
            }
            self.some.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    #[tokio::test]
    async fn each_suspect_is_taken_once_and_nothing_is_kept_while_nobody_listens() {
        let suspects = Suspects::default();
        suspects.add(addr(1));
        {
            let waiting = suspects.take();
            tokio::pin!(waiting);
            assert!(tokio::time::timeout(std::time::Duration::ZERO, &mut waiting).await.is_err());
            suspects.add(addr(3));
            suspects.add(addr(2));
            suspects.add(addr(3));
            assert_eq!(waiting.await, [addr(2), addr(3)]);
        }
        suspects.add(addr(2));
        assert_eq!(suspects.take().await, [addr(2)]);
    }
}
