//! Which instances requests had trouble with: from the router to the prober of each.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::seams::Traffic;

/// The probers that can be told. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Suspicions(Arc<Mutex<HashMap<SocketAddr, Arc<Notify>>>>);

impl Suspicions {
    /// Listens for trouble with the instance at `addr`, until this is dropped.
    pub(crate) fn watch(&self, addr: SocketAddr) -> Suspicion {
        let raised = Arc::new(Notify::new());
        self.lock().insert(addr, Arc::clone(&raised));
        Suspicion { addr, raised, all: self.clone() }
    }

    /// Tells the probers whatever the router tells, for ever.
    pub(crate) async fn follow(self, traffic: Arc<dyn Traffic>) {
        loop {
            for addr in traffic.suspected().await {
                if let Some(raised) = self.lock().get(&addr) {
                    raised.notify_one();
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SocketAddr, Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One prober's ear.
#[derive(Debug)]
pub(crate) struct Suspicion {
    addr: SocketAddr,
    raised: Arc<Notify>,
    all: Suspicions,
}

impl Suspicion {
    /// Waits until requests had trouble.
    pub(crate) async fn raised(&self) {
        self.raised.notified().await;
    }
}

impl Drop for Suspicion {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        // The port may have been given to another instance already.
        if all.get(&self.addr).is_some_and(|raised| Arc::ptr_eq(raised, &self.raised)) {
            all.remove(&self.addr);
        }
    }
}
