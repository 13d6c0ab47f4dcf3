//! What the clients know, on this side of the cut. Of a command whose answer they did not get they know nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::client::{Client, Peeked};

/// Asked about at once.
const AT_ONCE: usize = 500;

/// What was acknowledged, and what was found wrong.
#[derive(Default)]
pub(super) struct Ledger {
    /// Jobs that are there, with their bodies.
    put: BTreeMap<u64, Vec<u8>>,
    deleted: BTreeSet<u64>,
    /// Deleted by a worker who was quicker than the producer, who has not said yet that it was put.
    early: BTreeSet<u64>,
    /// Their delete was sent and not answered.
    perhaps_deleted: BTreeSet<u64>,
    /// Jobs that were put and not acknowledged, found later.
    unknown: u64,
    checked: u64,
    faults: Vec<String>,
}

impl Ledger {
    pub(super) fn put(&mut self, id: u64, body: Vec<u8>) {
        if self.early.remove(&id) {
            return;
        }
        if self.deleted.contains(&id) || self.put.insert(id, body).is_some() {
            self.faults.push(format!("the id {id} was given twice"));
        }
    }

    /// A job was handed out.
    pub(super) fn handed_out(&mut self, id: u64, body: &[u8]) {
        if self.deleted.contains(&id) {
            self.faults.push(format!("job {id} was deleted, and is handed out"));
        }
        match self.put.get(&id) {
            Some(known) if known != body => self.faults.push(format!("job {id} has another body")),
            Some(_) => {}
            None => self.unknown += 1,
        }
    }

    pub(super) fn deletes(&mut self, id: u64) {
        self.perhaps_deleted.insert(id);
    }

    pub(super) fn deleted(&mut self, id: u64) {
        self.perhaps_deleted.remove(&id);
        if self.put.remove(&id).is_none() {
            self.early.insert(id);
        }
        self.deleted.insert(id);
    }

    /// Puts and deletes so far.
    pub(super) fn acknowledged(&self) -> usize {
        self.put.len() + self.deleted.len() * 2
    }

    pub(super) fn has_faults(&self) -> bool {
        !self.faults.is_empty()
    }

    pub(super) fn into_faults(self) -> Vec<String> {
        self.faults
    }

    pub(super) fn summary(&self) -> String {
        format!(
            "{} jobs put and {} of them deleted, {} more whose acknowledgement was cut off, {} times looked at",
            self.put.len() + self.deleted.len(),
            self.deleted.len(),
            self.unknown,
            self.checked
        )
    }

    /// Asks a queue that has started again about each job there ever was.
    pub(super) fn check(&mut self, client: &mut Client) -> io::Result<()> {
        let all: Vec<u64> = self.put.keys().chain(&self.deleted).copied().collect();
        for ids in all.chunks(AT_ONCE) {
            let asked: String = ids.iter().map(|id| format!("peek {id}\r\n")).collect();
            client.send(asked.as_bytes())?;
            for &id in ids {
                let peeked = client.hear_peeked()?;
                self.compare(id, &peeked);
                self.checked += 1;
            }
        }
        // What was not known is known now.
        for id in std::mem::take(&mut self.perhaps_deleted) {
            client.send(format!("peek {id}\r\n").as_bytes())?;
            if client.hear_peeked()? == Peeked::NotFound {
                self.deleted(id);
            }
        }
        Ok(())
    }

    fn compare(&mut self, id: u64, peeked: &Peeked) {
        let fault = match (peeked, self.put.get(&id)) {
            (Peeked::Found(body), Some(known)) if body == known => return,
            (Peeked::Found(_), Some(_)) => format!("job {id} has another body"),
            (Peeked::NotFound, Some(_)) if self.perhaps_deleted.contains(&id) => return,
            (Peeked::NotFound, Some(_)) => format!("job {id} is lost"),
            (Peeked::Found(_), None) => format!("job {id} was deleted, and is back"),
            (Peeked::NotFound, None) => return,
        };
        self.faults.push(fault);
    }

    /// Takes all jobs out, whatever state they are in: each that was acknowledged, once, and then nothing.
    pub(super) fn take_all(&mut self, client: &mut Client) -> io::Result<()> {
        client.ask("kick 100000000")?;
        client.ask("kick 100000000")?;
        while let Some((id, body)) = client.reserve()? {
            self.handed_out(id, &body);
            self.deletes(id);
            if client.ask(&format!("delete {id}"))? != "DELETED" {
                self.faults.push(format!("job {id} was handed out and cannot be deleted"));
            }
            self.deleted(id);
        }
        let lost: Vec<String> = self.put.keys().map(|id| format!("job {id} was not handed out")).collect();
        self.faults.extend(lost);
        Ok(())
    }
}
