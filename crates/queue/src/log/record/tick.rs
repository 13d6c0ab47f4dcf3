//! Ticks of periodic jobs: which was the last of a line. A job that was put for a tick says so itself (an attribute of its "put"),
//! so that both are on disk or neither; this record says it without a job, when a line is new and when segments go.

use super::{Input, Malformed, put_text, put_u64};

/// The last tick of a line; 0 when the line is to be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TickRecord<'a> {
    pub(crate) space: &'a str,
    pub(crate) name: &'a str,
    pub(crate) tick_ms: u64,
}

impl TickRecord<'_> {
    /// Writes the payload and returns the record's kind.
    pub(super) fn encode(&self, out: &mut Vec<u8>) -> u8 {
        put_text(out, self.space);
        put_text(out, self.name);
        put_u64(out, self.tick_ms);
        40
    }

    pub(super) fn decode<'a>(input: &mut Input<'a>) -> Result<TickRecord<'a>, Malformed> {
        Ok(TickRecord { space: input.text()?, name: input.text()?, tick_ms: input.u64()? })
    }
}

/// The value of a job's attribute: the line and its tick.
pub(super) fn to_attr((name, tick_ms): (&str, u64)) -> Vec<u8> {
    let mut value = tick_ms.to_le_bytes().to_vec();
    value.extend_from_slice(name.as_bytes());
    value
}

pub(super) fn from_attr(value: &[u8]) -> Result<(&str, u64), Malformed> {
    let (tick, name) = value.split_first_chunk::<8>().ok_or(Malformed)?;
    Ok((std::str::from_utf8(name).map_err(|_| Malformed)?, u64::from_le_bytes(*tick)))
}
