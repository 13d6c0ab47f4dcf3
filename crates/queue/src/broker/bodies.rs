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
    /// Those that nobody will want soon, in the order of their records: they leave when they can be read from the log.
    passing: VecDeque<(JobId, Lsn)>,
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
            passing: VecDeque::new(),
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

    /// Keeps a body that nobody will want soon: of a job that is due later, or one that compaction has copied. One that was
    /// here before stays.
    pub(crate) fn pass(&mut self, id: JobId, body: Bytes, lsn: Lsn, durable: Lsn) {
        if self.kept.contains_key(&id) {
            return self.keep(id, body, lsn, durable);
        }
        self.bytes += cost(&body);
        self.kept.insert(id, Kept { body, lsn });
        self.passing.push_back((id, lsn));
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

    /// What all of them cost.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes + self.volatile_bytes
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
        while let Some((id, lsn)) = self.passing.pop_front_if(|(_, lsn)| *lsn <= durable) {
            if self.kept.get(&id).is_some_and(|kept| kept.lsn == lsn) {
                self.forget(id);
            }
        }
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

    #[test]
    fn what_nobody_wants_soon_takes_no_room_from_the_others() {
        let mut bodies = Bodies::new(3 * 100);
        bodies.keep(JobId(1), Bytes::from_static(b"soon"), Lsn(1), Lsn(0));
        for id in 2..=9 {
            bodies.pass(JobId(id), Bytes::from_static(b"late"), Lsn(id), Lsn(0));
        }
        bodies.pass(JobId(1), Bytes::from_static(b"soon"), Lsn(10), Lsn(0));
        assert!((1..=9).all(|id| bodies.get(JobId(id)).is_some()), "nothing is durable yet");
        bodies.trim(Lsn(8));
        let left: Vec<u64> = (1..=9).filter(|&id| bodies.get(JobId(id)).is_some()).collect();
        assert_eq!(left, [1, 9]);
        bodies.trim(Lsn(10));
        assert_eq!((bodies.get(JobId(9)), bodies.bytes), (None, 100), "the one that was here before stays");
    }
}
