//! Records of what becomes of jobs that are not simply finished, and of keys.
//!
//! | kind | record | payload |
//! |---|---|---|
//! | 32 | an attempt is over | id u64, then in ms u64 (0: ready, all ones: buried, all ones but one: as it was), attempt |
//! | 33 | died | id u64, 1 and namespace and tube where it goes or 0, death |
//! | 34 | replayed | id u64, namespace, tube |
//! | 35 | key | id u64, until in ms u64, namespace, key with a length u32 |
//!
//! An attempt and a death are attributes: 1 when in ms, 2 how (1 timed out, 2 released, 3 failed), 3 reason, 4 worker,
//! 5 the tube it was in.

use super::{Input, Malformed, TubeRef, more, put_text, put_u32, put_u64};
use crate::engine::{After, Attempt, Dead};
use crate::names::JobId;

/// The due time that says: the job's state is told by another record.
const AS_IT_WAS: u64 = u64::MAX - 1;

/// One of them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fate<'a> {
    Attempt { id: JobId, after: Option<After>, attempt: Attempt },
    Died { id: JobId, dead: Dead, to: Option<TubeRef<'a>> },
    Replayed { id: JobId, to: TubeRef<'a> },
    Key { id: JobId, until_ms: u64, space: &'a str, key: &'a str },
}

impl Fate<'_> {
    /// Writes the payload and returns the kind.
    pub(super) fn encode(&self, out: &mut Vec<u8>) -> u8 {
        match self {
            Fate::Attempt { id, after, attempt } => {
                put_u64(out, id.0);
                put_u64(out, after.map_or(AS_IT_WAS, After::to_due));
                more::encode_attempt(attempt, out);
                32
            }
            Fate::Died { id, dead, to } => {
                put_u64(out, id.0);
                out.push(u8::from(to.is_some()));
                if let Some(to) = to {
                    to.encode(out);
                }
                more::encode_dead(dead, out);
                33
            }
            Fate::Replayed { id, to } => {
                put_u64(out, id.0);
                to.encode(out);
                34
            }
            Fate::Key { id, until_ms, space, key } => {
                put_u64(out, id.0);
                put_u64(out, *until_ms);
                put_text(out, space);
                put_u32(out, key.len() as u32);
                out.extend_from_slice(key.as_bytes());
                35
            }
        }
    }

    /// Reads a payload of one of these kinds.
    pub(super) fn decode<'a>(kind: u8, input: &mut Input<'a>) -> Result<Fate<'a>, Malformed> {
        let id = input.id()?;
        Ok(match kind {
            32 => {
                let due = input.u64()?;
                let after = (due != AS_IT_WAS).then(|| After::from_due(due));
                Fate::Attempt { id, after, attempt: more::decode_attempt(input.0)? }
            }
            33 => {
                let to = match input.take(1)? {
                    [0] => None,
                    _ => Some(input.tube()?),
                };
                Fate::Died { id, dead: more::decode_dead(input.0)?, to }
            }
            34 => Fate::Replayed { id, to: input.tube()? },
            35 => {
                let (until_ms, space) = (input.u64()?, input.text()?);
                let len = input.u32()? as usize;
                Fate::Key { id, until_ms, space, key: std::str::from_utf8(input.take(len)?).map_err(|_| Malformed)? }
            }
            _ => return Err(Malformed),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Record;
    use super::*;
    use crate::engine::AttemptEnd;

    #[test]
    fn every_fate_is_read_back_as_it_was_written() {
        let (id, at) = (JobId(7), TubeRef { space: "shop/production", tube: "orders" });
        let attempt =
            Attempt { at_ms: 5, end: AttemptEnd::Failed, reason: "no route".into(), worker: "10.0.0.1:5".into() };
        let dead = Dead { at_ms: 9, end: AttemptEnd::Released, from: "orders".into() };
        let afters = [None, Some(After::Ready), Some(After::Buried), Some(After::Delayed { until_ms: 77 })];
        let attempts = afters.map(|after| Fate::Attempt { id, after, attempt: attempt.clone() });
        let others = [
            Fate::Died { id, dead: dead.clone(), to: None },
            Fate::Died { id, dead, to: Some(at.clone()) },
            Fate::Replayed { id, to: at },
            Fate::Key { id, until_ms: 3, space: "", key: "orders abc" },
        ];
        for fate in attempts.into_iter().chain(others) {
            let mut bytes = Vec::new();
            let kind = Record::Fate(fate.clone()).encode(&mut bytes);
            assert_eq!(Record::decode(kind, &bytes), Ok(Record::Fate(fate)));
        }
    }
}
