//! `put`s that wait for room, where a tube says `when_full = "wait"`.
//!
//! They go in the order in which they came. A connection has at most one of them, so producers that wait for the same tube
//! get room in turn, however much each of them has to put.

use std::collections::VecDeque;

use bytes::Bytes;
use stdx::io::Io;

use super::{Aside, Broker};
use crate::engine::{ClientId, Now, TubeIx};
use crate::proto::command::Put;
use crate::proto::reply::Reply;

/// One of them.
pub(super) struct Parked {
    client: ClientId,
    tube: TubeIx,
    put: Put,
    body: Bytes,
    aside: Aside,
}

/// All of them, in the order in which they came.
#[derive(Default)]
pub(super) struct ParkedPuts {
    puts: VecDeque<Parked>,
    bytes: usize,
}

impl ParkedPuts {
    /// Whether the connection waits with one.
    pub(super) fn has(&self, client: ClientId) -> bool {
        self.puts.iter().any(|parked| parked.client == client)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.puts.is_empty()
    }

    /// Bytes of their bodies.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn take(&mut self, at: usize) -> Option<Parked> {
        let parked = self.puts.remove(at)?;
        self.bytes -= parked.body.len();
        Some(parked)
    }
}

impl<D: Io> Broker<D> {
    /// Keeps a `put` until there is room; says whether it may wait at all.
    pub(super) fn park(&mut self, client: ClientId, put: Put, body: &[u8], aside: Aside) -> bool {
        let bytes = self.parked.bytes + body.len();
        if bytes > self.config.input_bytes_max {
            return false;
        }
        let tube = self.engine.client(client).used;
        self.parked.bytes = bytes;
        self.parked.puts.push_back(Parked { client, tube, put, body: Bytes::copy_from_slice(body), aside });
        true
    }

    /// The connection waits no more with its `put`; says whether it did.
    pub(super) fn unpark(&mut self, client: ClientId) -> bool {
        let at = self.parked.puts.iter().position(|parked| parked.client == client);
        at.and_then(|at| self.parked.take(at)).is_some()
    }

    /// Carries out those for which there is room now. A tube whose first has none keeps the others behind it waiting.
    pub(super) fn put_parked(&mut self, now: Now) {
        let mut full: Vec<TubeIx> = Vec::new();
        let mut at = 0;
        while let Some(parked) = self.parked.puts.get(at) {
            let (tube, bytes) = (parked.tube, parked.body.len() as u64);
            if full.contains(&tube) || self.engine.has_room(tube, bytes, now).is_err() {
                full.push(tube);
                at += 1;
                continue;
            }
            let Some(parked) = self.parked.take(at) else { return };
            let Parked { client, put, body, aside, .. } = parked;
            self.conns[client.0 as usize].aside = aside;
            self.resumed.push(client);
            self.put_now(client, put, &body, now);
        }
    }

    /// A connection that can hear no more answers has waited in vain.
    pub(super) fn refuse_parked(&mut self, client: ClientId) -> bool {
        let waited = self.unpark(client);
        if waited {
            self.say(client, Reply::OutOfMemory);
        }
        waited
    }
}
