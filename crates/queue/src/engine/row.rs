//! One job in forty-one bytes.

use wal::{Lsn, Position};

use super::job::{Job, JobState, Lease};
use super::terms::Terms;
use crate::names::JobId;

/// How far an id may be from its chunk's base.
pub(super) const DELTA_MAX: u32 = (1 << 24) - 1;

/// The latest point in time, and the last turn, that a row can hold: the year 10889, and the record after the last one.
pub(crate) const WHEN_MAX: u64 = (1 << 48) - 1;

const READY: u8 = 1;
const DELAYED: u8 = 2;
const RESERVED: u8 = 3;
const BURIED: u8 = 4;
const STATE: u8 = 0x0F;
const HAS_FACTS: u8 = 0x80;

/// Bytes, so that nothing is lost to alignment. A row of zeros is of a job that is gone.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Row {
    delta: [u8; 3],
    flags: u8,
    /// The low half of the LSN: only of the newest records anybody wants to know it.
    lsn: [u8; 4],
    created_ms: [u8; 6],
    segment: [u8; 4],
    offset: [u8; 4],
    /// Bytes of the record before the body.
    head_len: [u8; 3],
    body_len: [u8; 4],
    delay_s: [u8; 4],
    /// The place of what neighbours have, too ([`super::terms`]).
    terms: [u8; 2],
    /// The due time of a delayed job, the turn of a buried one.
    when: [u8; 6],
}

impl Row {
    /// # Panics
    /// When a number is beyond what a row can hold: each has a limit that comes earlier.
    pub(super) fn pack(&mut self, job: &Job, delta: u32, terms: u16) {
        let (state, when) = match job.state {
            JobState::Ready => (READY, 0),
            JobState::Delayed { until_ms } => (DELAYED, until_ms),
            JobState::Reserved { .. } => (RESERVED, 0),
            JobState::Buried { turn } => (BURIED, turn),
        };
        assert!(when <= WHEN_MAX, "times and turns are cut where they come in");
        let head_len = job.at.len.checked_sub(job.body_len).expect("a record is longer than the body in it");
        *self = Row {
            delta: low(delta),
            flags: state | (self.flags & HAS_FACTS),
            lsn: low(job.lsn.0 as u32),
            created_ms: long(job.created_ms.min(WHEN_MAX)),
            segment: low(u32::try_from(job.at.segment).expect("segments are counted in 32 bits")),
            offset: low(job.at.offset),
            head_len: low(head_len),
            body_len: low(job.body_len),
            delay_s: low(job.delay_s),
            terms: terms.to_le_bytes(),
            when: long(when),
        };
    }

    pub(super) fn unpack(&self, id: JobId, newest: Lsn, lease: Option<Lease>, terms: Terms) -> Job {
        let when = from_long(self.when);
        let state = match (self.flags & STATE, lease) {
            (DELAYED, _) => JobState::Delayed { until_ms: when },
            (BURIED, _) => JobState::Buried { turn: when },
            (RESERVED, Some(Lease { by, deadline })) => JobState::Reserved { by, deadline },
            (READY, _) => JobState::Ready,
            (flags, _) => unreachable!("a row in state {flags}"),
        };
        let body_len = from(self.body_len);
        Job {
            id,
            created_ms: from_long(self.created_ms),
            lsn: before(newest, from(self.lsn)),
            at: Position {
                segment: u64::from(from(self.segment)),
                offset: from(self.offset),
                len: from(self.head_len) + body_len,
            },
            body_len,
            pri: terms.pri,
            ttr_s: terms.ttr_s,
            delay_s: from(self.delay_s),
            tube: terms.tube,
            state,
        }
    }

    pub(super) fn terms(&self) -> u16 {
        u16::from_le_bytes(self.terms)
    }

    pub(super) fn terms_mut(&mut self) -> &mut [u8; 2] {
        &mut self.terms
    }

    pub(super) fn delta(&self) -> u32 {
        from(self.delta)
    }

    pub(super) fn set_delta(&mut self, delta: u32) {
        self.delta = low(delta);
    }

    pub(super) fn is_gone(&self) -> bool {
        self.flags == 0
    }

    pub(super) fn set_gone(&mut self) {
        self.flags = 0;
    }

    pub(super) fn is_reserved(&self) -> bool {
        self.flags & STATE == RESERVED
    }

    pub(super) fn is_delayed_from(&self, ms: u64) -> bool {
        self.flags & STATE == DELAYED && from_long(self.when) >= ms
    }

    pub(super) fn has_facts(&self) -> bool {
        self.flags & HAS_FACTS != 0
    }

    pub(super) fn set_facts(&mut self, has: bool) {
        self.flags = if has { self.flags | HAS_FACTS } else { self.flags & !HAS_FACTS };
    }
}

/// The newest LSN up to `newest` with this low half. Of a record that is 2^32 records old it may be wrong, and then it is
/// one that is on disk, or soon: whoever waits for it waits a little longer than it had to.
fn before(newest: Lsn, low: u32) -> Lsn {
    let back = (newest.0 as u32).wrapping_sub(low);
    Lsn(newest.0.saturating_sub(u64::from(back)))
}

fn low<const N: usize>(number: u32) -> [u8; N] {
    let bytes = number.to_le_bytes();
    assert!(bytes[N..].iter().all(|byte| *byte == 0), "{number} does not fit into {N} bytes");
    let mut low = [0; N];
    low.copy_from_slice(&bytes[..N]);
    low
}

fn from<const N: usize>(low: [u8; N]) -> u32 {
    let mut bytes = [0; 4];
    bytes[..N].copy_from_slice(&low);
    u32::from_le_bytes(bytes)
}

fn long(number: u64) -> [u8; 6] {
    let mut low = [0; 6];
    low.copy_from_slice(&number.to_le_bytes()[..6]);
    low
}

fn from_long(low: [u8; 6]) -> u64 {
    let mut bytes = [0; 8];
    bytes[..6].copy_from_slice(&low);
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_forty_one_bytes() {
        assert_eq!(size_of::<Row>(), 41);
    }

    #[test]
    fn the_lsn_of_a_young_record_is_known_exactly() {
        for newest in [5, u64::from(u32::MAX), u64::from(u32::MAX) + 7, 1 << 40] {
            for age in [0, 1, 4] {
                let lsn = newest - age;
                assert_eq!(before(Lsn(newest), lsn as u32), Lsn(lsn));
            }
        }
    }
}
