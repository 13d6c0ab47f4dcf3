//! Whether requests with a key are this process's matter. One that takes the place of another leaves them to it, and lets its
//! own wait, until the other has done with those that it has; else the same request could be carried out by both.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use tokio::sync::watch;

#[derive(Debug)]
pub(super) struct Gate {
    open: watch::Sender<bool>,
    inside: AtomicUsize,
}

/// A request with a key is under way until this is dropped.
#[derive(Debug)]
pub(super) struct Inside(Arc<Gate>);

impl Gate {
    /// Closed.
    pub(super) fn new() -> Gate {
        Gate { open: watch::Sender::new(false), inside: AtomicUsize::new(0) }
    }

    pub(super) fn set_open(&self, open: bool) {
        self.open.send_replace(open);
    }

    /// Waits until it is open, at most for `patience`; `None` then.
    pub(super) async fn enter(self: &Arc<Gate>, patience: Duration) -> Option<Inside> {
        loop {
            // Counted first: whoever has closed it counts after that.
            self.inside.fetch_add(1, SeqCst);
            let inside = Inside(Arc::clone(self));
            if *self.open.borrow() {
                return Some(inside);
            }
            drop(inside);
            let mut open = self.open.subscribe();
            // The sender lives in self.
            tokio::time::timeout(patience, open.wait_for(|open| *open)).await.ok()?.ok()?;
        }
    }

    /// Nobody is inside.
    pub(super) fn is_empty(&self) -> bool {
        self.inside.load(SeqCst) == 0
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_comes_waits_until_it_opens_and_is_counted_then() {
        let gate = Arc::new(Gate::new());
        assert!(gate.enter(Duration::ZERO).await.is_none());
        assert!(gate.is_empty());
        let entering = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.enter(Duration::from_secs(60)).await }
        });
        tokio::task::yield_now().await;
        assert!(gate.is_empty() && !entering.is_finished());
        gate.set_open(true);
        let inside = entering.await.unwrap().unwrap();
        gate.set_open(false);
        assert!(!gate.is_empty() && gate.enter(Duration::ZERO).await.is_none());
        drop(inside);
        assert!(gate.is_empty());
    }
}
