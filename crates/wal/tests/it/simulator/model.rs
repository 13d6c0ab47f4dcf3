//! What must be on disk, kept beside the log.

use std::collections::BTreeMap;

use wal::{Found, Position, Report};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) kind: u8,
    pub(super) payload: Vec<u8>,
    pub(super) position: Position,
}

/// Records by LSN.
pub(super) type Records = BTreeMap<u64, Record>;

#[derive(Default)]
pub(super) struct Model {
    /// All that was appended and may still be on disk.
    pub(super) appended: Records,
    /// The last LSN that was acknowledged, or delivered by a recovery that succeeded.
    pub(super) durable: u64,
    /// Segments below this were removed by an acknowledged batch.
    pub(super) floor: u64,
    /// Segments below this may have been removed.
    pub(super) floor_asked: u64,
}

/// Turns a visit into an entry.
pub(super) fn entry(found: Found<'_>) -> (u64, Record) {
    (found.lsn.0, Record { kind: found.kind, payload: found.payload.to_vec(), position: found.position })
}

impl Model {
    pub(super) fn acknowledge(&mut self, durable: u64, floor: u64) {
        if durable < self.durable {
            panic!("acknowledged {durable} after {}", self.durable);
        }
        self.durable = durable;
        self.floor = self.floor.max(floor);
    }

    /// Checks what a recovery delivered, then takes it for durable: its owner will act upon it.
    pub(super) fn recovered(&mut self, delivered: &[(u64, Record)], report: &Report) -> Result<(), String> {
        if !report.is_clean() {
            let damage: Vec<String> = report.damage.iter().map(ToString::to_string).collect();
            return Err(format!("damage on an honest disk: {}", damage.join("; ")));
        }
        for pair in delivered.windows(2) {
            if pair[1].0 != pair[0].0 + 1 {
                return Err(format!("record {} after {}", pair[1].0, pair[0].0));
            }
        }
        for (lsn, record) in delivered {
            if self.appended.get(lsn) != Some(record) {
                return Err(format!("record {lsn} was never appended so: {:?}", record.position));
            }
            if record.position.segment < self.floor {
                return Err(format!("record {lsn} of removed segment {} is back", record.position.segment));
            }
        }
        let last = report.last_lsn.0;
        if last < self.durable {
            return Err(format!("record {} was acknowledged, the log ends at {last}", self.durable));
        }
        let first = delivered.first().map_or(last + 1, |(lsn, _)| *lsn);
        for (lsn, record) in self.appended.range(..first) {
            if record.position.segment >= self.floor_asked {
                return Err(format!("record {lsn} in segment {} is lost", record.position.segment));
            }
        }
        self.appended = delivered.iter().cloned().collect();
        self.durable = last;
        if let Some((_, oldest)) = delivered.first() {
            // A removal that did not reach the disk is forgotten.
            self.floor_asked = self.floor_asked.min(oldest.position.segment);
        }
        Ok(())
    }
}
