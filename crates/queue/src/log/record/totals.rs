//! What only ever counts up, as attributes.

use wal::attr::{self, Encoder};

use super::Malformed;
use crate::engine::Totals;

/// Tags of the attributes of totals.
mod total {
    pub(super) const JOBS: u8 = 1;
    pub(super) const DELETES: u8 = 2;
    pub(super) const PAUSES: u8 = 3;
    pub(super) const TIMEOUTS: u8 = 4;
    pub(super) const RELEASES: u8 = 5;
    pub(super) const FAILURES: u8 = 6;
}

/// Writes the totals behind what `out` holds.
pub(crate) fn encode_totals(out: &mut Vec<u8>, totals: &Totals) {
    Encoder::new(out)
        .u64(total::JOBS, totals.jobs)
        .u64(total::DELETES, totals.deletes)
        .u64(total::PAUSES, totals.pauses)
        .u64(total::TIMEOUTS, totals.timeouts)
        .u64(total::RELEASES, totals.releases)
        .u64(total::FAILURES, totals.failures);
}

/// Reads them.
pub(crate) fn decode_totals(bytes: &[u8]) -> Result<Totals, Malformed> {
    let mut totals = Totals::default();
    for attr in attr::decode(bytes) {
        let attr = attr?;
        match attr.tag {
            total::JOBS => totals.jobs = attr.u64()?,
            total::DELETES => totals.deletes = attr.u64()?,
            total::PAUSES => totals.pauses = attr.u64()?,
            total::TIMEOUTS => totals.timeouts = attr.u64()?,
            total::RELEASES => totals.releases = attr.u64()?,
            total::FAILURES => totals.failures = attr.u64()?,
            _ => {}
        }
    }
    Ok(totals)
}
