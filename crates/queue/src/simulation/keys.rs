//! Keys as the clients know them: of deduplication, of jobs that are unique until done, and of order.

use super::memory::{Class, Memory};

/// What a put asks for beside the usual.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Asks {
    /// A second put with this key is the same job for so many seconds.
    pub(super) key: Option<(u64, u64)>,
    pub(super) unique: Option<u64>,
    pub(super) order: Option<u64>,
}

impl Asks {
    /// As `put-with` has it.
    pub(super) fn words(&self) -> String {
        let mut words = String::new();
        if let Some((key, window_s)) = self.key {
            words += &format!(" key=k{key} window={window_s}");
        }
        if let Some(unique) = self.unique {
            words += &format!(" unique=u{unique}");
        }
        if let Some(order) = self.order {
            words += &format!(" order=o{order}");
        }
        words
    }
}

/// A put, and what its keys do.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyedPut {
    pub(super) tube: &'static str,
    asks: Asks,
    /// When it was sent, in the memory's turns and on the wall clock.
    turn: u64,
    sent_ms: u64,
    /// It was answered with another job's id, or refused.
    pub(super) is_nowhere: bool,
    /// A crash took it as it was entitled to.
    pub(super) is_lost: bool,
    /// It was acknowledged, and no crash can have taken its window.
    pub(super) has_window: bool,
}

impl KeyedPut {
    pub(super) fn sent(tube: &'static str, asks: &Asks, turn: u64, sent_ms: u64) -> KeyedPut {
        KeyedPut { tube, asks: asks.clone(), turn, sent_ms, ..KeyedPut::default() }
    }

    /// Whether the later put has the key of this one's window while that is open.
    fn window_holds(&self, later: &KeyedPut) -> bool {
        let Some(((key, window_s), (other, _))) = self.asks.key.zip(later.asks.key) else { return false };
        key == other && self.tube == later.tube && self.sent_ms + window_s * 1000 > later.sent_ms
    }

    fn is_unique_as(&self, later: &KeyedPut) -> bool {
        self.asks.unique.is_some() && self.asks.unique == later.asks.unique && self.tube == later.tube
    }
}

impl Memory {
    /// A put was answered with this id: says whether that is surely the id of its own job.
    pub(super) fn is_its_own(&mut self, id: u64, body: &str) -> bool {
        let put = self.job(body).put.clone();
        if put.asks.key.is_none() && put.asks.unique.is_none() {
            return true;
        }
        if let Some(owner) = self.bodies.get(&id).filter(|owner| *owner != body).cloned() {
            let other = self.job(&owner);
            let held = other.put.window_holds(&put);
            let is_done = other.is_deleted && other.deleted_turn < put.turn;
            assert!(
                held || other.put.is_unique_as(&put) && !is_done,
                "a put was answered with job {id}, of another key"
            );
            assert!(!other.put.is_lost, "a put was answered with job {id}, which a crash took");
            self.job(body).put.is_nowhere = true;
            return false;
        }
        let others = self.jobs.iter().filter(|(name, other)| *name != body && !other.put.is_nowhere);
        let mut may_be_another = false;
        for (name, other) in others {
            let (held, unique) = (other.put.window_holds(&put), other.put.is_unique_as(&put));
            if !held && !unique {
                continue;
            }
            if other.id.is_none() {
                may_be_another = true;
            } else if other.is_promised || other.is_deleted || other.class != Class::Memory {
                let was_known = other.promised_turn > 0 && other.promised_turn < put.turn;
                let window = held && other.put.has_window;
                let lives = unique && other.is_promised && !other.delete_sent;
                assert!(!(was_known && (window || lives)), "job {id} was put although {name} has its key");
            }
        }
        !may_be_another
    }

    /// A job was handed out: none before it may live that has the same key of order.
    pub(super) fn check_order(&mut self, body: &str) {
        let (id, put) = (self.job(body).id, self.job(body).put.clone());
        let Some(order) = put.asks.order else { return };
        let mut others = self.jobs.values().filter(|other| other.put.asks.order == Some(order));
        let before = others.find(|other| {
            other.put.tube == put.tube && other.id < id && other.id.is_some() && other.is_promised && !other.delete_sent
        });
        assert!(before.is_none(), "{body:?} was handed out before {before:?}");
    }
}
