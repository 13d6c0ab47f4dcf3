//! The way of records out of a worker: bounded, and never a wait.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use super::AccessRecord;

/// Where records go.
pub trait AccessSink: Send + Sync {
    /// The ring of one worker; `None` when nobody wants records.
    fn ring(&self, worker: usize) -> Option<Box<dyn AccessRing>>;
}

/// One worker's way out for its records: bounded, and never a wait.
pub trait AccessRing: Send {
    /// Takes a record; false when it is full and the record was dropped and counted.
    fn push(&mut self, record: AccessRecord) -> bool;

    /// Whether records are to say what the request said of its agent.
    fn wants_agents(&self) -> bool {
        false
    }
}

/// A sink that keeps nothing.
#[derive(Clone, Copy, Debug)]
pub struct Discard;

impl AccessSink for Discard {
    fn ring(&self, _worker: usize) -> Option<Box<dyn AccessRing>> {
        None
    }
}

/// A bounded ring between one worker and one reader. The writer never wakes the reader, who comes by from time to time;
/// the lock is held only for a push or a swap of two buffers.
#[derive(Clone, Debug)]
pub struct BoundedRing {
    records: Arc<Mutex<Vec<AccessRecord>>>,
    dropped: Arc<AtomicU64>,
    capacity: usize,
}

impl BoundedRing {
    /// A ring of at most `capacity` records.
    pub fn new(capacity: usize) -> BoundedRing {
        BoundedRing { records: Arc::default(), dropped: Arc::default(), capacity }
    }

    /// Swaps everything that is in the ring into `into`, which is cleared first; returns the records dropped since the
    /// last call.
    pub fn take(&self, into: &mut Vec<AccessRecord>) -> u64 {
        into.clear();
        std::mem::swap(&mut *self.records.lock().unwrap_or_else(PoisonError::into_inner), into);
        self.dropped.swap(0, Relaxed)
    }
}

impl AccessRing for BoundedRing {
    fn push(&mut self, record: AccessRecord) -> bool {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        if records.len() < self.capacity {
            records.push(record);
            return true;
        }
        drop(records);
        self.dropped.fetch_add(1, Relaxed);
        false
    }
}
