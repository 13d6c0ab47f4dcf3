//! A job as a checkpoint spells it.

use wal::{Lsn, Position};

use crate::engine::{Job, JobState, TubeIx};
use crate::log::record::{Input, Malformed, put_u32, put_u64};
use crate::log::replay::fits_a_row;

/// `tube` is the number of the job's tube in the file.
pub(super) fn encode(job: &Job, tube: u32, out: &mut Vec<u8>) {
    let (state, when) = match job.state {
        // Nobody holds anything after a start.
        JobState::Ready | JobState::Reserved { .. } => (0, 0),
        JobState::Delayed { until_ms } => (1, until_ms),
        JobState::Buried { turn } => (2, turn),
    };
    for number in [job.id.0, job.created_ms, job.at.segment, when] {
        put_u64(out, number);
    }
    for number in [job.at.offset, job.at.len, job.body_len, job.pri, job.ttr_s, job.delay_s, tube] {
        put_u32(out, number);
    }
    out.push(state);
}

/// `tubes` are the engine's tubes by their number in the file.
pub(super) fn decode(input: &mut Input<'_>, tubes: &[TubeIx]) -> Result<Job, Malformed> {
    let (id, created_ms, segment, when) = (input.id()?, input.u64()?, input.u64()?, input.u64()?);
    let (offset, len, body_len) = (input.u32()?, input.u32()?, input.u32()?);
    let (pri, ttr_s, delay_s, tube) = (input.u32()?, input.u32()?, input.u32()?, input.u32()?);
    let state = match input.take(1)?[0] {
        0 => JobState::Ready,
        1 => JobState::Delayed { until_ms: when },
        2 => JobState::Buried { turn: when },
        _ => return Err(Malformed),
    };
    let tube = *tubes.get(tube as usize).ok_or(Malformed)?;
    let at = Position { segment, offset, len };
    if !fits_a_row(at, body_len) {
        return Err(Malformed);
    }
    Ok(Job { id, created_ms, lsn: Lsn(0), at, body_len, pri, ttr_s, delay_s, tube, state })
}
