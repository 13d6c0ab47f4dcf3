//! Bodies in memory: those not on disk yet, and some of the newest beside the disk.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use wal::Lsn;

use crate::names::JobId;

/// A bounded cache from which nothing leaves that cannot be read from the log yet.
pub(crate) struct Bodies {
    bytes_max: u64,
    bytes: u64,
    kept: HashMap<JobId, Kept>,
    /// Those of jobs that are in memory only; they stay until their job goes.
    volatile: HashMap<JobId, Bytes>,
    volatile_bytes: u64,
    /// In the order they came; may name some that have left.
    order: VecDeque<(JobId, Lsn)>,
}

struct Kept {
    body: Bytes,
    /// The record that holds the body.
    lsn: Lsn,
}

impl Bodies {
    pub(crate) fn new(bytes_max: u64) -> Bodies {
        Bodies {
            bytes_max,
            bytes: 0,
            kept: HashMap::new(),
            volatile: HashMap::new(),
            volatile_bytes: 0,
            order: VecDeque::new(),
        }
    }

    /// Keeps the body of a record just appended.
    pub(crate) fn keep(&mut self, id: JobId, body: Bytes, lsn: Lsn, durable: Lsn) {
        self.forget(id);
        self.bytes += cost(&body);
        self.kept.insert(id, Kept { body, lsn });
        self.order.push_back((id, lsn));
        self.trim(durable);
    }

    /// Keeps the only copy of a body.
    pub(crate) fn keep_volatile(&mut self, id: JobId, body: Bytes) {
        self.volatile_bytes += cost(&body);
        self.volatile.insert(id, body);
    }

    /// What the only copies cost.
    pub(crate) fn volatile_bytes(&self) -> u64 {
        self.volatile_bytes
    }

    pub(crate) fn get(&self, id: JobId) -> Option<Bytes> {
        self.kept.get(&id).map(|kept| &kept.body).or_else(|| self.volatile.get(&id)).cloned()
    }

    pub(crate) fn forget(&mut self, id: JobId) {
        if let Some(body) = self.volatile.remove(&id) {
            self.volatile_bytes -= cost(&body);
        }
        if let Some(kept) = self.kept.remove(&id) {
            self.bytes -= cost(&kept.body);
        }
        if self.order.len() > 2 * self.kept.len() + 1024 {
            self.order.retain(|(id, lsn)| self.kept.get(id).is_some_and(|kept| kept.lsn == *lsn));
        }
    }

    /// Lets the oldest go until the rest fits; those that are not on disk stay.
    pub(crate) fn trim(&mut self, durable: Lsn) {
        while self.bytes > self.bytes_max {
            let Some(&(id, lsn)) = self.order.front() else { return };
            if lsn > durable {
                return;
            }
            self.order.pop_front();
            if self.kept.get(&id).is_some_and(|kept| kept.lsn == lsn) {
                self.forget(id);
            }
        }
    }
}

/// What keeping a body costs, the map's own part included.
fn cost(body: &Bytes) -> u64 {
    body.len() as u64 + 96
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_leave_first_and_none_before_it_is_on_disk() {
        let mut bodies = Bodies::new(3 * 100);
        for id in 1..=4 {
            bodies.keep(JobId(id), Bytes::from_static(b"body"), Lsn(id), Lsn(0));
        }
        assert_eq!(bodies.get(JobId(1)).as_deref(), Some(&b"body"[..]), "nothing is durable yet");
        bodies.trim(Lsn(2));
        assert_eq!(bodies.get(JobId(1)), None);
        assert!(bodies.get(JobId(2)).is_some());
    }
}
