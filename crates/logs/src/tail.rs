//! One live tail: a bounded ring between the writer, which never waits, and a reader that may be slow.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::format::View;
use crate::live::Entry;
use crate::query::Query;

/// Bytes of records that wait for one tail.
const RING_BYTES_MAX: usize = 1 << 20;

/// What a tail's reader gets.
pub(crate) enum TailItem {
    Record(Entry),
    /// The reader was too slow for so many records.
    Skipped(u64),
}

#[derive(Default)]
struct Ring {
    items: VecDeque<TailItem>,
    bytes: usize,
    /// Records skipped since the last one in the ring.
    skipped: u64,
    ended: bool,
}

/// The writer's side.
pub(crate) struct Tail {
    query: Query,
    records_max: usize,
    ring: Mutex<Ring>,
    ready: Notify,
}

impl Tail {
    pub(crate) fn new(query: Query, records_max: usize) -> Tail {
        Tail { query, records_max: records_max.max(1), ring: Mutex::default(), ready: Notify::new() }
    }

    /// Gives the tail a record if it is meant; when the ring is full it is skipped and counted.
    pub(crate) fn push(&self, entry: &Entry, view: &View<'_>) {
        if !self.query.covers(entry.time) || !self.query.filter.admits(view) {
            return;
        }
        let mut ring = self.lock();
        let len = entry.payload.len();
        if !ring.items.is_empty() && (ring.items.len() >= self.records_max || ring.bytes + len > RING_BYTES_MAX) {
            ring.skipped += 1;
            return;
        }
        if ring.skipped > 0 {
            let skipped = std::mem::take(&mut ring.skipped);
            ring.items.push_back(TailItem::Skipped(skipped));
        }
        ring.bytes += len;
        ring.items.push_back(TailItem::Record(entry.clone()));
        drop(ring);
        self.ready.notify_one();
    }

    /// No more will come.
    pub(crate) fn end(&self) {
        self.lock().ended = true;
        self.ready.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reader's side; dropping it ends the tail.
pub(crate) struct TailReader {
    tail: Arc<Tail>,
}

impl TailReader {
    pub(crate) fn new(tail: Arc<Tail>) -> TailReader {
        TailReader { tail }
    }

    /// The next item; `None` when the plane has stopped or failed.
    pub(crate) async fn next(&mut self) -> Option<TailItem> {
        loop {
            {
                let mut ring = self.tail.lock();
                if let Some(item) = ring.items.pop_front() {
                    if let TailItem::Record(entry) = &item {
                        ring.bytes -= entry.payload.len();
                    }
                    return Some(item);
                }
                if ring.skipped > 0 {
                    return Some(TailItem::Skipped(std::mem::take(&mut ring.skipped)));
                }
                if ring.ended {
                    return None;
                }
            }
            self.tail.ready.notified().await;
        }
    }

    /// The next item if one is there.
    pub(crate) fn try_next(&mut self) -> Option<TailItem> {
        let mut ring = self.tail.lock();
        let item = ring.items.pop_front()?;
        if let TailItem::Record(entry) = &item {
            ring.bytes -= entry.payload.len();
        }
        Some(item)
    }
}
